"""How a message looks in the database, and every change of state it can make, each one atomic and named.

A queue is a collection. A message is one document, from its sending until it expires:

    _id         the message id
    msg         the message as Dramatiq's `Message.asdict()` gives it (the layout of dramatiq-mongodb)
    state       DELAYED -> QUEUED -> CONSUMED -> DONE or REJECTED, see State
    priority    the actor's; a lower number goes first
    seq         the server's timestamp when it became ready: its place in line within its priority
    due         while DELAYED: when it becomes ready, on the server's clock
    lease       while CONSUMED: {worker, token}
    crashes     how many worker processes died while running it
    expire_at   once finished: when the TTL index removes it
    reason      once REJECTED: why, in a few words

The lease has two halves. `lease.worker` names a document in the workers collection whose `expires` the worker's
guardian keeps in the future; so a heartbeat is one write, however many messages are held, and touches no queue index.
`lease.token` is new with every claim and never changes: each write on behalf of a delivery asks for it, so a worker
that lost its lease cannot touch the newer delivery.

All three working indexes are partial. Finished messages are in none of them, and a message that is not due is not in
the index that claims read, so neither a long history nor a long calendar slows a claim down.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from bson import Timestamp
from dramatiq.message import Message
from pymongo import ASCENDING, IndexModel

from broker.errors import Unreadable

Document = dict[str, Any]
Pipeline = list[dict[str, Any]]
Outcome = Document | Pipeline
"""An update that settles a delivery."""


class State(StrEnum):
    """The states of dramatiq-mongodb, and DELAYED."""

    DELAYED = "DELAYED"
    """Waits for its due time."""
    QUEUED = "QUEUED"
    """Ready: any consumer may claim it."""
    CONSUMED = "CONSUMED"
    """Claimed under a lease: prefetched or running."""
    DONE = "DONE"
    """Acked. Kept for a while, then expired."""
    REJECTED = "REJECTED"
    """A dead letter: nacked, or its workers died too often."""


FINISHED = [State.DONE, State.REJECTED]
LIVE = [State.DELAYED, State.QUEUED, State.CONSUMED]

# An empty timestamp at the top level of an inserted document is filled in by the server: seconds and a counter that
# never repeats, which is first in, first out on the server's clock at the price of a plain insert.
SERVER_TIMESTAMP = Timestamp(0, 0)
# The same for an update.
_SERVER_TIMESTAMP_NOW = {"seq": {"$type": "timestamp"}}

INDEXES = [
    IndexModel(
        [("priority", ASCENDING), ("seq", ASCENDING)],
        name="ready",
        partialFilterExpression={"state": State.QUEUED},
    ),
    IndexModel([("due", ASCENDING)], name="delayed", partialFilterExpression={"state": State.DELAYED}),
    IndexModel(
        [("lease.worker", ASCENDING), ("lease.token", ASCENDING)],
        name="leased",
        partialFilterExpression={"state": State.CONSUMED},
    ),
    IndexModel([("expire_at", ASCENDING)], name="expiry", expireAfterSeconds=0, sparse=True),
    IndexModel([("expire_at", ASCENDING)], name="dead", partialFilterExpression={"state": State.REJECTED}),
]


def message_of(document: Document) -> Message[Any]:
    """The message in a document. Raises Unreadable."""
    try:
        msg = document["msg"]
        UUID(msg["message_id"])
        return Message(
            **{**msg, "args": tuple(msg["args"]), "kwargs": {**msg["kwargs"]}, "options": {**msg["options"]}}
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def epoch_s(moment: datetime) -> float:
    """Seconds since 1970 of a time from the driver, which leaves its zone, UTC, unsaid."""
    return moment.replace(tzinfo=UTC).timestamp()


def after(milliseconds: float) -> Document:
    """The server's clock plus a delay, as an expression."""
    return {"$add": ["$$NOW", int(milliseconds)]}


def new(message_id: str, msg: Document, *, priority: int) -> Document:
    """A message that is ready at once."""
    return {
        "_id": UUID(message_id),
        "msg": msg,
        "state": State.QUEUED,
        "priority": priority,
        "seq": SERVER_TIMESTAMP,
        "crashes": 0,
    }


def delayed(msg: Document, *, priority: int, delay_ms: float) -> Pipeline:
    """An upsert of a message that becomes ready later. `$literal` keeps "$" in a message's words from being read."""
    return [
        {
            "$set": {
                "msg": {"$literal": msg},
                "state": State.DELAYED,
                "priority": priority,
                "due": after(delay_ms),
                "crashes": 0,
            }
        },
        {"$unset": ["expire_at", "reason"]},
    ]


def revived(msg: Document, *, priority: int) -> Document:
    """A finished message that is sent once more under its old id, at the end of the line."""
    return {
        "$set": {"msg": msg, "state": State.QUEUED, "priority": priority, "crashes": 0},
        "$unset": {"expire_at": "", "reason": ""},
        "$currentDate": _SERVER_TIMESTAMP_NOW,
    }


def promoted(due: datetime) -> Document:
    """A delayed message that became ready. Its place in line is its due time, so one that repeats overtakes nobody."""
    moment = due.replace(tzinfo=UTC)
    # The counter of a timestamp says nothing but the order within its second.
    seq = Timestamp(int(moment.timestamp()), 1 + moment.microsecond // 1000)
    return {"$set": {"state": State.QUEUED, "seq": seq}, "$unset": {"due": ""}}


def claimed(worker: str, token: UUID) -> Document:
    return {"$set": {"state": State.CONSUMED, "lease": {"worker": worker, "token": token}}}


def given_back() -> Document:
    """Untouched, at its old place in line."""
    return {"$set": {"state": State.QUEUED}, "$unset": {"lease": ""}}


def rescheduled(msg: Document, *, delay_ms: float | None) -> Outcome:
    """The same message once more: after a delay, or at the end of the line. It has run without killing its worker."""
    if delay_ms:
        fields = {"msg": {"$literal": msg}, "state": State.DELAYED, "due": after(delay_ms), "crashes": 0}
        return [{"$set": fields}, {"$unset": "lease"}]
    return {
        "$set": {"msg": msg, "state": State.QUEUED, "crashes": 0},
        "$unset": {"lease": ""},
        "$currentDate": _SERVER_TIMESTAMP_NOW,
    }


def done(*, keep_ms: int) -> Pipeline:
    return [{"$set": {"state": State.DONE, "expire_at": after(keep_ms)}}, {"$unset": "lease"}]


def rejected(reason: str, *, keep_ms: int) -> Pipeline:
    return [
        {"$set": {"state": State.REJECTED, "reason": {"$literal": reason}, "expire_at": after(keep_ms)}},
        {"$unset": "lease"},
    ]
