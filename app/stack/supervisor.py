"""Starts parts, keeps them running, and stops them.

Each part is a child process in a session of its own, so that Ctrl-C in the terminal reaches the supervisor only, which
then stops things in order. Signals go to process ids, never to groups: Dramatiq passes SIGTERM on to its own workers,
and a second one would cut their running steps short. A part that dies is started again after a wait of 0.5 s, doubled
each time up to 10 s; a part that has lived 30 s starts again at 0.5 s.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from app.stack import processes, tether
from app.stack.conditions import until
from app.stack.errors import PartFailed
from app.stack.processes import companions, kill_session, session_members

Say = Callable[[str, str], None]
"""Takes the name of a part and one line about it."""

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 10.0
SETTLED_S = 30.0
FINISHED_POLL_S = 0.1
COMPANIONS_S = 2.0
LOG_MAX_BYTES = 10_000_000
LOG_KEEP_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of the stack, and how to tell that it serves."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    address: str
    """For people: where the part can be reached, or what it does."""
    ready: Callable[[int], Awaitable[None]]
    """Takes the process id and returns once the part serves."""
    start_limit_s: float = 30.0
    grace_s: float = 10.0
    """How long the part may take to stop before it is killed."""
    has_finished: Callable[[int], bool] = lambda _pid: False
    """Takes the process id, once it was told to stop: whether what is left of the part may be killed at once."""
    exits: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    """Exit codes with a meaning: what happened and how to mend it."""


class Supervisor:
    """Keeps parts running. Their output goes to `<logs>/<name>.log`."""

    def __init__(self, logs: Path, *, say: Say) -> None:
        self.logs = logs
        self._say = say
        self._processes: dict[str, Process] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._companions: dict[str, list[int]] = {}
        self._warden: Process | None = None
        self._warden_lock = asyncio.Lock()

    def pid(self, name: str) -> int | None:
        """The process id of a part that runs now."""
        process = self._processes.get(name)
        return process.pid if process and process.returncode is None else None

    async def start(self, part: Part) -> None:
        """Start a part and return once it serves. Raises PartFailed; the part is then not running."""
        began = time.monotonic()
        try:
            process = await self._spawn(part)
            await self._until_ready(part, process)
        except BaseException:
            await self._end(part, grace_s=0)
            if not self._processes:
                await self._dismiss_warden()
            raise
        self._say(part.name, f"{part.address} ({time.monotonic() - began:.1f} s)")
        self._keepers[part.name] = asyncio.create_task(self._keep(part, process, began))

    async def stop(self, *parts: Part) -> None:
        """Stop parts together: SIGTERM, their grace, SIGKILL. Parts that do not run are no error."""
        await asyncio.gather(*(self._stop(part) for part in parts))
        if not self._processes:
            await self._dismiss_warden()

    def kill(self, *parts: Part) -> None:
        """Cut parts short, with everything they started. A `stop` that waits for them then returns."""
        for part in parts:
            pid = self.pid(part.name)
            if pid is not None:
                # Looked for now: once their parent is dead, nothing tells any more whose they are.
                self._companions.setdefault(part.name, []).extend(companions(pid))
                kill_session(pid)

    async def drop(self, part: Part) -> None:
        """Kill a part and leave it dead."""
        await self._release(part.name)
        await self._end(part, grace_s=0)

    async def _stop(self, part: Part) -> None:
        await self._release(part.name)
        await self._end(part, grace_s=part.grace_s)

    async def _release(self, name: str) -> None:
        keeper = self._keepers.pop(name, None)
        if keeper is None:
            return
        keeper.cancel()
        with suppress(asyncio.CancelledError):
            await keeper

    async def _end(self, part: Part, *, grace_s: float) -> None:
        process = self._processes.get(part.name)
        if process is None:
            return
        if process.returncode is None and grace_s > 0:
            # Not process.terminate(): it reaps a child that has just died, under the nose of asyncio's own watcher.
            _signal(process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(_until_finished(part, process), grace_s)
            except TimeoutError:
                self._say(part.name, f"did not stop within {grace_s:.0f} s and is killed")
        if process.returncode is None:
            self.kill(part)
        kill_session(process.pid)
        await process.wait()
        await _see_off(self._companions.pop(part.name, []))
        self._processes.pop(part.name, None)
        await self._tell_warden(f"-{process.pid}")

    async def _spawn(self, part: Part) -> Process:
        with _open_log(self.logs / f"{part.name}.log") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *part.command,
                env=part.env, stdin=DEVNULL, stdout=log, stderr=STDOUT, start_new_session=True,
            )  # fmt: skip
        self._processes[part.name] = process
        await self._tell_warden(f"+{process.pid}")
        return process

    async def _tell_warden(self, line: str) -> None:
        async with self._warden_lock:
            await self._tell(line)

    async def _tell(self, line: str) -> None:
        if self._warden is None or self._warden.returncode is not None:
            self._warden = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", processes.__file__,
                stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True,
            )  # fmt: skip
            line = "\n".join(f"+{process.pid}" for process in self._processes.values())
        if self._warden.stdin:
            self._warden.stdin.write(f"{line}\n".encode())

    async def _dismiss_warden(self) -> None:
        warden, self._warden = self._warden, None
        if warden and warden.stdin:
            warden.stdin.close()
            await warden.wait()

    async def _until_ready(self, part: Part, process: Process) -> None:
        ready = asyncio.ensure_future(part.ready(process.pid))
        ended = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait({ready, ended}, timeout=part.start_limit_s, return_when=asyncio.FIRST_COMPLETED)
            if process.returncode is not None:
                raise self._failure(part, process.returncode)
            if not ready.done():
                raise PartFailed(f"{part.name} was not ready within {part.start_limit_s:.0f} s.", self._see_log(part))
            _raise_error(part, ready)
        finally:
            await _cancel(ready, ended)

    async def _keep(self, part: Part, process: Process, began: float) -> None:
        """Start the part again whenever it ends, until cancelled."""
        wait_s = FIRST_WAIT_S
        while True:
            code = await process.wait()
            kill_session(process.pid)
            await self._tell_warden(f"-{process.pid}")
            if time.monotonic() - began >= SETTLED_S:
                wait_s = FIRST_WAIT_S
            self._say(part.name, f"stopped ({_describe(code)}); starting it again in {wait_s:g} s")
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
            began = time.monotonic()
            try:
                process = await self._spawn(part)
                await self._until_ready(part, process)
            except (PartFailed, OSError) as error:
                self._say(part.name, str(error).partition("\n")[0])
                kill_session(process.pid)
            else:
                self._say(part.name, f"{part.address} (again)")

    def _failure(self, part: Part, code: int) -> PartFailed:
        if code in part.exits:
            return PartFailed(*part.exits[code])
        tail = _last_line(self.logs / f"{part.name}.log")
        return PartFailed(f"{part.name} did not start ({_describe(code)}): {tail}", self._see_log(part))

    def _see_log(self, part: Part) -> str:
        return f"See {self.logs / (part.name + '.log')}."


def _raise_error(part: Part, ready: asyncio.Future[None]) -> None:
    error = ready.exception()
    if isinstance(error, PartFailed):
        raise error
    if error is not None:
        raise PartFailed(f"{part.name} runs but does not serve: {error}", "See its log.") from error


async def _until_finished(part: Part, process: Process) -> None:
    ended = asyncio.ensure_future(process.wait())
    try:
        while not ended.done() and not part.has_finished(process.pid):
            await asyncio.wait({ended}, timeout=FINISHED_POLL_S)
    finally:
        await _cancel(ended)


async def _see_off(sessions: list[int]) -> None:
    """Let those who outlived a killed part finish what they have to, then end those left.

    A worker's guardian gives the worker's messages back. The database must not be stopped before it has.
    """

    async def are_gone() -> bool:
        return not any(map(session_members, sessions))

    with suppress(TimeoutError):
        await asyncio.wait_for(until(are_gone), COMPANIONS_S)
    for session in sessions:
        kill_session(session)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


async def _cancel(*futures: asyncio.Future[None] | asyncio.Future[int]) -> None:
    for future in futures:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)


def _describe(code: int) -> str:
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _open_log(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_MAX_BYTES:
        with path.open("rb") as log:
            log.seek(-LOG_KEEP_BYTES, os.SEEK_END)
            tail = log.read()
        path.write_bytes(tail[tail.find(b"\n") + 1 :])
    return path.open("ab")


def _last_line(path: Path) -> str:
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - 4096))
        lines = log.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")
