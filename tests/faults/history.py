"""The append-only history of a run: what every process saw, in local files that no outage of the database can hide.

One file a process, one JSON object a line, written by a single call to the system, so that a line is there as soon as
it happened and survives its writer's death. `at` is the monotonic clock, which all processes of a machine share.

    sending, sent, unknown   a sender is about to enqueue; it was told yes; it was told nothing it could rely on
    boot, ended              a worker process of the command `main` is ready; a command has ended undismissed
    taken                    a thread is about to run a message: from now on a crash may be charged to it
    start, effect, end       a run begins; the database confirmed its completion; it is over (`error` when it raised)
    death                    a process is about to be killed
    suspended, continued     a process was stopped, and goes on
    fault                    something else the nemesis did; `is_failover` when the primary may have changed abruptly
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Event = dict[str, Any]


def process_name(pid: int) -> str:
    """A name that is never given twice, as process ids are: the id and when the process was started."""
    started = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    return f"{pid}@{started}"


class Scribe:
    """Writes the history of this process, and of a child that it is forked into."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pid = 0
        self._file = -1

    @property
    def process(self) -> str:
        """The name of this process."""
        self._open()
        return self._process

    def write(self, event: str, **fields: Any) -> None:
        self._open()
        line = {"event": event, "at": time.monotonic(), "process": self._process, **fields}
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def _open(self) -> None:
        if self._pid != os.getpid():
            self._process = process_name(os.getpid())
            path = self._folder / f"{self._process}.jsonl"
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._pid = os.getpid()


class Reader:
    """Reads a history while it is being written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def news(self) -> Iterator[Event]:
        """What was written since the last call, in no order."""
        for path in self._folder.glob("*.jsonl"):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        # Its end is being written just now, and would be taken for a line of its own.
                        break
                    self._read[path] = self._read.get(path, 0) + len(line)
                    yield json.loads(line)


def read(folder: Path) -> list[Event]:
    """The whole history in the order of time."""
    return sorted(Reader(folder).news(), key=lambda event: event["at"])
