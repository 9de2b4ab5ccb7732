"""Rounds over all brokers, and what comes out of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.figures import Figure
from bench.queues import chart, delays, history, idle, pickup, promises, recovery, throughput
from bench.queues.brokers import KINDS, Kind
from bench.queues.place import Place, place
from bench.queues.samples import ROWS, Row, Samples

THROUGHPUT = ("enqueue", "bulk", "drain")
PARTS = (*THROUGHPUT, "pickup", "idle", "recovery", "history", "delays")
PACED = 200
RARE = 20


@dataclass(frozen=True)
class Work:
    """One kind of measuring, done for every broker before the next kind begins."""

    parts: Collection[str]
    """Done when one of these is wished for."""
    measure: Callable[[Place], Mapping[str, Sequence[float]]]
    is_for_ours: bool = False
    """The other brokers promise nothing there."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What to measure, and how thoroughly."""

    parts: Collection[str] = PARTS
    brokers: Collection[str] = tuple(kind.name for kind in KINDS)
    messages: int = 5_000
    rounds: int = 3
    kept: int = 1_000_000
    chart: Path | None = None


def measure(wishes: Wishes) -> list[Figure]:
    """Measure what is wished for, print it for all brokers side by side, and return what ours is held to."""
    console = Console()
    kinds = _present(wishes, console)
    samples = Samples()
    for number in range(1, wishes.rounds + 1):
        for work in _works(wishes, number):
            # The brokers take turns, so that a slow minute of the machine meets all of them.
            for kind in kinds if not work.is_for_ours else [kind for kind in kinds if kind.name == "ours"]:
                with place(kind) as running:
                    found = work.measure(running)
                samples.add(kind.name, found)
                console.print(f"  {number}. {kind.label}: {_in_short(found)}", highlight=False, soft_wrap=True)
    console.print(_side_by_side(samples, kinds))
    if wishes.chart and not find_spec("matplotlib"):
        console.print("Without a chart: matplotlib is not installed: pip install '.[bench]'", markup=False)
    elif wishes.chart:
        chart.draw(samples, kinds, wishes.chart)
    return promises.figures(samples)


def _works(wishes: Wishes, number: int) -> list[Work]:
    """What this round measures."""
    rates = partial(throughput.measure, messages=wishes.messages, parts=wishes.parts)
    paced, rare = (_share(count, number, wishes.rounds) for count in (PACED, RARE))
    works = [
        Work(THROUGHPUT, rates),
        Work(["pickup"], partial(pickup.measure, paced=paced, rare=rare)),
    ]
    if number == 1:
        works += [
            Work(["idle"], idle.measure),
            Work(["recovery"], partial(recovery.measure, with_companions=True)),
            Work(["recovery"], partial(recovery.measure, with_companions=False), is_for_ours=True),
            Work(["history"], partial(history.measure, kept=wishes.kept), is_for_ours=True),
            Work(["delays"], delays.measure, is_for_ours=True),
        ]
    return [work for work in works if {*work.parts} & {*wishes.parts}]


def _share(count: int, number: int, rounds: int) -> int:
    """How many of `count` belong to this round."""
    return count * number // rounds - count * (number - 1) // rounds


def _present(wishes: Wishes, console: Console) -> list[Kind]:
    """The brokers that can be run here; a word about each of the others."""
    wished = [kind for kind in KINDS if kind.name in wishes.brokers]
    lacking = {kind.name: kind.lacks() for kind in wished}
    for kind in wished:
        if lacking[kind.name]:
            console.print(f"Without {kind.label}: {lacking[kind.name]}", markup=False, soft_wrap=True)
    return [kind for kind in wished if not lacking[kind.name]]


def _in_short(found: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(f"{key} {median(values):,.1f}" for key, values in found.items() if values)


def _side_by_side(samples: Samples, kinds: list[Kind]) -> Table:
    """Every broker's figures, each with how many times as much ours is."""
    table = Table("", "", title="The same work through each broker (ours ÷ theirs)", title_justify="left")
    for kind in kinds:
        table.add_column(kind.label, justify="right")
    for row in ROWS:
        cells = [_cell(samples, row, kind) for kind in kinds]
        if any(cells):
            table.add_row(row.label, row.unit, *cells)
    return table


def _cell(samples: Samples, row: Row, kind: Kind) -> str:
    value, ratio = samples.value(row, kind.name), samples.ours_to(row, kind.name)
    if value is None:
        return ""
    shown = f"{value:,.{0 if value >= 20 else 2}f}" if math.isfinite(value) else "not in time"
    return f"{shown} (× {ratio:.2f})" if ratio else shown
