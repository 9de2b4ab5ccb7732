"""One broker on its fresh server: starting senders and workers there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from app.stack import tether
from bench.figures import family
from bench.queues import settings
from bench.queues.brokers import Kind
from bench.queues.records import Records

POLL_S = 0.05


class Workers:
    """A dramatiq command with its worker processes, and what they record."""

    def __init__(self, command: subprocess.Popen[bytes], records: Records) -> None:
        self.command = command
        self.records = records

    def kill(self) -> None:
        """SIGKILL to all of it at once, the companions of the worker processes included."""
        # The command first: it would tell its worker processes to stop when it misses one.
        for pid in list(family(self.command.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.command.wait()

    def stop(self) -> None:
        if self.command.poll() is None:
            self.command.terminate()
            try:
                self.command.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()


class Place:
    """A server of one kind while it runs."""

    def __init__(self, kind: Kind, address: str, folder: Path) -> None:
        self.kind = kind
        self.address = address
        self.folder = folder
        self._env = {**os.environ, settings.BROKER: kind.name, settings.ADDRESS: address}

    def send(self, way: str, count: int) -> Any:
        """Let another process send `count` messages; what it measured."""
        with self.sending(way, count) as sender:
            output, _ = sender.communicate()
        if sender.returncode:
            raise RuntimeError(f"sending to {self.kind.name} failed")
        return json.loads(output)

    @contextmanager
    def sending(self, way: str, count: int) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "bench.queues.sender", way, str(count)]
        with subprocess.Popen(command, env=self._env, stdout=subprocess.PIPE) as sender:
            yield sender

    @contextmanager
    def workers(self, processes: int = 1, *, holds: int = 0) -> Iterator[Workers]:
        """Worker processes of eight threads. `holds`: they hold so many messages each, and never finish one."""
        records = Records(Path(mkdtemp(dir=self.folder)) / "records")
        env = {**self._env, settings.RECORDS: str(records.folder), settings.PROCESSES: str(processes)}
        if holds:
            env |= {settings.HOLDS: "1", "dramatiq_queue_prefetch": str(holds)}
        command = [sys.executable, "-m", "dramatiq", settings.ACTORS, "--threads", "8"]
        # It ends with this process, should that be killed.
        tethered = [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command]
        with (self.folder / "workers.log").open("ab") as log:
            running = subprocess.Popen([*tethered, "--processes", str(processes)], env=env, stdout=log, stderr=log)
        workers = Workers(running, records)
        try:
            until(lambda: len(records.pids()) == processes, limit_s=60)
            yield workers
        finally:
            workers.stop()


@contextmanager
def place(kind: Kind) -> Iterator[Place]:
    """A fresh server, and nothing left of it afterwards."""
    with TemporaryDirectory(prefix="huaban-bench-") as name:
        server = Path(name) / "server"
        server.mkdir()
        with kind.serve(server) as address:
            yield Place(kind, address, Path(name))


def until(is_so: Callable[[], bool], *, limit_s: float) -> bool:
    """Wait until it is so; whether it came to that within the limit."""
    give_up_at = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(POLL_S)
    return True
