"""Looking at processes through /proc. Where there is none, the answers are empty."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def session_members(session: int) -> list[int]:
    """The ids of the living processes of a session, zombies left out."""
    return [pid for pid in _all_pids() if _session_and_state(pid) == (session, True)]


def kill_session(session: int) -> None:
    """End what is left of a part, its own children included, without asking. One process id at a time."""
    for pid in session_members(session):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


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


def _session_and_state(pid: int) -> tuple[int, bool]:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return (0, False)
    # The program's name, in parentheses, may hold spaces and parentheses itself.
    state, _parent, _group, session = stat.rpartition(")")[2].split()[:4]
    return (int(session), state not in "ZX")
