"""Dead letters, for people: list them, look at one, run them again or remove them.

Everything here can be done by several people at once: a message is retried or removed only as the dead letter that
was looked at, so each death is answered once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from dramatiq.errors import QueueNotFound
from dramatiq.message import Message
from pymongo import ASCENDING, DESCENDING, DeleteOne, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from broker import documents
from broker.documents import Document, State
from broker.errors import Unreadable, driver_errors

if TYPE_CHECKING:
    from broker.broker import MongoBroker

BATCH = 500
HINT = "dead"
"""The index to read dead letters by. Left to itself the planner may remember the index that expires messages, and then
reads all that are DONE, too."""
_AWARE = CodecOptions[Document](uuid_representation=UuidRepresentation.STANDARD, tz_aware=True)
_DUPLICATE_KEY = 11000
_FORGOTTEN_OPTIONS = ["retries", "traceback", "requeue_timestamp"]
_FORGOTTEN = [
    *("expire_at", "reason", "traceback", "attempts", "failed_at", "lease", "due", "canceled"),
    *(f"msg.options.{option}" for option in _FORGOTTEN_OPTIONS),
]
_ERROR_TYPE = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*\.)*[A-Z][A-Za-z0-9_]*(?=:|$)", re.MULTILINE)
# In a traceback the type follows the line of code. What it says may go on for lines, and look like another type.
_ERROR_TYPE_IN_TRACEBACK = re.compile(rf"^ .*\n({_ERROR_TYPE.pattern})", re.MULTILINE)
# Reasons that no exception gave. They are the broker's own words, so they tell nothing of the message.
_OWN_WORDS = (
    "its worker died each time it ran",
    "no actor has its name here",
    "rejected by middleware",
    "its repeat cannot be stored",
    "what follows from it cannot be stored",
    "its outcome cannot be stored",
    "unreadable",
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that failed for good, and how. Documents written by older versions lack some of it."""

    message: Message[Any] | None
    """None when what is stored is no message."""
    message_id: str
    queue_name: str
    actor_name: str | None
    reason: str | None
    """Why, in one line."""
    traceback: str | None
    """Of the last attempt. It may hold what the message was about, as `reason` may."""
    attempts: int | None
    """How often it ran, or None where nobody counted."""
    crashes: int
    """How many worker processes died while running it."""
    failed_at: datetime | None
    """Aware UTC. Where it was not noted, reckoned from `expires_at` and the broker's `dead_ttl_ms`."""
    expires_at: datetime | None
    """Aware UTC: when it is removed by itself."""

    @property
    def error(self) -> str | None:
        """What kind of failure it was, without a word of the message: an error's type, or the broker's own words."""
        reason = self.reason or ""
        for words in _OWN_WORDS:
            if reason.startswith(words):
                return words
        if named := _ERROR_TYPE_IN_TRACEBACK.findall(self.traceback or ""):
            return str(named[-1])
        found = _ERROR_TYPE.match(reason)
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry came to."""

    count: int
    """Sent once more."""
    held_back: int
    """Left dead, because another living message has their unique key now."""


def list_dead(
    broker: MongoBroker, queue_name: str | None = None, *, actor_name: str | None = None, limit: int = 100
) -> list[DeadLetter]:
    """At most `limit` dead letters of one queue or of all, newest first.

    Raises QueueNotFound and ConnectionError.
    """
    query, found = _query(actor_name=actor_name), []
    with driver_errors():
        for name in _names(broker, queue_name):
            queue = _collection(broker, name)
            newest = queue.find(query, hint=_hint(queue)).sort("expire_at", DESCENDING).limit(limit)
            found.append([_read(broker, name, document) for document in newest])
    return list(islice(merge(*found, key=_newest_first, reverse=True), limit))


def count_dead(broker: MongoBroker, queue_name: str | None = None, *, actor_name: str | None = None) -> int:
    """How many dead letters there are of one queue or of all. Raises QueueNotFound and ConnectionError."""
    query = _query(actor_name=actor_name)
    with driver_errors():
        return sum(_count(_collection(broker, name), query) for name in _names(broker, queue_name))


def get_dead(broker: MongoBroker, message_id: str) -> DeadLetter | None:
    """The dead letter with this id, in whichever queue, or None. Raises ConnectionError."""
    query = _query([message_id])
    with driver_errors():
        for name in _names(broker):
            document = _collection(broker, name).find_one(query)
            if document:
                return _read(broker, name, document)
    return None


def retry_dead(
    broker: MongoBroker,
    message_ids: Iterable[str] | None = None,
    *,
    queue_name: str | None = None,
    actor_name: str | None = None,
    everything: bool = False,
) -> Retried:
    """Send dead letters once more, at the end of the line, with no attempt and no crash counted against them.

    Those with these ids, of this queue, of this actor (all that is given must hold), or everything. In batches, those
    that died first in front; what dies again meanwhile is left dead. Where the database goes away in the middle, the
    batches before are sent, and the same call sends the rest. Not part of a transaction around the caller.

    Raises ValueError when nothing is chosen, QueueNotFound and ConnectionError.
    """
    query = _chosen(message_ids, queue_name, actor_name, everything=everything)
    count = held_back = 0
    with driver_errors():
        for queue, dead in _batches(broker, query, queue_name):
            try:
                count += queue.bulk_write([_retry(queue, one) for one in dead], ordered=False).modified_count
            except BulkWriteError as error:
                held = [wrong for wrong in error.details["writeErrors"] if wrong["code"] == _DUPLICATE_KEY]
                if len(held) < len(error.details["writeErrors"]) or error.details["writeConcernErrors"]:
                    raise
                count += error.details["nModified"]
                held_back += len(held)
    return Retried(count, held_back)


def purge_dead(
    broker: MongoBroker,
    message_ids: Iterable[str] | None = None,
    *,
    queue_name: str | None = None,
    actor_name: str | None = None,
    everything: bool = False,
) -> int:
    """Remove dead letters for good, chosen as in `retry_dead`; returns how many.

    Raises ValueError when nothing is chosen, QueueNotFound and ConnectionError.
    """
    query = _chosen(message_ids, queue_name, actor_name, everything=everything)
    with driver_errors():
        return sum(
            queue.bulk_write([DeleteOne(_as_read(document)) for document in dead], ordered=False).deleted_count
            for queue, dead in _batches(broker, query, queue_name)
        )


def _chosen(
    message_ids: Iterable[str] | None, queue_name: str | None, actor_name: str | None, *, everything: bool
) -> Document:
    if everything == any(choice is not None for choice in (message_ids, queue_name, actor_name)):
        raise ValueError("Choose dead letters by ids, queue or actor, or everything.")
    return _query(message_ids, actor_name)


def _query(message_ids: Iterable[str] | None = None, actor_name: str | None = None) -> Document:
    query: Document = {"state": State.REJECTED}
    if message_ids is not None:
        query["_id"] = {"$in": list(_uuids(message_ids))}
    if actor_name is not None:
        query["msg.actor_name"] = actor_name
    return query


def _uuids(message_ids: Iterable[str]) -> Iterator[UUID]:
    """What is no id of a message is the id of none."""
    for message_id in message_ids:
        with suppress(ValueError):
            yield UUID(message_id)


def _names(broker: MongoBroker, queue_name: str | None = None) -> list[str]:
    if queue_name is None:
        return sorted(broker.queues)
    if queue_name not in broker.queues:
        raise QueueNotFound(queue_name)
    return [queue_name]


def _count(queue: Collection[Document], query: Document) -> int:
    hint = _hint(queue)
    return queue.count_documents(query, hint=hint) if hint else queue.count_documents(query)


def _hint(queue: Collection[Document]) -> str | None:
    """None in a queue that no worker has used or taken over yet: a hint to an index that is not there is an error."""
    return HINT if HINT in queue.index_information() else None


def _collection(broker: MongoBroker, queue_name: str) -> Collection[Document]:
    return broker.queues[queue_name].with_options(codec_options=_AWARE)


def _batches(
    broker: MongoBroker, query: Document, queue_name: str | None
) -> Iterator[tuple[Collection[Document], list[Document]]]:
    """The dead letters as they are now, those that expire first in front; only their ids are read."""
    for name in _names(broker, queue_name):
        queue = _collection(broker, name)
        hint = None if "_id" in query else _hint(queue)
        newest = queue.find_one(query, {"expire_at": 1}, sort=[("expire_at", DESCENDING)], hint=hint)
        if newest is None:
            continue
        # One that is retried and dies at once comes back behind all others: without an end, the walk would meet it
        # again. The negation keeps those that never expire.
        end = {"expire_at": {"$not": {"$gt": newest.get("expire_at")}}} if newest.get("expire_at") else {}
        wanted = {"expire_at": 1, "msg.options.unique_key": 1, "is_encoded": {"$gt": ["$encoded", None]}}
        found = queue.find({**query, **end}, wanted, hint=hint).sort("expire_at", ASCENDING)
        while dead := list(islice(found, BATCH)):
            yield queue, dead


def _as_read(document: Document) -> Document:
    """Matches this death of the message and no later one."""
    return {"_id": document["_id"], "state": State.REJECTED, "expire_at": document.get("expire_at")}


def _retry(queue: Collection[Document], document: Document) -> UpdateOne:
    if document.get("is_encoded"):
        document = {**document, **_forgetful(queue, document)}
    fields: Document = {"state": State.QUEUED, "crashes": 0}
    if encoded := document.get("encoded"):
        fields["encoded"] = encoded
    match document:
        case {"msg": {"options": {"unique_key": str(unique_key)}}}:
            # It lives again, so it holds its key again, or is refused by the index when another message has it.
            fields["unique_key"] = unique_key
    return UpdateOne(
        _as_read(document),
        {"$set": fields, "$unset": dict.fromkeys(_FORGOTTEN, ""), "$currentDate": {"seq": {"$type": "timestamp"}}},
    )


def _forgetful(queue: Collection[Document], document: Document) -> Document:
    """The message of a document that holds it as Dramatiq encodes it, without the options that a retry clears."""
    stored = queue.find_one(_as_read(document), {"encoded": 1})
    try:
        message = documents.message_of(stored or {})
    except Unreadable:
        return {}
    for option in _FORGOTTEN_OPTIONS:
        message.options.pop(option, None)
    return {"encoded": message.encode(), "msg": {"options": message.options}}


def _read(broker: MongoBroker, queue_name: str, document: Document) -> DeadLetter:
    message: Message[Any] | None = None
    with suppress(Unreadable):
        message = documents.message_of(document)
    options = message.options if message else {}
    traceback = _text(document.get("traceback")) or _text(options.get("traceback"))
    expires_at = document.get("expire_at")
    failed_at = document.get("failed_at")
    if failed_at is None and expires_at is not None:
        failed_at = expires_at - timedelta(milliseconds=broker.dead_ttl_ms)
    return DeadLetter(
        message=message,
        message_id=str(document["_id"]),
        queue_name=queue_name,
        actor_name=message.actor_name if message else None,
        reason=_text(document.get("reason")) or _last_line(traceback),
        traceback=traceback,
        attempts=document.get("attempts", _attempts(options)),
        crashes=document.get("crashes", 0),
        failed_at=failed_at,
        expires_at=expires_at,
    )


def _attempts(options: Document) -> int | None:
    """Dramatiq counts repeats, and what is stored does not know of the last run."""
    match options:
        case {"retries": int(retries)}:
            return retries + 1
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _last_line(traceback: str | None) -> str | None:
    return traceback.strip().rsplit("\n", 1)[-1] if traceback else None


def _newest_first(letter: DeadLetter) -> datetime:
    return letter.expires_at or datetime.min.replace(tzinfo=UTC)
