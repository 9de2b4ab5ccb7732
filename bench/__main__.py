"""`python -m bench [name ...]`: run the benches and print their figures, each beside what it should reach."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import large_clip, many_videos, one_film, queues, web
from bench.figures import Figure

CHART = Path("docs/queues.png")


def main() -> None:
    options = _parser().parse_args()
    if options.install:
        queues.install()
        web.install()
    benches: dict[str, Callable[[], list[Figure]]] = {
        "queues": partial(queues.measure, _wishes(options)),
        "one_film": one_film.measure,
        "many_videos": many_videos.measure,
        "large_clip": large_clip.measure,
        "web": partial(web.measure, web.Wishes(parts=options.parts, rounds=options.rounds, seconds=options.seconds)),
    }
    table = Table("figure", "measured", "should be", "", title="HuaBan on this machine", title_justify="left")
    console = Console()
    for name in options.names or benches:
        console.print(f"Running {name} ...")
        for figure in benches[name]():
            table.add_row(figure.name, figure.shown, figure.wanted, "" if figure.is_reached else "[red]not reached[/]")
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Print the figures of this machine.")
    names = ["queues", "one_film", "many_videos", "large_clip", "web"]
    parser.add_argument("names", nargs="*", choices=[[], *names], help="which benches to run; all when none is named")
    parser.add_argument(
        "--install", action="store_true", help="first install by apt the servers and tools to compare with"
    )
    parser.add_argument("--rounds", type=int, default=3, help="medians of so many (default: %(default)s)")
    whole = queues.Wishes()
    of_queues = parser.add_argument_group("queues")
    of_queues.add_argument("--only", type=_some_of(whole.parts), help=f"some of {','.join(whole.parts)}")
    of_queues.add_argument("--brokers", type=_some_of(whole.brokers), help=f"some of {','.join(whole.brokers)}")
    of_queues.add_argument("--messages", type=int, default=whole.messages, help="how many (default: %(default)s)")
    of_queues.add_argument("--kept", type=int, default=whole.kept, help="finished messages (default: %(default)s)")
    of_queues.add_argument("--chart", type=Path, help=f"draw it there (default: {CHART}, if all is measured)")
    of_web = parser.add_argument_group("web")
    of_web.add_argument("--parts", type=_some_of(web.PARTS), default=web.PARTS, help=f"some of {','.join(web.PARTS)}")
    of_web.add_argument("--seconds", type=float, default=5.0, help="of asking in each round (default: %(default)s)")
    return parser


def _some_of(known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    def chosen(words: str) -> tuple[str, ...]:
        names = tuple(words.split(","))
        if unknown := {*names} - {*known}:
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not among {', '.join(known)}")
        return names

    return chosen


def _wishes(options: argparse.Namespace) -> queues.Wishes:
    whole = queues.Wishes()
    is_whole = not (options.only or options.brokers)
    return queues.Wishes(
        parts=options.only or whole.parts,
        brokers=options.brokers or whole.brokers,
        messages=options.messages,
        rounds=options.rounds,
        kept=options.kept,
        chart=options.chart or (CHART if is_whole else None),
    )


if __name__ == "__main__":
    main()
