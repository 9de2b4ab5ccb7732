"""The worker processes under test, stock dramatiq commands of one process each. What dies is started again."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from app.stack import tether
from bench.figures import family
from tests.faults.history import Scribe, process_name
from tests.waiting import eventually

_MARK = "NEMESIS_MARK"


class Command:
    """One dramatiq command: its main process, its worker process and that one's guardian."""

    def __init__(self, main: subprocess.Popen[bytes]) -> None:
        self.main = main
        self.name = process_name(main.pid)
        self._worker: tuple[int, int] | None = None

    @property
    def is_up(self) -> bool:
        return self._find() is not None

    @property
    def worker(self) -> int:
        return self._pair()[0]

    @property
    def guardian(self) -> int:
        return self._pair()[1]

    def _pair(self) -> tuple[int, int]:
        found = self._find()
        assert found, "the command has a worker"
        return found

    def _find(self) -> tuple[int, int] | None:
        """The worker process and its guardian, once they are there."""
        if self.main.poll() is not None:
            return None
        if self._worker is None:
            with suppress(OSError):
                for pid in family(self.main.pid):
                    if b"standby.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        self._worker = parent_of(pid), pid
        return self._worker


class Crew:
    """Several commands. All their processes, also those that outlive their parents, are gone at the end."""

    def __init__(self, count: int, *, threads: int, env: dict[str, str], log: Path, scribe: Scribe) -> None:
        self._mark = secrets.token_hex(8)
        self._env = {**os.environ, **env, _MARK: self._mark}
        self._threads = threads
        self._log = log
        self._count = count
        self._scribe = scribe
        self.commands: list[Command] = []
        self.starts = 0

    def __enter__(self) -> Self:
        self.commands = [self._start() for _ in range(self._count)]
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        eventually(self._kill_what_is_left)
        for command in self.commands:
            command.main.wait()

    def revive(self) -> None:
        """Start again what has ended."""
        for number, command in enumerate(self.commands):
            if command.main.poll() is not None:
                self._scribe.write("ended", main=command.name)
                self.commands[number] = self._start()

    def dismiss(self) -> None:
        """SIGTERM to every command; returns once all have ended in good order."""
        for command in self.commands:
            command.main.terminate()
        eventually(lambda: all(command.main.poll() is not None for command in self.commands), limit_s=60)

    def _start(self) -> Command:
        self.starts += 1
        command = [
            *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid())),
            *(sys.executable, "-m", "dramatiq", "tests.faults.errands"),
            *("--processes", "1", "--threads", str(self._threads)),
        ]
        with self._log.open("ab") as log:
            return Command(subprocess.Popen(command, env=self._env, stdout=log, stderr=log, start_new_session=True))

    def _kill_what_is_left(self) -> bool:
        """Whether nothing was left. By a mark in the environment, which orphans keep."""
        left = list(marked(f"{_MARK}={self._mark}".encode()))
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for command in self.commands:
            command.main.poll()
        return not left


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def marked(entry: bytes) -> Iterator[int]:
    """The processes that have this entry in their environment."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                if entry in (folder / "environ").read_bytes().split(b"\0"):
                    yield int(folder.name)
