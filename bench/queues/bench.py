"""Rounds over all brokers, and what comes out of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.figures import Figure
from bench.queues import throughput
from bench.queues.brokers import KINDS, Kind
from bench.queues.place import place

PARTS = ("enqueue", "bulk", "drain")
THROUGHPUT = {"enqueue", "bulk", "drain"}

Measured = dict[str, dict[str, float]]
"""By figure, then by broker."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What to measure, and how thoroughly."""

    parts: Collection[str] = PARTS
    brokers: Collection[str] = tuple(kind.name for kind in KINDS)
    messages: int = 5000
    rounds: int = 3


def measure(wishes: Wishes) -> list[Figure]:
    console = Console()
    kinds = _present(wishes, console)
    rates = _rates(wishes, kinds, console)
    console.print(_beside_each_other(rates, kinds))
    return _figures(rates)


def _present(wishes: Wishes, console: Console) -> list[Kind]:
    """The brokers that can be run here; a word about each of the others."""
    present = []
    for kind in KINDS:
        if kind.name not in wishes.brokers:
            continue
        if lacking := kind.lacks():
            console.print(f"Without {kind.label}: {lacking}")
        else:
            present.append(kind)
    return present


def _rates(wishes: Wishes, kinds: list[Kind], console: Console) -> Measured:
    """Medians over the rounds. The brokers take turns, so that a slow minute of the machine meets all of them."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    if not THROUGHPUT & {*wishes.parts}:
        return {}
    for number in range(wishes.rounds):
        for kind in kinds:
            with place(kind) as running:
                rates = throughput.measure(running, wishes.messages, wishes.parts)
            shown = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rates.items())
            console.print(f"  round {number + 1}, {kind.label}: {shown}", highlight=False)
            for name, rate in rates.items():
                found[name][kind.name].append(rate)
    return {name: {kind: median(rounds) for kind, rounds in kinds.items()} for name, kinds in found.items()}


def _beside_each_other(measured: Measured, kinds: list[Kind]) -> Table:
    """Every broker's figures, each with how many times as much ours is."""
    table = Table("", *(kind.label for kind in kinds), title="Messages a second (ours ÷ theirs)", title_justify="left")
    for name, by_kind in measured.items():
        cells = []
        for kind in kinds:
            cell = f"{by_kind[kind.name]:,.0f}" if kind.name in by_kind else "-"
            if kind.name in by_kind and kind.name != "ours" and "ours" in by_kind:
                cell += f" (× {by_kind['ours'] / by_kind[kind.name]:.2f})"
            cells.append(cell)
        table.add_row(name, *cells)
    return table


def _figures(measured: Measured) -> list[Figure]:
    """What was promised, as far as it was measured."""
    wanted = [
        ("drain, 1 process of 8 threads", "drain 1", "drain 1", "redis", 1.3),
        ("drain, 2 processes of 8 threads", "drain 2", "drain 2", "redis", 1.15),
        ("enqueue, one after another", "enqueue", "bare insert_one", "ours", 0.9),
        ("enqueue as a whole", "bulk", "bulk", "redis", 2.0),
    ]
    return [
        Figure(label, measured[mine]["ours"] / measured[theirs][rival], f"× {rivals}", at_least=at_least)
        for label, mine, theirs, rival, at_least in wanted
        if "ours" in measured.get(mine, {}) and rival in measured.get(theirs, {})
        for rivals in ["bare insert_one" if rival == "ours" else "Redis without AOF"]
    ]
