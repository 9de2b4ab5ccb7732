"""What ran when: every worker process keeps a file of (time, number) pairs, which costs a message about a microsecond.

The times are those of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import itertools
import mmap
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOM = 1 << 18
_PAIR_BYTES = 16


class Recorder:
    """The writing side, shared by the threads of one process."""

    def __init__(self, folder: Path) -> None:
        with (folder / f"{os.getpid()}.times").open("w+b") as file:
            file.truncate(ROOM * _PAIR_BYTES)
            self._cells = memoryview(mmap.mmap(file.fileno(), ROOM * _PAIR_BYTES)).cast("q")
        self._places = itertools.count(0, 2)

    def note(self, number: int) -> None:
        """Message `number` runs now."""
        now = time.monotonic_ns()
        # One step of a counter is one step of the interpreter: no two threads get the same place.
        place = next(self._places)
        self._cells[place + 1] = number
        self._cells[place] = now


@dataclass(frozen=True)
class Runs:
    """What one process or several have run."""

    times_ns: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.times_ns)

    @property
    def distinct(self) -> int:
        return len(np.unique(self.numbers))

    @property
    def per_second(self) -> float:
        """The rate between the first message and the last."""
        return (len(self) - 1) / (int(self.times_ns.max() - self.times_ns.min()) / 1e9)


class Records:
    """The reading side: a folder with a file for each process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def pids(self) -> list[int]:
        """The worker processes that have come up, whether or not they have run anything."""
        return sorted(int(file.stem) for file in self.folder.glob("*.times"))

    def runs(self, *pids: int) -> Runs:
        """What these processes have run, or all of them."""
        pairs = [self._read(pid) for pid in pids or self.pids()]
        found: Any = np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)
        return Runs(times_ns=found[:, 0], numbers=found[:, 1])

    def _read(self, pid: int) -> npt.NDArray[np.int64]:
        pairs = np.memmap(self.folder / f"{pid}.times", dtype=np.int64, mode="r", shape=(ROOM, 2))
        # Threads fill their places a moment apart: what is left out here is seen at the next look.
        written = int(np.argmin(pairs[:, 0] != 0))
        return np.array(pairs[:written])
