"""The guardian of one worker process: a small process beside it that keeps its lease, and ends it when the worker dies.

It renews the worker's lease as long as the worker lives, whatever native code the worker is busy with. When the worker
is gone, however it went, the guardian gives its messages back at once: those that were running are charged a crash,
those that were only prefetched are not. Should both die together, with their machine, the lease runs out and the
guardian of any other worker does the same.

Started by `standby` as a program; it imports nothing of ours so that it stays small. Standard input stays open for as
long as the worker lives.
"""

from __future__ import annotations

import mmap
import os
import pickle
import random
import select
import struct
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pymongo
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions
from pymongo import MongoClient, ReturnDocument
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ExecutionTimeout, OperationFailure, PyMongoError
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

Document = dict[str, Any]
BEATS_PER_LEASE = 4
CAUGHT_AFTER_S = 0.2
SLOTS = 4096
MESSAGE_BYTES = 16
SESSION_BYTES = 16
SLOT_BYTES = MESSAGE_BYTES + SESSION_BYTES
"""What a thread runs: the message's id, and that of the session whose transaction it began last."""
TRUST = struct.Struct("dd")
"""Behind the slots, by `clock_s`: from when on and until when the lease is sure to hold without a gap."""
TRUST_AT = SLOTS * SLOT_BYTES
SHARED_BYTES = TRUST_AT + TRUST.size


def clock_s() -> float:
    """A clock that all processes of this machine share, nobody sets, and sleep does not stop."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def trust(shared: mmap.mmap, *, asked_at: float, lease_s: float) -> None:
    """Note that the lease was renewed for `lease_s` seconds. One that had run out begins anew: others may have come."""
    since, until = TRUST.unpack_from(shared, TRUST_AT)
    if asked_at > until:
        since = asked_at
        # In two steps: whoever reads in between must not find the old beginning with the new end.
        TRUST.pack_into(shared, TRUST_AT, since, until)
    TRUST.pack_into(shared, TRUST_AT, since, asked_at + lease_s)


def renewal(lease_s: float, collections: set[str]) -> list[Document]:
    """The update that puts a worker's deadline `lease_s` into the future, and names the queues that it reads."""
    return [
        {
            "$set": {
                "expires": {"$add": ["$$NOW", int(lease_s * 1000)]},
                "collections": {"$setUnion": [{"$ifNull": ["$collections", []]}, sorted(collections)]},
            }
        }
    ]


def charged(max_crashes: int, dead_ttl_ms: int) -> list[Document]:
    """The update of a message that was running when its worker died: ready again, or a dead letter."""
    too_often = {"$gte": ["$crashes", max_crashes]}
    return [
        {"$set": {"crashes": {"$add": [{"$ifNull": ["$crashes", 0]}, 1]}}},
        {
            "$set": {
                "state": {"$cond": [too_often, "REJECTED", "QUEUED"]},
                "reason": {"$cond": [too_often, "its worker died each time it ran", "$$REMOVE"]},
                "expire_at": {"$cond": [too_often, {"$add": ["$$NOW", dead_ttl_ms]}, "$$REMOVE"]},
                "failed_at": {"$cond": [too_often, "$$NOW", "$$REMOVE"]},
                "attempts": {
                    "$cond": [too_often, {"$add": [{"$ifNull": ["$msg.options.retries", 0]}, "$crashes"]}, "$$REMOVE"]
                },
                "unique_key": {"$cond": [too_often, "$$REMOVE", "$unique_key"]},
            }
        },
        {"$unset": "lease"},
    ]


class Guardian:
    """Keeps one worker's lease by the orders that `leases` has sent, and rescues the messages of workers that died."""

    def __init__(self, orders: Document) -> None:
        self.worker_id: str = orders["worker_id"]
        self.parent_pid: int = orders["parent_pid"]
        self.collections: set[str] = set(orders["collections"])
        self.lease_s: float = orders["lease_s"]
        self.max_crashes: int = orders["max_crashes"]
        self.dead_ttl_ms: int = orders["dead_ttl_ms"]
        self.shared = mmap.mmap(orders["shared_fd"], 0)
        client: MongoClient[Document] = MongoClient(**{**orders["client"], "serverSelectionTimeoutMS": 2000})
        self.database: Database[Document] = client.get_database(
            orders["database"],
            codec_options=CodecOptions(uuid_representation=UuidRepresentation.STANDARD),
            write_concern=WriteConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
        )
        self.workers = self.database[orders["workers"]]
        self.last_beat = clock_s()
        self.rescue_from = self.last_beat + self.lease_s
        self.orphans_from = self.rescue_from

    def watch(self) -> None:
        """Renew and rescue until the worker is gone; then end its lease."""
        within_s = 0.0
        while not self._is_worker_gone(within_s=within_s):
            with suppress(PyMongoError):
                self._beat()
            within_s = self.lease_s / BEATS_PER_LEASE * random.uniform(0.8, 1.0)  # noqa: S311
        self._end_lease()

    def _beat(self) -> None:
        if not is_suspended(self.parent_pid):
            self._renew()
        now = clock_s()
        if now - self.last_beat > self.lease_s / 2:
            # The database or this machine was away. If that was so for everyone, everyone's lease has run out, and
            # whoever lives must get the time to say so before anything is taken away.
            self.rescue_from = now + self.lease_s
        if now > self.rescue_from:
            self._rescue_expired()
            if now > self.orphans_from:
                self._rescue_orphans()
                self.orphans_from = now + self.lease_s
        self.last_beat = now

    def _is_worker_gone(self, *, within_s: float) -> bool:
        """The pipe closes with its last holder, which may be a child of the worker; so ask for the parent too."""
        readable, _, _ = select.select([sys.stdin], [], [], within_s)
        return bool(readable) or os.getppid() != self.parent_pid

    def _renew(self) -> None:
        asked_at = clock_s()
        renewed = self.workers.find_one_and_update(
            {"_id": self.worker_id},
            [
                *renewal(self.lease_s, self.collections),
                {"$set": {"running": self._running(), "sessions": self._sessions()}},
            ],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        trust(self.shared, asked_at=asked_at, lease_s=self.lease_s)
        # Remembered, because a rescuer deletes the document of a worker that was away for too long.
        self.collections.update(renewed["collections"] if renewed else [])

    def _rescue_expired(self) -> None:
        for worker in self.workers.find({"_id": {"$ne": self.worker_id}, "$expr": {"$lt": ["$expires", "$$NOW"]}}):
            if clock_s() - self.last_beat > self.lease_s / BEATS_PER_LEASE:
                # The next renewal comes first, and then the others' documents as they are by then.
                return
            # The document goes last: as long as it is there, somebody will finish what is begun here.
            self._end_transactions(worker.get("sessions", []))
            self._give_back(worker["_id"], worker.get("collections", []), worker.get("running", []))
            self.workers.delete_one({"_id": worker["_id"], "expires": worker["expires"]})

    def _rescue_orphans(self) -> None:
        """Give back what belongs to workers without a document: a claim that arrived after its worker's end."""
        for name in self.collections:
            # In this order: a worker has a document before it claims, so one that is missing then has ended. "$gt"
            # lets the index be used.
            holders = self.database[name].distinct("lease.worker", {"state": "CONSUMED", "lease.worker": {"$gt": ""}})
            known = {worker["_id"] for worker in self.workers.find({"_id": {"$in": holders}}, {"_id": 1})}
            for worker_id in set(holders) - known:
                self._give_back(worker_id, [name], [])

    def _end_lease(self) -> None:
        give_up_at = time.monotonic() + self.lease_s
        while time.monotonic() < give_up_at:
            try:
                last = {"running": self._running(), "sessions": self._sessions()}
                # Written down for the case that somebody else has to finish this.
                worker = self.workers.find_one_and_update({"_id": self.worker_id}, {"$set": last}) or {}
                self._end_transactions(self._sessions())
                self._give_back(self.worker_id, self.collections.union(worker.get("collections", [])), self._running())
                self.workers.delete_one({"_id": self.worker_id})
                return
            except PyMongoError:
                time.sleep(0.1)

    def _end_transactions(self, sessions: list[UUID]) -> None:
        """Abort what a dead worker left open: until then, for up to a minute, its messages could not be written to."""
        # None given would mean all there are.
        if sessions:
            # Not granted everywhere. Without it the messages return when the server gives the transaction up.
            with suppress(OperationFailure):
                self.database.client.admin.command(
                    "killSessions", [{"id": Binary.from_uuid(session)} for session in sessions]
                )

    def _give_back(self, worker_id: str, collections: Iterable[str], running: list[UUID]) -> None:
        held = {"state": "CONSUMED", "lease.worker": worker_id}
        for name in collections:
            if running:
                ran = {**held, "_id": {"$in": running}}
                self._update_all(self.database[name], ran, charged(self.max_crashes, self.dead_ttl_ms))
            self._update_all(self.database[name], held, [{"$set": {"state": "QUEUED"}}, {"$unset": "lease"}])

    def _update_all(self, queue: Collection[Document], which: Document, update: list[Document]) -> None:
        """Update these, in bounded time, because the next renewal waits. Raises PyMongoError if some are left.

        A document that is in somebody's open transaction makes whoever writes to it wait, and all that come after it.
        """
        try:
            with pymongo.timeout(self.lease_s / BEATS_PER_LEASE):
                queue.update_many(which, update)
        except PyMongoError as error:
            if not error.timeout:
                raise
            with pymongo.timeout(self.lease_s / BEATS_PER_LEASE):
                ids = queue.distinct("_id", which)
                for one in ids:
                    with suppress(ExecutionTimeout), pymongo.timeout(CAUGHT_AFTER_S):
                        queue.update_one({**which, "_id": one}, update)
            raise

    def _running(self) -> list[UUID]:
        return self._ids(first=0)

    def _sessions(self) -> list[UUID]:
        return self._ids(first=MESSAGE_BYTES)

    def _ids(self, *, first: int) -> list[UUID]:
        slots = self.shared[: SLOTS * SLOT_BYTES]
        found = (slots[start : start + 16] for start in range(first, len(slots), SLOT_BYTES))
        return [UUID(bytes=raw) for raw in found if any(raw)]


def is_suspended(pid: int) -> bool:
    """Whether a process was stopped by a signal or a debugger; False where the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in {"T", "t"}


def main(orders: bytes) -> None:
    """Watch by these orders, which `leases` has pickled, until the worker is gone."""
    Guardian(pickle.loads(orders)).watch()  # noqa: S301 (from our own parent)


if __name__ == "__main__":
    main(globals()["ORDERS"])
