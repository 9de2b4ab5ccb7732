"""Figures and the few readings of the system that they need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number, and the most or the least it may be; None where it only informs."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def shown(self) -> str:
        # A ratio near 1 is told by its second decimal.
        return f"{self.value:,.{2 if abs(self.value) < 10 else 1}f} {self.unit}"

    @property
    def wanted(self) -> str:
        limits = {"≤": self.at_most, "≥": self.at_least}
        return ", ".join(f"{sign} {limit:,g} {self.unit}" for sign, limit in limits.items() if limit is not None)

    @property
    def is_reached(self) -> bool:
        is_low_enough = self.at_most is None or self.value <= self.at_most
        return is_low_enough and (self.at_least is None or self.value >= self.at_least)


def family(pid: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        # A thread may end while it is looked at.
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in task.read_text().split():
                yield from family(int(child))


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process and its descendants have used so far."""
    total = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS_PER_S


def rss_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants, shared pages counted in each."""
    return sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) * _PAGE_BYTES for one in family(pid))
