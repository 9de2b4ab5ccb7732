"""Real worker processes, found and signalled by their process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pymongo.database import Database

from tests.waiting import eventually


class WorkerProcess:
    """A dramatiq command, its worker processes and their guardians."""

    def __init__(self, main: subprocess.Popen[bytes], processes: int) -> None:
        self.main = main
        eventually(lambda: len(self._guarded()) == processes, limit_s=120)
        self.workers = list(self._guarded())
        self.guardians = list(self._guarded().values())

    def signal_workers(self, number: signal.Signals) -> None:
        for pid in self.workers:
            os.kill(pid, number)

    def kill_guardians(self) -> None:
        for pid in self.guardians:
            os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """SIGKILL to everything, so that nobody is left to give anything back."""
        for pid in [*self.guardians, *self.workers, self.main.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.main.wait()

    def _guarded(self) -> dict[int, int]:
        """The worker processes that have a guardian, and that one."""
        return {
            worker: child
            for worker in _children(self.main.pid)
            for child in _children(worker)
            if b"standby.py" in _command(child)
        }


class Runs:
    """What the actors of worker processes have written down."""

    def __init__(self, database: Database[Any]) -> None:
        self._database = database

    def of(self, name: str, event: str = "run") -> list[int]:
        """The process ids of a message's runs."""
        return [run["pid"] for run in self._database.runs.find({"name": name, "event": event}).sort("at")]

    def counts(self) -> Counter[str]:
        return Counter(run["name"] for run in self._database.runs.find({"event": "run"}))

    def open_gate(self, name: str) -> None:
        self._database.gates.insert_one({"_id": name})


@contextmanager
def worker_process(
    uri: str,
    database: Database[Any],
    log: Path,
    *,
    processes: int = 1,
    threads: int = 1,
    prefetch: int = 0,
    lease_s: float = 10.0,
) -> Iterator[WorkerProcess]:
    command = [sys.executable, "-m", "dramatiq", "tests.broker.actors"]
    env = {
        **os.environ,
        "TEST_MONGODB_URI": uri,
        "TEST_DATABASE": database.name,
        "TEST_LEASE_S": str(lease_s),
        "dramatiq_queue_prefetch": str(prefetch),
    }
    before = database.dramatiq_workers.distinct("_id")
    with log.open("wb") as output:
        main = subprocess.Popen(
            [*command, "--processes", str(processes), "--threads", str(threads)],
            env=env, stdout=output, stderr=output,
        )  # fmt: skip
    started = None
    try:
        started = WorkerProcess(main, processes)
        eventually(lambda: database.dramatiq_workers.count_documents({"_id": {"$nin": before}}) == processes)
        yield started
    finally:
        if started:
            started.kill()
        else:
            main.kill()
            main.wait()


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [
            int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()
        ]
    return []


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
