"""Looking into a queue's collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from dramatiq.message import Message
from pymongo.collection import Collection
from pymongo.database import Database


def message(actor: str = "note", *args: Any, queue: str = "default", **options: Any) -> Message[Any]:
    return Message(queue_name=queue, actor_name=actor, args=args, kwargs={}, options=options)


class Queue:
    def __init__(self, collection: Collection[Any]) -> None:
        self.collection = collection

    def document(self, message: Message[Any]) -> Any:
        return self.collection.find_one({"_id": UUID(message.message_id)})

    def state(self, message: Message[Any]) -> str:
        document = self.document(message)
        return document["state"] if document else "none"

    def states(self) -> Counter[str]:
        """How many messages are in which state."""
        return Counter(document["state"] for document in self.collection.find())

    def take_from_worker(self, message: Message[Any]) -> None:
        """What a guardian does when a worker's lease ran out."""
        self.collection.update_one(
            {"_id": UUID(message.message_id)}, {"$set": {"state": "QUEUED"}, "$unset": {"lease": ""}}
        )

    def make_due(self, message: Message[Any]) -> None:
        """Let a delayed message's time have come a second ago."""
        self.collection.update_one(
            {"_id": UUID(message.message_id)},
            [{"$set": {"due": {"$subtract": ["$$NOW", 1000]}}}],
        )


@contextmanager
def profiled(database: Database[Any]) -> Iterator[Callable[[], list[int]]]:
    """The server notes the commands of the block; what it yields tells how many documents each of them read.

    Nothing of it stays: the database may be one that other tests look into.
    """
    database.command("profile", 2)
    try:
        yield lambda: [entry.get("docsExamined", 0) for entry in database["system.profile"].find()]
    finally:
        database.command("profile", 0)
        database.drop_collection("system.profile")
