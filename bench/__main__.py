"""`python -m bench [name ...]`: run the benches and print their figures, each beside what it should reach."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from bench import many_videos, one_film
from bench.figures import Figure

BENCHES: dict[str, Callable[[], list[Figure]]] = {
    "one_film": one_film.measure,
    "many_videos": many_videos.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Print the figures of this machine.")
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES], help="which benches to run; all when none is named")
    names = parser.parse_args().names or list(BENCHES)
    table = Table("figure", "measured", "should be", "", title="HuaBan on this machine", title_justify="left")
    console = Console()
    for name in names:
        console.print(f"Running {name} ...")
        for figure in BENCHES[name]():
            table.add_row(figure.name, figure.shown, figure.wanted, "" if figure.is_reached else "[red]not reached[/]")
    console.print(table)


if __name__ == "__main__":
    main()
