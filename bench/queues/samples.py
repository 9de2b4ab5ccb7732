"""What was measured, by figure and broker."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

Summary = Callable[[Sequence[float]], float]


def percentile(percent: float) -> Summary:
    """The smallest sample that so many percent of the samples do not exceed."""
    return lambda samples: float(np.percentile(samples, percent, method="inverted_cdf"))


@dataclass(frozen=True)
class Row:
    """One figure of all brokers."""

    label: str
    unit: str
    key: str
    """Under which name the samples were added."""
    summary: Summary = median


class Samples:
    """All samples of a run; the rounds of a figure are pooled."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, broker: str, found: Mapping[str, Sequence[float]]) -> None:
        for key, values in found.items():
            self._found[key, broker].extend(values)

    def value(self, row: Row, broker: str) -> float | None:
        """None where it was not measured; infinite where it did not come to an end."""
        samples = self._found.get((row.key, broker))
        return row.summary(samples) if samples else None

    def ours_to(self, row: Row, broker: str) -> float | None:
        """How many times another broker's figure ours is."""
        mine, theirs = self.value(row, "ours"), self.value(row, broker)
        if broker == "ours" or mine is None or not theirs or not math.isfinite(mine / theirs):
            return None
        return mine / theirs


ENQUEUE = Row("enqueue, one after another", "messages/s", "enqueue")
BARE = Row("the same documents by bare insert_one", "messages/s", "bare")
BULK = Row("enqueue as a whole", "messages/s", "bulk")
DRAIN_1 = Row("drain, 1 process of 8 threads", "messages/s", "drain 1")
CPU_1 = [
    Row("  CPU of the worker, per message", "µs", "drain 1, worker CPU"),
    Row("  CPU of the server, per message", "µs", "drain 1, server CPU"),
]
CPU_2 = [
    Row("  CPU of the workers, per message", "µs", "drain 2, worker CPU"),
    Row("  CPU of the server, per message", "µs", "drain 2, server CPU"),
]
DRAIN_2 = Row("drain, 2 processes of 8 threads", "messages/s", "drain 2")
PICKUP = [Row(f"idle pickup p{percent}", "ms", "pickup paced", percentile(percent)) for percent in (50, 95, 99)]
RARE = [
    Row("idle pickup after 3 s of quiet, p50", "ms", "pickup rare", percentile(50)),
    Row("idle pickup after 3 s of quiet, the slowest", "ms", "pickup rare", max),
]
IDLE_COMMANDS = Row("idle commands per process", "/s", "idle commands")
IDLE_MONITORING = Row("  the driver's watch over its server", "/s", "idle monitoring")
IDLE_CPU = Row("idle CPU per process", "%", "idle CPU")
IDLE_MAIN = Row("  of Dramatiq's main process", "%", "idle CPU of main")
RECOVERY = Row("100 messages of a killed worker are done after", "s", "recovery")
HELD = Row("  of which it held", "messages", "recovery, held")
LOST = Row("  not done after 90 s", "messages", "recovery, not done", max)
RECOVERY_ALONE = Row("  when its process alone is killed", "s", "recovery, process alone")
LOST_ALONE = Row("  not done after 90 s", "messages", "recovery, process alone, not done", max)
CLAIM = Row("claim of 16 messages", "ms", "claim, nothing kept")
CLAIM_P95 = Row("  p95", "ms", "claim, nothing kept", percentile(95))
CLAIM_KEPT = Row("  with the finished messages kept", "ms", "claim, many kept")
CLAIM_KEPT_P95 = Row("  p95", "ms", "claim, many kept", percentile(95))
MEMORY = Row("memory per process", "MB", "memory before")
MEMORY_DELAYED = Row("  with 100,000 delayed messages", "MB", "memory after")

ROWS = [
    ENQUEUE, BARE, BULK, DRAIN_1, *CPU_1, DRAIN_2, *CPU_2, *PICKUP, *RARE,
    IDLE_COMMANDS, IDLE_MONITORING, IDLE_CPU, IDLE_MAIN, RECOVERY, HELD, LOST, RECOVERY_ALONE, LOST_ALONE,
    CLAIM, CLAIM_P95, CLAIM_KEPT, CLAIM_KEPT_P95, MEMORY, MEMORY_DELAYED,
]  # fmt: skip
