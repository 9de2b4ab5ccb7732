"""Looking at processes through /proc. Where there is none, the answers are empty.

Run as a program this file is the warden: it outlives a killed supervisor by a few seconds and kills what is left of
the parts. They were sent SIGTERM then (see tether.py), but a worker that stops in good order waits for its step, and
for a database that is gone too. It uses the standard library only, so that it starts in no time and stays small.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


def session_members(session: int) -> list[int]:
    """The ids of the living processes of a session, zombies left out."""
    return [pid for pid in _all_pids() if _is_alive_in(session, _stat(pid))]


def companions(session: int) -> list[int]:
    """The leaders of other sessions that members of this one started: what means to outlive them for a moment."""
    members = {*session_members(session)}
    return [pid for pid in _all_pids() if (stat := _stat(pid)).parent in members and stat.session == pid != session]


def kill_session(session: int) -> None:
    """End what is left of a part, its own children included, without asking. One process id at a time."""
    for pid in session_members(session):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def watch(lines: Iterable[str], *, grace_s: float = 4.0) -> None:
    """Follow lines like `+123` and `-123`, sessions that begin and end; after the last line, end those left."""
    sessions: set[int] = set()
    for line in lines:
        change = sessions.add if line.startswith("+") else sessions.discard
        change(int(line[1:]))
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and any(map(session_members, sessions)):
        time.sleep(0.05)
    for session in sessions:
        kill_session(session)


def is_alone(pid: int) -> bool:
    """Whether the leader of a session is the last one in it."""
    return session_members(pid) == [pid]


def catches_sigterm(pid: int) -> bool:
    """Whether the process has a handler of its own for SIGTERM."""
    with suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def _all_pids() -> list[int]:
    if not _PROC.is_dir():
        return []
    return [int(entry) for entry in os.listdir(_PROC) if entry.isdecimal()]  # noqa: PTH208 - names are enough


class _Stat(NamedTuple):
    state: str
    parent: int
    session: int


def _stat(pid: int) -> _Stat:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return _Stat("X", 0, 0)
    # The program's name, in parentheses, may hold spaces and parentheses itself.
    state, parent, _group, session = stat.rpartition(")")[2].split()[:4]
    return _Stat(state, int(parent), int(session))


def _is_alive_in(session: int, stat: _Stat) -> bool:
    return stat.session == session and stat.state not in "ZX"


if __name__ == "__main__":
    watch(sys.stdin)
