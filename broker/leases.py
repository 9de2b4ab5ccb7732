"""A worker process's side of its lease: which worker it is, which queues it reads, what it is running just now."""

from __future__ import annotations

import atexit
import itertools
import json
import math
import mmap
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock, get_ident
from typing import IO, Any
from uuid import UUID, uuid4

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from broker import guardian, standby
from broker.guardian import (
    MESSAGE_BYTES,
    SESSION_BYTES,
    SHARED_BYTES,
    SLOT_BYTES,
    SLOTS,
    TRUST,
    TRUST_AT,
    clock_s,
)

RENEW_BELOW = 0.6
"""The share of a lease that is left when the worker renews it itself. With a guardian at work there is always more."""


NOT_FOR_GUARDIANS = {"document_class", "type_registry", "event_listeners", "auto_encryption_opts", "server_api"}
"""Client options that hold objects of the application; the guardian needs none and could not always load them."""


class Lease:
    """The lease of one worker process. It begins with the first queue it has to cover and ends with `close`.

    Renewing it is the work of a guardian, a small process of its own (see `guardian`), because a step may keep this
    process's interpreter to itself for longer than a lease lasts. What runs here is written to shared memory, one slot
    a thread, which costs no call to the system and outlives this process; behind the slots the guardian notes until
    when the lease is sure to hold.
    """

    def __init__(
        self,
        client: MongoClient[Any],
        database_name: str,
        workers_name: str,
        *,
        lease_s: float,
        max_crashes: int,
        dead_ttl_ms: int,
    ) -> None:
        self.worker_id = ""
        self._client = client
        # Whatever the client was told: what is trusted has to be on a majority, and read where it was written.
        self._workers = client[database_name].get_collection(
            workers_name, write_concern=WriteConcern("majority"), read_preference=ReadPreference.PRIMARY
        )
        self._lock = Lock()
        self._pid = 0
        self._guardian: subprocess.Popen[bytes] | None = None
        self._slots: mmap.mmap | None = None
        self._shared: IO[bytes] | None = None
        self._collections: set[str] = set()
        self._slot_of: dict[int, int] = {}
        self._slot_numbers = itertools.cycle(range(SLOTS))
        self._orders: dict[str, Any] = {
            "database": database_name,
            "workers": workers_name,
            "lease_s": lease_s,
            "max_crashes": max_crashes,
            "dead_ttl_ms": dead_ttl_ms,
        }

    def cover(self, collection_name: str) -> None:
        """Hold the lease for a queue's collection from now on. Must come before the first claim from it."""
        with self._lock:
            if self._pid != os.getpid():
                self._begin()
            self._collections.add(collection_name)
            self._renew()

    def is_trusted(self, *, since: float) -> bool:
        """Whether nobody can have taken what was claimed at `since`, by `clock_s`, without asking the database.

        False after the process or its machine was stopped for longer than a lease: what it still has in its memory may
        belong to others.
        """
        first, until = self._trusted()
        return first <= since and clock_s() < until

    def is_any_alive(self, worker_ids: list[str]) -> bool:
        """Whether any of these workers still has its lease, on the server's clock."""
        alive = {"_id": {"$in": worker_ids}, "$expr": {"$gte": ["$expires", "$$NOW"]}}
        return bool(worker_ids) and self._workers.find_one(alive, {"_id": 1}) is not None

    def keep(self) -> None:
        """Start the guardian again, should something have killed it, and renew the lease while it does not."""
        with self._lock:
            if self._pid != os.getpid():
                return
            if self._guardian and self._guardian.poll() is not None:
                self._end_guardian(self._guardian)
                self._start_guardian()
            if self._trusted()[1] - clock_s() < self._orders["lease_s"] * RENEW_BELOW:
                # The guardian tries, too, and the next call will.
                with suppress(PyMongoError):
                    self._renew()

    def mark_running(self, message_id: UUID) -> Callable[[bytes], None]:
        """Note that the calling thread starts this message; returns what notes the sessions of its transactions."""
        slot = self._slot()
        self._write(slot, message_id.bytes + bytes(SESSION_BYTES))
        return partial(self._write, slot + MESSAGE_BYTES)

    def mark_idle(self) -> None:
        """Note that the calling thread runs nothing."""
        self._write(self._slot(), bytes(SLOT_BYTES))

    def excuse(self) -> None:
        """Charge nothing that runs now with the end of this process, which was asked to stop."""
        for start in range(0, SLOTS * SLOT_BYTES, SLOT_BYTES):
            # The session behind it stays, to be ended if need be.
            self._write(start, bytes(MESSAGE_BYTES))

    def close(self) -> None:
        """End the lease: the guardian gives back what is still held, uncharged unless it is running, and ends."""
        with self._lock:
            if self._pid != os.getpid():
                return
            if self._guardian:
                self._end_guardian(self._guardian)
                self._guardian = None
            if self._shared:
                self._shared.close()
            self._pid = 0
            atexit.unregister(self.close)

    def _trusted(self) -> tuple[float, float]:
        """From when on and until when the lease is sure to hold, by `clock_s`."""
        if self._slots is None:
            return math.inf, -math.inf
        first, until = TRUST.unpack_from(self._slots, TRUST_AT)
        return first, until

    def _renew(self) -> None:
        asked_at, lease_s = clock_s(), self._orders["lease_s"]
        self._workers.update_one({"_id": self.worker_id}, guardian.renewal(lease_s, self._collections), upsert=True)
        if self._slots is not None:
            guardian.trust(self._slots, asked_at=asked_at, lease_s=lease_s)

    def _end_guardian(self, running: subprocess.Popen[bytes]) -> None:
        if running.stdin:
            running.stdin.close()
        try:
            running.wait(timeout=self._orders["lease_s"])
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()

    def _slot(self) -> int:
        """Where the calling thread's slot begins."""
        thread = get_ident()
        if thread not in self._slot_of:
            self._slot_of[thread] = next(self._slot_numbers)
        return self._slot_of[thread] * SLOT_BYTES

    def _write(self, start: int, value: bytes) -> None:
        if self._slots is not None:
            self._slots[start : start + len(value)] = value

    def _begin(self) -> None:
        """Become a worker with a new id: a process that died under the old one is somebody else."""
        self.worker_id = uuid4().hex
        self._collections.clear()
        self._slot_of.clear()
        self._shared = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as a guardian may have to be started)
        self._shared.truncate(SHARED_BYTES)
        self._slots = mmap.mmap(self._shared.fileno(), SHARED_BYTES)
        self._start_guardian()
        self._pid = os.getpid()
        atexit.register(self.close)

    def _start_guardian(self) -> None:
        assert self._shared is not None  # noqa: S101 (made by `_begin`)
        orders = {
            **self._orders,
            "worker_id": self.worker_id,
            "collections": sorted(self._collections),
            "parent_pid": os.getpid(),
            "shared_fd": self._shared.fileno(),
            # The driver has no public way to open a second client like a given one in another process.
            "client": {k: v for k, v in self._client._init_kwargs.items() if k not in NOT_FOR_GUARDIANS},  # noqa: SLF001
        }
        self._guardian = subprocess.Popen(
            # Isolated and without packages: a bare interpreter starts ten times as quickly.
            [sys.executable, "-I", "-S", standby.__file__],
            stdin=subprocess.PIPE,
            pass_fds=[self._shared.fileno()],
            start_new_session=True,
        )
        assert self._guardian.stdin is not None  # noqa: S101 (Popen was asked for a pipe)
        body = pickle.dumps(orders)
        header = {
            "bytes": len(body),
            "standby_s": standby.STANDBY_S,
            "path": [path or str(Path.cwd()) for path in sys.path],
        }
        self._guardian.stdin.write(json.dumps(header).encode() + b"\n" + body)
        self._guardian.stdin.flush()
