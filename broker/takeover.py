"""Taking over a queue that plain dramatiq-mongodb has filled: its documents get the fields that they lack there.

It knows QUEUED, CONSUMED, DONE and REJECTED, has no lease, no place in line and no expiry, and keeps a delay as an
`eta` in the message's options. What it left CONSUMED was lost with its worker, so that is ready again.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bson import Timestamp
from dramatiq.logging import get_logger
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from broker import documents
from broker.documents import Document, State

if TYPE_CHECKING:
    from broker.broker import MongoBroker

AT_ONCE = 1000
EARLIER_INDEX = "ready"
"""What "in_line" was called, with fewer keys, in the first version of this package."""
_UNTOUCHED = {"seq": {"$exists": False}, "due": {"$exists": False}}


def take_over(queue: Collection[Any], broker: MongoBroker) -> None:
    """Give an older queue's documents their fields, once: a queue that has our indexes was taken over before."""
    indexes = queue.index_information()
    if "in_line" in indexes:
        return
    if EARLIER_INDEX in indexes:
        # Another process may be doing the same.
        with suppress(OperationFailure):
            queue.drop_index(EARLIER_INDEX)
    old = {**_UNTOUCHED, "state": {"$in": [State.QUEUED, State.CONSUMED]}}
    updates = [UpdateOne({**old, "_id": found["_id"]}, _lined_up(found, broker)) for found in queue.find(old)]
    for first in range(0, len(updates), AT_ONCE):
        queue.bulk_write(updates[first : first + AT_ONCE], ordered=False)
    for state, keep_ms in ((State.DONE, broker.done_ttl_ms), (State.REJECTED, broker.dead_ttl_ms)):
        endless = {"state": state, "expire_at": {"$exists": False}}
        queue.update_many(endless, [{"$set": {"expire_at": documents.after(keep_ms)}}])
    if updates:
        get_logger(__name__).info("Queue %r was taken over with %d messages.", queue.name, len(updates))


def eta_of(document: Document) -> datetime | None:
    """When a message that an older sender delayed is due; None for any other."""
    if "seq" in document:
        return None
    try:
        return documents.moment_of(document["msg"]["options"]["eta"])
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _lined_up(document: Document, broker: MongoBroker) -> documents.Pipeline:
    if eta := eta_of(document):
        return [{"$set": {"priority": 0, "crashes": 0, "state": State.DELAYED, "due": eta}}]
    try:
        sent_s, ms = divmod(int(document["msg"]["message_timestamp"]), 1000)
        # Whoever only sends may not know the actor.
        actor = broker.actors.get(document["msg"]["actor_name"])
        priority = actor.priority if actor else 0
        seq = Timestamp(sent_s, 1 + ms)
    except (KeyError, TypeError, ValueError, OverflowError):
        # No message. Whoever claims it will see.
        priority, seq = 0, Timestamp(0, 1)
    return [{"$set": {"priority": priority, "crashes": 0, "state": State.QUEUED, "seq": seq}}]
