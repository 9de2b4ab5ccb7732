"""Figures and the few readings of the system that they need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number, and the most it may be; None where it only informs."""

    name: str
    value: float
    unit: str
    at_most: float | None = None

    @property
    def shown(self) -> str:
        return f"{self.value:,.1f} {self.unit}"

    @property
    def wanted(self) -> str:
        return "" if self.at_most is None else f"≤ {self.at_most:,g} {self.unit}"

    @property
    def is_reached(self) -> bool:
        return self.at_most is None or self.value <= self.at_most


def family(pid: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
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
