"""How a message looks in the database, and every change of state it can make, each one atomic and named.

A queue is a collection. A message is one document, from its sending until it expires:

    _id         the message id
    msg         the message as Dramatiq's `Message.asdict()` gives it (the layout of dramatiq-mongodb)
    encoded     where BSON cannot hold the message: its bytes by Dramatiq's encoder; `msg` then lacks its arguments
    state       DELAYED -> QUEUED -> CONSUMED -> DONE or REJECTED, see State; from DELAYED straight to CONSUMED where
                nobody stands in line when it is due
    priority    the actor's; a lower number goes first
    seq         the server's timestamp when it became ready: its place in line within its priority
    due         while DELAYED: when it becomes ready, on the server's clock
    unique_key  while it lives: no other living message of the queue has the same
    lease       while CONSUMED: {worker, token}
    canceled    true once somebody asked to stop it
    crashes     how many worker processes died while running it
    expire_at   once finished: when the TTL index removes it
    reason      once REJECTED or canceled: why, in one line
    failed_at, attempts, traceback
                once REJECTED: when, after how many runs, and where in the code

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

import bson
from bson import Timestamp
from bson.errors import BSONError
from dramatiq.encoder import JSONEncoder
from dramatiq.errors import DecodeError
from dramatiq.message import Message, get_encoder
from pymongo import ASCENDING, IndexModel

from broker.errors import MessageTooLarge, Unreadable

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

IS_DELAYED: Document = {"state": State.DELAYED, "due": {"$type": "date"}}
"""Finds what waits for its time. What somebody wrote there by hand that is no time waits for ever, and stops nobody."""

IN_LINE = [("priority", ASCENDING), ("seq", ASCENDING)]
"""The order in which ready messages go."""

MAX_MESSAGE_BYTES = 15 * 1024 * 1024
"""Of its JSON. A document holds 16 MB, and a message grows by its traceback."""

LONGEST_REASON = 1_000
LONGEST_TRACEBACK = 50_000
"""In characters. What is cut off a traceback is its beginning."""

CENTURY_MS = 100 * 365 * 24 * 3_600_000
"""Times beyond the year 9999 can be stored and not be read again."""

INDEXES = [
    IndexModel(
        # The actor is there for the sake of paused ones: their messages are passed over without being read.
        [("priority", ASCENDING), ("seq", ASCENDING), ("msg.actor_name", ASCENDING)],
        name="in_line",
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
    IndexModel([("unique_key", ASCENDING)], name="unique", unique=True, sparse=True),
]


def message_of(document: Document) -> Message[Any]:
    """The message in a document. Raises Unreadable."""
    try:
        message = Message.decode(document["encoded"]) if "encoded" in document else _plain(document["msg"])
    except (KeyError, TypeError, AttributeError, ValueError, DecodeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error
    if not isinstance(message.actor_name, str):
        raise Unreadable("its actor has no name")
    return message


def _plain(msg: Document) -> Message[Any]:
    UUID(msg["message_id"])
    return Message(**{**msg, "args": tuple(msg["args"]), "kwargs": {**msg["kwargs"]}, "options": {**msg["options"]}})


def body_of(message: Message[Any]) -> Document:
    """The fields of a document that hold the message.

    Raises MessageTooLarge, and whatever Dramatiq's encoder raises for arguments that it does not know: with the
    default encoder what is not JSON is refused here, as by every other broker.
    """
    encoded = message.encode()
    if len(encoded) > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(f"a message of {len(encoded):,} bytes; a queue takes {MAX_MESSAGE_BYTES:,}")
    msg = message.asdict()
    try:
        # Numbers beyond 64 bits and keys that are no strings are JSON of a kind, and no BSON.
        # Long lists of small things are several times as large as they are in JSON.
        is_small = len(bson.encode(msg)) <= MAX_MESSAGE_BYTES
        is_bson = is_small and type(get_encoder()) is JSONEncoder
    except (BSONError, OverflowError, ValueError):
        is_bson = False
    return {"msg": msg} if is_bson else {"msg": {**msg, "args": [], "kwargs": {}, "options": {}}, "encoded": encoded}


def crashes_of(document: Document) -> int:
    """How many worker processes died while running it; 0 where older documents do not say."""
    crashes = document.get("crashes")
    return crashes if isinstance(crashes, int) else 0


def epoch_s(moment: datetime) -> float:
    """Seconds since 1970 of a time from the driver, which leaves its zone, UTC, unsaid."""
    return moment.replace(tzinfo=UTC).timestamp()


def moment_of(epoch_ms: float) -> datetime:
    """The time of a number of milliseconds since 1970."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


def after(milliseconds: float) -> Document:
    """The server's clock plus a delay, as an expression. Raises ValueError for a delay beyond a century."""
    if milliseconds > CENTURY_MS:
        raise ValueError(f"a delay of {milliseconds} ms is longer than a century")
    return {"$add": ["$$NOW", int(milliseconds)]}


def new(message_id: UUID, body: Document, *, priority: int) -> Document:
    """A message that is ready at once."""
    return {
        "_id": message_id,
        **body,
        "state": State.QUEUED,
        "priority": priority,
        "seq": SERVER_TIMESTAMP,
        "crashes": 0,
    }


def delayed(body: Document, *, priority: int, delay_ms: float) -> Pipeline:
    """An upsert of a message that becomes ready later."""
    return [
        {"$unset": _OF_ONE_LIFE},
        {
            "$set": {
                **_literally(body),
                "state": State.DELAYED,
                "priority": priority,
                "due": after(delay_ms),
                "crashes": 0,
            }
        },
    ]


def revived(body: Document, *, priority: int) -> Document:
    """A finished message that is sent once more under its old id, at the end of the line."""
    return {
        "$set": {**body, "state": State.QUEUED, "priority": priority, "crashes": 0},
        "$unset": {field: "" for field in _OF_ONE_LIFE if field not in body},
        "$currentDate": _SERVER_TIMESTAMP_NOW,
    }


def place_of(due: datetime) -> Timestamp:
    """A delayed message's place in line. That is its due time, so one that repeats overtakes nobody."""
    moment = due.replace(tzinfo=UTC)
    # The counter of a timestamp says nothing but the order within its second. None is before 1970; what somebody wrote
    # by hand may be.
    return Timestamp(max(0, int(moment.timestamp())), 1 + moment.microsecond // 1000)


def promoted(seq: Timestamp) -> Document:
    """A delayed message that became ready, at its place in line."""
    return {"$set": {"state": State.QUEUED, "seq": seq}, "$unset": {"due": ""}}


def hurried() -> Document:
    """A delayed message that somebody wants now, at the end of the line."""
    return {"$set": {"state": State.QUEUED}, "$unset": {"due": ""}, "$currentDate": _SERVER_TIMESTAMP_NOW}


def claimed(worker: str, token: UUID) -> Document:
    """Leased to a worker, under a token that no other claim has."""
    return {"$set": {"state": State.CONSUMED, "lease": {"worker": worker, "token": token}}}


def claimed_when_due(worker: str, token: UUID, *, seq: Timestamp) -> Document:
    """The same of a delayed message, which would be ready now: its place in line is where it is given back to."""
    leased = claimed(worker, token)
    return {"$set": {**leased["$set"], "seq": seq}, "$unset": {"due": ""}}


def given_back() -> Document:
    """Untouched, at its old place in line."""
    return {"$set": {"state": State.QUEUED}, "$unset": {"lease": ""}}


def postponed(due: datetime) -> Document:
    """Claimed before its time: its sender knew no DELAYED."""
    return {"$set": {"state": State.DELAYED, "due": due}, "$unset": {"lease": ""}}


def rescheduled(body: Document, *, delay_ms: float | None) -> Outcome:
    """The same message once more: after a delay, or at the end of the line. It has run without killing its worker."""
    if delay_ms:
        fields = {**_literally(body), "state": State.DELAYED, "due": after(delay_ms), "crashes": 0}
        return [{"$set": fields}, {"$unset": "lease"}]
    return {
        "$set": {**body, "state": State.QUEUED, "crashes": 0},
        "$unset": {"lease": ""},
        "$currentDate": _SERVER_TIMESTAMP_NOW,
    }


def done(*, keep_ms: int) -> Pipeline:
    """Finished, and removed by the server `keep_ms` milliseconds from now."""
    return [{"$set": {"state": State.DONE, "expire_at": after(keep_ms)}}, {"$unset": _OF_THE_LIVING}]


def canceled(*, keep_ms: int) -> Pipeline:
    """Stopped because somebody asked for it: finished, and no dead letter."""
    return [
        {"$set": {"state": State.DONE, "canceled": True, "reason": "canceled", "expire_at": after(keep_ms)}},
        {"$unset": _OF_THE_LIVING},
    ]


def rejected(reason: str, *, keep_ms: int, attempts: int = 0, traceback: str | None = None) -> Pipeline:
    """A dead letter. `attempts` counts its runs, the last one included."""
    # An error may quote what it was given, and the document still has to hold the message.
    told: Document = {"reason": reason[:LONGEST_REASON], "attempts": attempts}
    if traceback:
        told["traceback"] = traceback[-LONGEST_TRACEBACK:]
    return [
        {"$set": {**_literally(told), "state": State.REJECTED, "failed_at": "$$NOW", "expire_at": after(keep_ms)}},
        {"$unset": _OF_THE_LIVING},
    ]


_OF_THE_LIVING = ["lease", "due", "unique_key"]
_OF_ONE_LIFE = ["encoded", "canceled", "expire_at", "reason", "failed_at", "attempts", "traceback"]


def _literally(fields: Document) -> Document:
    """Keeps "$" in people's words from being read as part of an update pipeline."""
    return {name: {"$literal": value} for name, value in fields.items()}
