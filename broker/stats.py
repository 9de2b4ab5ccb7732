"""What waits, runs and fails in the queues, for people and for health checks.

Every figure is read by a partial index of `documents.INDEXES`, so finished messages, however many are kept, cost
nothing here. The bound that matches everything makes the planner think of such an index at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any
from uuid import UUID

from bson import MinKey, Timestamp
from dramatiq.errors import QueueNotFound
from pymongo.collection import Collection

from broker import documents
from broker.dead_letters import count_dead
from broker.documents import Document, State
from broker.errors import driver_errors

if TYPE_CHECKING:
    from broker.broker import MongoBroker

_ANY = {"$gte": MinKey()}
_READY: Document = {"state": State.QUEUED, "priority": _ANY}
_DELAYED: Document = {"state": State.DELAYED, "due": _ANY}
_IN_FLIGHT: Document = {"state": State.CONSUMED, "lease.worker": _ANY}


@dataclass(frozen=True, slots=True)
class QueueStats:
    """One queue at one moment. The counts are taken one after the other, so a moving message may be in two or none."""

    queue_name: str
    ready: int
    """Any worker may claim them now, except for the paused ones."""
    delayed: int
    in_flight: int
    """Claimed: running, or in the memory of a worker."""
    dead: int
    paused: int
    """How many of the ready ones wait because their queue or their actor is paused."""
    oldest_ready_age_s: float
    """How long the longest waiting one has been ready, or due and not yet made ready; 0.0 when none is."""
    is_paused: bool
    """Whether the whole queue is."""


def queue_stats(broker: MongoBroker) -> list[QueueStats]:
    """The figures of every queue that the broker knows, by name. Raises ConnectionError."""
    with driver_errors():
        paused = broker.paused()
        return [
            _stats_of(broker, name, is_paused=name in paused.queues, paused_actors=paused.actors)
            for name in sorted(broker.queues)
        ]


def age_of_oldest_ready_s(broker: MongoBroker) -> float:
    """How long the longest waiting message has been ready, in seconds, over all queues; 0.0 when none is.

    Raises ConnectionError.
    """
    with driver_errors():
        return max(map(_oldest_age_s, broker.queues.values()), default=0.0)


def has_busy_worker(broker: MongoBroker) -> bool:
    """Whether some worker that lives holds a message. Where work waits and none does, nobody is working.

    Raises ConnectionError.
    """
    with driver_errors():
        return any(broker.lease.is_any_alive(_holders(queue)) for queue in broker.queues.values())


def states(broker: MongoBroker, queue_name: str, message_ids: Iterable[str]) -> dict[str, State]:
    """The states of those of these messages that are stored. Raises QueueNotFound and ConnectionError."""
    if queue_name not in broker.queues:
        raise QueueNotFound(queue_name)
    wanted = {"_id": {"$in": [UUID(message_id) for message_id in message_ids]}}
    with driver_errors():
        found = broker.queues[queue_name].find(wanted, {"state": 1})
        return {str(document["_id"]): State(document["state"]) for document in found}


def first_in_line(broker: MongoBroker, queue_name: str, *, limit: int) -> list[str]:
    """The ids of the first ready messages of a queue, in the order in which they go; paused ones stand in line, too.

    Raises QueueNotFound and ConnectionError.
    """
    if queue_name not in broker.queues:
        raise QueueNotFound(queue_name)
    with driver_errors():
        in_line = broker.queues[queue_name].find({"state": State.QUEUED}, {"_id": 1}).sort(documents.IN_LINE)
        return [str(message["_id"]) for message in in_line.limit(limit)]


def _stats_of(broker: MongoBroker, name: str, *, is_paused: bool, paused_actors: frozenset[str]) -> QueueStats:
    queue = broker.queues[name]
    ready = queue.count_documents(_READY)
    paused = ready if is_paused else 0
    if paused_actors and not is_paused:
        paused = queue.count_documents({**_READY, "msg.actor_name": {"$in": sorted(paused_actors)}})
    return QueueStats(
        queue_name=name,
        ready=ready,
        delayed=queue.count_documents(_DELAYED),
        in_flight=queue.count_documents(_IN_FLIGHT),
        dead=count_dead(broker, name),
        paused=paused,
        oldest_ready_age_s=_oldest_age_s(queue),
        is_paused=is_paused,
    )


def _oldest_age_s(queue: Collection[Any]) -> float:
    return max(_ages_of_heads(queue), default=0.0)


def _ages_of_heads(queue: Collection[Any]) -> Iterator[float]:
    """How long the first in line of each priority has waited: one step in the index a priority."""
    priority = -inf
    while head := queue.find_one(
        {"state": State.QUEUED, "priority": {"$gt": priority}},
        {"priority": 1, "seq": 1, "now": "$$NOW"},
        sort=[("priority", 1), ("seq", 1)],
    ):
        if isinstance(head.get("seq"), Timestamp):
            yield max(0.0, documents.epoch_s(head["now"]) - head["seq"].time)
        priority = head["priority"]
    # Only a worker makes a delayed message ready, so without one it stays delayed.
    late = queue.find_one(
        {"state": State.DELAYED, "due": {"$type": "date"}}, {"due": 1, "now": "$$NOW"}, sort=[("due", 1)]
    )
    if late and late["due"] <= late["now"]:
        yield (late["now"] - late["due"]).total_seconds()


def _holders(queue: Collection[Any]) -> list[str]:
    """The workers that hold messages of a queue; "$gt" lets the index be used."""
    return list(queue.distinct("lease.worker", {"state": State.CONSUMED, "lease.worker": {"$gt": ""}}))
