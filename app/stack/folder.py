"""The data folder: one user at a time, and the keys that belong to the data in it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from app.stack.errors import AlreadyRunning


class Keys(msgspec.Struct, frozen=True):
    """Made once per data folder. `owner_key` must never change: everything stored hangs on it."""

    s3_access_key_id: str
    s3_secret_access_key: str
    owner_key: str


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Create the folder if need be and hold it for this process. Raises AlreadyRunning.

    The lock belongs to the open file, so it ends with the process, however that ends.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(
                f"HuaBan is already running on {folder} (process {lock.read().strip() or 'unknown'}).",
                "Use that one, stop it first, or choose another folder with --data (HUABAN_DATA).",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def keys(folder: Path) -> Keys:
    """The keys of this folder, made at the first call and readable by their owner only."""
    path = folder / "keys.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Keys)
    made = Keys(f"huaban{secrets.token_hex(8)}", secrets.token_hex(24), secrets.token_hex(32))
    # Under its name only once it is whole: a crash in between must not leave half a key.
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(msgspec.to_builtins(made), file, indent=2)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
    return made
