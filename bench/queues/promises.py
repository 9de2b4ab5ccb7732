"""What the queue is held to, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator

from bench.figures import Figure
from bench.queues.samples import (
    BARE,
    BULK,
    CLAIM,
    CLAIM_KEPT,
    DRAIN_1,
    DRAIN_2,
    ENQUEUE,
    IDLE_COMMANDS,
    IDLE_CPU,
    LOST,
    LOST_ALONE,
    MEMORY,
    MEMORY_DELAYED,
    PICKUP,
    RARE,
    RECOVERY,
    RECOVERY_ALONE,
    Row,
    Samples,
)

AT_MOST = [
    (PICKUP[0], 8),
    (PICKUP[2], 30),
    (RARE[0], 8),
    (RARE[1], 30),
    (IDLE_COMMANDS, 3),
    (IDLE_CPU, 1),
    (RECOVERY, 15),
    (LOST, 0),
    (RECOVERY_ALONE, 15),
    (LOST_ALONE, 0),
]
NO_MEMORY_MB = 5.0
"""What a process's memory moves by anyway in half a minute; 100,000 messages held in it would be hundreds."""


def figures(samples: Samples) -> list[Figure]:
    """Those that this run has measured."""
    return [*_ratios(samples), *_limits(samples), *_changes(samples)]


def _ratios(samples: Samples) -> Iterator[Figure]:
    rates: list[tuple[Row, Row, str, str, float]] = [
        (DRAIN_1, DRAIN_1, "redis", "× Redis without AOF", 1.3),
        (DRAIN_2, DRAIN_2, "redis", "× Redis without AOF", 1.15),
        (ENQUEUE, BARE, "ours", "× bare insert_one", 0.9),
        (BULK, BULK, "redis", "× Redis without AOF", 2.0),
    ]
    for row, other, rival, unit, at_least in rates:
        mine, theirs = samples.value(row, "ours"), samples.value(other, rival)
        if mine and theirs:
            yield Figure(row.label, mine / theirs, unit, at_least=at_least)


def _limits(samples: Samples) -> Iterator[Figure]:
    for row, at_most in AT_MOST:
        value = samples.value(row, "ours")
        if value is not None:
            yield Figure(row.label, value, row.unit, at_most)


def _changes(samples: Samples) -> Iterator[Figure]:
    short, long = samples.value(CLAIM, "ours"), samples.value(CLAIM_KEPT, "ours")
    if short and long:
        yield Figure("claims slower with the finished messages kept", 100 * (long / short - 1), "%", 20)
    before, after = samples.value(MEMORY, "ours"), samples.value(MEMORY_DELAYED, "ours")
    if before and after:
        yield Figure("memory that 100,000 delayed messages add", after - before, "MB", NO_MEMORY_MB)
