"""Storing messages in their queue: one or many, unique ones, and those that were stored before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from dramatiq.message import Message
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from broker import documents
from broker.documents import Document
from broker.errors import InvalidUniqueKey

LONGEST_UNIQUE_KEY = 512
AT_ONCE = 1000
"""How many messages go in one command: enough to be quick, few enough to stay below the size of a command."""

_DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way into its queue. `delay_ms` of 0 means at once."""

    id: UUID
    message: Message[Any]
    body: Document
    priority: int
    delay_ms: float
    unique_key: str | None

    @property
    def of_finished(self) -> Document:
        """Finds the message where it has run before."""
        return {"_id": self.id, "state": {"$in": documents.FINISHED}}

    @property
    def document(self) -> Document:
        """What is inserted where it was never stored, to be ready at once."""
        return documents.new(self.id, self.body, priority=self.priority)

    @property
    def revival(self) -> Document | documents.Pipeline:
        """The update that makes it live (again)."""
        if self.delay_ms:
            return documents.delayed(self.body, priority=self.priority, delay_ms=self.delay_ms)
        return documents.revived(self.body, priority=self.priority)


def outgoing(message: Message[Any], *, priority: int, delay_ms: float | None) -> Outgoing:
    """Check a message, before anything is stored.

    Raises InvalidUniqueKey, MessageTooLarge, ValueError for a delay beyond a century, and the encoder's error for what
    it cannot encode.
    """
    key = message.options.get("unique_key")
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= LONGEST_UNIQUE_KEY):
        raise InvalidUniqueKey(
            f"unique_key must be a string of 1 to {LONGEST_UNIQUE_KEY} characters, not {type(key).__name__}"
        )
    body = documents.body_of(message)
    if key is not None:
        body["unique_key"] = key
    documents.after(delay_ms or 0)
    return Outgoing(UUID(message.message_id), message, body, priority, delay_ms or 0, key)


def store(item: Outgoing, queue: Collection[Any], session: ClientSession | None = None) -> Message[Any]:
    """Store a message. One that is stored and not finished is left as it is; a finished one runs again.

    Returns the message, or the living one that has its unique key.
    """
    # A duplicate key would end the caller's transaction, so that looks first.
    has_to_look = session is not None
    while True:
        other, is_known = _stored(queue, item, session) if has_to_look else (None, False)
        if other:
            return other
        try:
            if is_known:
                queue.update_one(item.of_finished, item.revival, session=session)
            elif item.delay_ms:
                # Only an update can read the server's clock.
                queue.update_one(item.of_finished, item.revival, upsert=True, session=session)
            else:
                queue.insert_one(item.document, session=session)
            return item.message
        except DuplicateKeyError:
            if session:
                raise
        # Stored before: by an earlier call whose answer was lost, long ago and finished since, or under its key.
        has_to_look = True


def store_many(items: Sequence[Outgoing], queue: Collection[Any], session: ClientSession | None = None) -> None:
    """Store messages without unique keys in few commands; each of them as `store` would."""
    # A message that comes twice would end the caller's transaction by its duplicate key.
    once: dict[UUID, Outgoing] = {}
    for item in items:
        once.setdefault(item.id, item)
    items = list(once.values())
    known = _known(queue, items, session) if session else set()
    again = [item for item in items if item.id in known]
    new = [item for item in items if item.id not in known]
    for first in range(0, len(new), AT_ONCE):
        again += _insert_many(queue, new[first : first + AT_ONCE], session)
    for item in again:
        queue.update_one(item.of_finished, item.revival, session=session)


def _insert_many(queue: Collection[Any], items: Sequence[Outgoing], session: ClientSession | None) -> list[Outgoing]:
    """Insert what is not there yet; returns what is."""
    now = [item for item in items if not item.delay_ms]
    later = [item for item in items if item.delay_ms]
    duplicates = []
    try:
        if now:
            queue.insert_many([item.document for item in now], ordered=False, session=session)
    except BulkWriteError as error:
        duplicates = [now[failure["index"]] for failure in _only_duplicates(error)]
    try:
        if later:
            upserts = [UpdateOne(item.of_finished, item.revival, upsert=True) for item in later]
            queue.bulk_write(upserts, ordered=False, session=session)
    except BulkWriteError as error:
        # These live already, since the finished ones were found and revived.
        _only_duplicates(error)
    return duplicates


def _only_duplicates(error: BulkWriteError) -> list[Document]:
    details = error.details or {}
    failures: list[Document] = details.get("writeErrors", [])
    if details.get("writeConcernErrors") or any(failure["code"] != _DUPLICATE_KEY for failure in failures):
        raise error
    return failures


def _known(queue: Collection[Any], items: Sequence[Outgoing], session: ClientSession) -> set[UUID]:
    found = queue.find({"_id": {"$in": [item.id for item in items]}}, {"_id": 1}, session=session)
    return {document["_id"] for document in found}


def _stored(queue: Collection[Any], item: Outgoing, session: ClientSession | None) -> tuple[Message[Any] | None, bool]:
    """The living message, other than this one, that has its unique key; and whether this one is stored."""
    same: Document = {"_id": item.id}
    if item.unique_key is not None:
        same = {"$or": [same, {"unique_key": item.unique_key}]}
    found = {document["_id"]: document for document in queue.find(same, session=session)}
    is_known = found.pop(item.id, None) is not None
    return next((documents.message_of(other) for other in found.values()), None), is_known
