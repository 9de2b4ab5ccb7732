"""Messages by what they are about, for those rare occasions on which somebody's messages have to be found.

Nothing indexes the arguments of messages, so each search reads its queues from end to end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING
from uuid import UUID

from broker.documents import LIVE, State
from broker.errors import driver_errors
from broker.transaction import current_session

if TYPE_CHECKING:
    from broker.broker import MongoBroker


@dataclass(frozen=True, slots=True)
class Named:
    """A message that was found."""

    queue_name: str
    message_id: str
    state: State

    @property
    def is_live(self) -> bool:
        return self.state in LIVE


def list_naming(broker: MongoBroker, words: Collection[str]) -> list[Named]:
    """The messages, whatever their state, that have one of these strings among their positional arguments.

    Those whose arguments only Dramatiq's encoder can read are not looked into. Raises ConnectionError.
    """
    query = {"msg.args": {"$in": list(words)}}
    with driver_errors():
        return [
            Named(queue_name, str(document["_id"]), State(document["state"]))
            for queue_name, queue in sorted(broker.queues.items())
            for document in queue.find(query, {"state": 1})
        ]


def remove(broker: MongoBroker, found: Iterable[Named]) -> int:
    """Remove messages for good, with the transaction around the caller if there is one; returns how many were there.

    Whoever runs one of them can settle nothing any more, as if its lease had run out. Raises ConnectionError, and in a
    transaction the driver's own errors.
    """
    session = current_session()
    count = 0
    with nullcontext() if session else driver_errors():
        for queue_name, messages in groupby(found, key=lambda message: message.queue_name):
            ids = [UUID(message.message_id) for message in messages]
            count += broker.queues[queue_name].delete_many({"_id": {"$in": ids}}, session=session).deleted_count
    return count
