"""A rate limiter backend on MongoDB: counters for Dramatiq's limiters, barriers and group callbacks.

Every kind of document lives in one collection, `{prefix}dramatiq_limits`, and has an `expire_at` on the server's
clock, after which it counts as absent:

    {_id: key, value, grant}                         a counter. A notification (see `wait`) is one that says 1
    {_id: key, value, grant, parties, closer}        the barrier of a group: how many children it waits for, and the
                                                     child that completed it
    {_id: {group: key, child: message id}}           a child of a group that has finished
    {_id: {window: name}, counts: [{key, value, expire_at}], grant}
                                                     all counters of one window limiter

`grant` is new with each change that is granted, and a change that is refused changes nothing; so the server's count of
modified documents is the answer, also when the driver had to ask twice.

A finished child is a document of its own for the sake of large groups. In one of 10,000, eight threads at work, each
child takes 3 to 4 ms from the first to the last, where a counter alone takes 2.5. A set of children in the barrier's
document would be rewritten as a whole by each of them: 1 ms at the start, 15 ms at the end, and ever more beyond.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from bson import MaxKey, MinKey, ObjectId
from dramatiq.errors import ConnectionError as BrokerConnectionError
from dramatiq.rate_limits import RateLimiterBackend
from pymongo import ReturnDocument, UpdateOne
from pymongo.database import Database
from pymongo.errors import PyMongoError

from broker.delivery import Delivery, current_delivery, reschedule_current
from broker.documents import Document, Pipeline, after
from broker.errors import driver_errors
from broker.expiring import IS_ALIVE, Expiring, look_until_found

CHILD_LIVES = 7
"""How many times as long as its barrier a finished child is remembered.

Each child that finishes prolongs the barrier, but not the children before it: a group may take longer than one TTL.
"""
COUNT_AGAIN_AFTER_MS = 1000
"""When a child that could not be counted is run again."""

_VALUE: Document = {"$cond": [IS_ALIVE, "$value", 0]}


class MongoRateLimiterBackend(RateLimiterBackend):
    """Limits and barriers that all processes share, as Dramatiq's Redis backend has them.

    Every operation is atomic on the server, is safe on a majority when it returns, and takes no part in a transaction
    around the caller. Each may raise ConnectionError; an operation that raised it may or may not have happened.

    Parameters:
      database: where the counters live. Its client is not opened before the first use, so it may be made before a fork.
      collection_prefix: put before the name of the collection, followed by "_"; the broker's.
    """

    def __init__(self, *, database: Database[Any], collection_prefix: str = "") -> None:
        prefix = f"{collection_prefix.rstrip('_')}_" if collection_prefix else ""
        self._limits = Expiring(database, f"{prefix}dramatiq_limits")

    def add(self, key: str, value: int, ttl: int) -> bool:
        """Set a counter that is absent, for `ttl` milliseconds. False, and nothing changed, when it is there."""
        return self._change(key, {"$not": [IS_ALIVE]}, value, ttl, upsert=True)

    def incr(self, key: str, amount: int, maximum: int, ttl: int) -> bool:
        """Raise a counter (0 when absent), and let it live for `ttl` milliseconds from now.

        False, and nothing changed, when it would exceed the maximum.
        """
        raised = {"$add": [_VALUE, amount]}
        return self._change(key, {"$lte": [raised, maximum]}, raised, ttl, upsert=amount <= maximum)

    def decr(self, key: str, amount: int, minimum: int, ttl: int) -> bool:
        """Lower a counter (0 when absent), and let it live for `ttl` milliseconds from now.

        False, and nothing changed, when it would fall below the minimum: for a barrier, when all have arrived.

        A child of a group counts once: while a message is run whose `group_completion_uuid` is the key, it lowers the
        barrier of its group at its first run only, and a later run is told what the first was told. So the callback
        is sent by the child that completed the group, and by no other. One that cannot be counted is run again.
        """
        delivery = current_delivery()
        if delivery and delivery.options.get("group_completion_uuid") == key:
            return not self._arrive(delivery, key, amount, minimum, ttl)
        lowered = {"$subtract": [_VALUE, amount]}
        return self._change(key, {"$gte": [lowered, minimum]}, lowered, ttl, upsert=-amount >= minimum)

    def incr_and_sum(
        self, key: str, keys: Callable[[], Iterable[str]] | Iterable[str], amount: int, maximum: int, ttl: int
    ) -> bool:
        """Raise a counter unless it, or the sum of `keys`, would exceed the maximum.

        All keys of one call must agree in what stands before their last "@" (the limiter's name in those of
        WindowRateLimiter); ValueError otherwise. They are one document, which makes the sum exact however many ask at
        once, with or without a replica set; `add`, `incr` and `decr` do not see these counters. The sum includes those
        that sort after all of `keys`, which are later seconds of the window. Which second it is says the clock of
        whoever asks, as everywhere in Dramatiq.
        """
        summed = list(keys() if callable(keys) else keys)
        window = key.rpartition("@")[0]
        if any(other.rpartition("@")[0] != window for other in summed):
            raise ValueError(f"the keys summed with {key!r} belong to more than one window")
        update = _window_update(key, summed, amount, maximum, ttl)
        return self._update({"window": window}, update, upsert=amount <= maximum)

    def wait(self, key: str, timeout: int | None) -> bool:
        """Wait for a notification, up to `timeout` milliseconds; None waits for ever. False when none came."""
        look = {"_id": key, "$expr": IS_ALIVE}
        timeout_s = math.inf if timeout is None else timeout / 1000
        with driver_errors():
            return look_until_found(lambda: self._limits.collection.find_one(look), timeout_s=timeout_s) is not None

    def wait_notify(self, key: str, ttl: int) -> None:
        """Notify all who wait for a key, and all who will within `ttl` milliseconds."""
        self._change(key, {"$literal": True}, 1, ttl, upsert=True)

    def _change(self, key: str, is_granted: Any, value: Any, ttl: int, *, upsert: bool) -> bool:
        changed = _merged({"value": value, "expire_at": after(ttl), "grant": ObjectId()})
        return self._update(key, [{"$replaceWith": {"$cond": [is_granted, changed, "$$ROOT"]}}], upsert=upsert)

    def _update(self, document_id: Any, update: Pipeline, *, upsert: bool) -> bool:
        """Whether the update was granted. `upsert` says whether it would be where there is no document yet."""
        with driver_errors():
            self._limits.ensure_index()
            result = self._limits.collection.update_one({"_id": document_id}, update, upsert=upsert)
        return result.upserted_id is not None or result.modified_count == 1

    def _arrive(self, delivery: Delivery, key: str, amount: int, minimum: int, ttl: int) -> bool:
        """Whether this child completed its group, at this run or at an earlier one."""
        child = UUID(delivery.message_id)
        try:
            with driver_errors():
                barrier = self._note_arrival(key, child, amount, ttl)
                # What is left is an estimate: children that ran twice are in it twice. It is never too high once all
                # have arrived, so that it saves all but the last of them from counting.
                if barrier["value"] < minimum and "closer" not in barrier:
                    barrier = self._close_if_complete(barrier, child, amount, minimum)
        except (BrokerConnectionError, PyMongoError):
            # Dramatiq logs what fails in middleware and acks the message, and the group would never be complete.
            if not delivery.settled:
                reschedule_current(delay_ms=COUNT_AGAIN_AFTER_MS)
            raise
        return barrier.get("closer") == child

    def _note_arrival(self, key: str, child: UUID, amount: int, ttl: int) -> Document:
        """Remember the child, then lower what is left; the barrier as it is then.

        In this order: a worker that dies in between leaves a child that is remembered and will run again.
        """
        self._limits.ensure_index()
        lowered = {
            "value": {"$subtract": [_VALUE, amount]},
            "parties": {"$cond": [IS_ALIVE, {"$ifNull": ["$parties", "$value"]}, 0]},
            "expire_at": after(ttl),
        }
        # Two updates are one command, and one wait for the majority.
        self._limits.collection.bulk_write(
            [
                UpdateOne(
                    {"_id": {"group": key, "child": child}},
                    [{"$set": {"expire_at": after(CHILD_LIVES * ttl)}}],
                    upsert=True,
                ),
                UpdateOne({"_id": key}, [{"$replaceWith": _merged(lowered)}], upsert=True),
            ]
        )
        barrier: Document | None = self._limits.collection.find_one({"_id": key})
        return barrier or {"_id": key, "value": 0, "parties": 0}

    def _close_if_complete(self, barrier: Document, child: UUID, amount: int, minimum: int) -> Document:
        """Make the child the one that completed the group, if it is complete and nobody else was quicker."""
        key = barrier["_id"]
        children = {"$gte": {"group": key, "child": MinKey()}, "$lte": {"group": key, "child": MaxKey()}}
        arrived = self._limits.collection.count_documents({"_id": children})
        if barrier["parties"] - amount * arrived >= minimum:
            return barrier
        closed: Document | None = self._limits.collection.find_one_and_update(
            {"_id": key},
            [{"$set": {"closer": {"$ifNull": ["$closer", child]}}}],
            return_document=ReturnDocument.AFTER,
        )
        return closed or barrier


def _merged(fields: Document) -> Document:
    """The document with these fields changed; one that has expired is begun anew."""
    return {"$mergeObjects": [{"$cond": [IS_ALIVE, "$$ROOT", {"_id": "$_id"}]}, fields]}


def _window_update(key: str, summed: list[str], amount: int, maximum: int, ttl: int) -> Pipeline:
    """Raise one count of a window, unless it or the sum of some would exceed the maximum. Forgets what has expired."""

    def counts_where(condition: Document, counts: Any = "$alive") -> Document:
        return {"$filter": {"input": counts, "as": "count", "cond": condition}}

    def total(counts: Document) -> Document:
        return {"$sum": {"$map": {"input": counts, "as": "count", "in": "$$count.value"}}}

    of_key, of_other = ({operator: ["$$count.key", {"$literal": key}]} for operator in ("$eq", "$ne"))
    raised = {"key": {"$literal": key}, "value": {"$add": ["$own", amount]}, "expire_at": after(ttl)}
    granted = {
        "counts": {"$concatArrays": [counts_where(of_other), [raised]]},
        "expire_at": {"$max": ["$expire_at", after(ttl)]},
        "grant": ObjectId(),
    }
    is_granted = {"$lte": [{"$add": [{"$max": ["$own", "$sum"]}, amount]}, maximum]}
    is_alive = {"$gt": ["$$count.expire_at", "$$NOW"]}
    latest = {"$literal": max([key, *summed])}
    return [
        {"$set": {"alive": counts_where(is_alive, {"$ifNull": ["$counts", []]})}},
        # Hashed, and usually empty or of one key, where looking each key up in the list would take a third of a second
        # in a window of an hour.
        {"$set": {"others": {"$setDifference": ["$alive.key", {"$literal": summed}]}}},
        # Keys of a window end in the second they count. One that sorts after all of ours was counted while we were on
        # our way, by a rival for whom the next second had begun: without it two would take the last place.
        {"$set": {"others": {"$filter": {"input": "$others", "as": "other", "cond": {"$lt": ["$$other", latest]}}}}},
        {
            "$set": {
                "own": total(counts_where(of_key)),
                "sum": total(counts_where({"$not": {"$in": ["$$count.key", "$others"]}})),
            }
        },
        {"$set": {name: {"$cond": [is_granted, new, f"${name}"]} for name, new in granted.items()}},
        {"$unset": ["alive", "others", "own", "sum"]},
    ]
