"""Folders for files that somebody is at work with, and the end of those that a killed process has left.

They hold a child's drawing and voice. A process that is killed removes nothing, so the others on its machine do. Each
folder is locked while it is in use, and the system lets go of the lock together with the process.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR
from tempfile import TemporaryDirectory, gettempdir

PREFIX = "huaban-scratch-"
SWEEP_EVERY_S = 600.0
YOUNG_S = 60.0
"""A folder is there for a moment before it is locked."""

_turn = threading.Lock()
_swept_at = -SWEEP_EVERY_S


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that lasts as long as the block."""
    _sweep_now_and_then()
    with TemporaryDirectory(prefix=PREFIX) as name:
        lock = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # Where folders cannot be locked, nobody sweeps.
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(name)
        finally:
            os.close(lock)


def sweep() -> int:
    """Remove what processes that are dead have left on this machine; how many folders that were."""
    return sum(_remove_if_left(folder) for folder in Path(gettempdir()).glob(f"{PREFIX}*"))


def _sweep_now_and_then() -> None:
    global _swept_at  # noqa: PLW0603 (once in a while for the whole process)
    with _turn:
        if time.monotonic() - _swept_at < SWEEP_EVERY_S:
            return
        _swept_at = time.monotonic()
    # Beside the caller, who may be an event loop.
    threading.Thread(target=sweep, name="scratch-sweep", daemon=True).start()


def _remove_if_left(folder: Path) -> bool:
    try:
        facts = folder.lstat()
        # Somebody else's folder may have such a name, too.
        is_ours = S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
        if not is_ours or time.time() - facts.st_mtime < YOUNG_S:
            return False
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        os.close(lock)
