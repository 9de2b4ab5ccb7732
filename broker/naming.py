"""Messages by what they are about, for those rare occasions on which somebody's messages have to be found.

Nothing indexes the arguments of messages, so each search reads its queues from end to end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING
from uuid import UUID

from pymongo.client_session import ClientSession

from broker.documents import LIVE, State
from broker.errors import driver_errors

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

    Raises ConnectionError.
    """
    query = {"msg.args": {"$in": list(words)}}
    with driver_errors():
        return [
            Named(queue_name, str(document["_id"]), State(document["state"]))
            for queue_name, queue in sorted(broker.queues.items())
            for document in queue.find(query, {"state": 1})
        ]


def remove(broker: MongoBroker, found: Iterable[Named], *, session: ClientSession | None = None) -> int:
    """Remove messages for good; returns how many. One that runs meanwhile can settle nothing any more.

    Raises the driver's errors.
    """
    count = 0
    for queue_name, messages in groupby(found, key=lambda message: message.queue_name):
        ids = [UUID(message.message_id) for message in messages]
        count += broker.queues[queue_name].delete_many({"_id": {"$in": ids}}, session=session).deleted_count
    return count
