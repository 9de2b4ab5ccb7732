"""The broker: sending messages, and everything a worker process shares between its consumers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from threading import Event, Lock
from typing import Any
from uuid import UUID

from bson import MinKey
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from dramatiq import Middleware
from dramatiq.common import current_millis
from dramatiq.errors import QueueJoinTimeout, QueueNotFound
from dramatiq.message import Message
from dramatiq.middleware import default_middleware
from dramatiq_mongodb import MongoDBBroker
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from broker import documents
from broker.consumer import MongoConsumer
from broker.delivery import Delivery, current_delivery
from broker.documents import State
from broker.errors import LeaseLost, Unreadable, driver_errors, is_passing
from broker.leases import Lease
from broker.middleware import DeliveryLifecycle
from broker.shelf import Shelf
from broker.transaction import DURABLE, current_session
from broker.wakeups import Wakeups

HOUR_MS = 3_600_000


class MongoBroker(MongoDBBroker):  # type: ignore[misc]
    """A Dramatiq broker on MongoDB 6 or later, run as a replica set.

    At-least-once delivery under a lease; delays, retries and priorities are kept in the database. `enqueue` returns
    once the message is journaled on a majority, or joins the transaction around the caller (see `transaction`).

    Parameters:
      database: where the queues live. Its client is not opened before the first use, so it may be made before a fork.
      collection_prefix: put before the name of each queue's collection, followed by "_".
      middleware: as in Dramatiq; None means Dramatiq's defaults.
      lease_s: a worker that is not heard of for so many seconds has lost its messages.
      max_crashes: a message that was being run when so many worker processes died becomes a dead letter.
      prefetch_per_thread: how many messages of a queue a process may hold per worker thread; None takes what Dramatiq
        asks for, which is two. One is better where messages run for seconds: nothing then waits behind a busy process.
      done_ttl_ms, dead_ttl_ms: how long finished messages and dead letters are kept.
    """

    def __init__(
        self,
        *,
        database: Database[Any],
        collection_prefix: str = "",
        middleware: list[Middleware] | None = None,
        lease_s: float = 10.0,
        max_crashes: int = 3,
        prefetch_per_thread: int | None = None,
        done_ttl_ms: int = HOUR_MS,
        dead_ttl_ms: int = 7 * 24 * HOUR_MS,
    ) -> None:
        if middleware is None:
            middleware = [kind() for kind in default_middleware]
        # First in the list: its `before` hooks run before all others and its `after` hooks after all others, so a
        # delivery is current for as long as any middleware deals with it.
        super().__init__(
            database=database,
            collection_prefix=collection_prefix,
            middleware=[DeliveryLifecycle(), *middleware],
        )
        self.queues: dict[str, Collection[Any]] = {}
        self.acks: dict[str, Collection[Any]] = {}
        self.prefetch_per_thread = prefetch_per_thread
        self.done_ttl_ms = done_ttl_ms
        self.stopping = Event()
        self.worker_threads = 1
        self.shelves: dict[str, Shelf] = {}
        self.claim_order = itertools.count()
        self.wakeups = Wakeups(database, self._collection_prefix)
        self.lease = Lease(
            database.client,
            database.name,
            f"{self._collection_prefix}dramatiq_workers",
            lease_s=lease_s,
            max_crashes=max_crashes,
            dead_ttl_ms=dead_ttl_ms,
        )
        self.dead_ttl_ms = dead_ttl_ms
        self._indexed: set[str] = set()
        self._indexing = Lock()

    def close(self) -> None:
        """Stop claiming and the background parts, and close the connections to the database."""
        self.stopping.set()
        self.wakeups.stop()
        self.lease.close()
        super().close()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30_000) -> MongoConsumer:
        """A consumer of one queue, holding at most `prefetch` messages and idling `timeout` milliseconds at a time."""
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        if self.prefetch_per_thread is not None:
            prefetch = self.prefetch_per_thread * self.worker_threads
        with driver_errors():
            self._ensure_indexes(queue_name)
            self.lease.cover(self.queues[queue_name].name)
        self.wakeups.start()
        return MongoConsumer(self, queue_name, prefetch=prefetch, timeout_ms=timeout)

    def declare_queue(self, queue_name: str) -> None:
        """Make a queue known. Nothing is asked of the database before the queue is used."""
        if queue_name in self.queues:
            return
        self.emit_before("declare_queue", queue_name)
        queue = self.database.get_collection(
            self._collection_prefix + queue_name,
            codec_options=CodecOptions(uuid_representation=UuidRepresentation.STANDARD),
            write_concern=DURABLE,
            # Whatever the client was told: a secondary shows messages that were claimed or finished meanwhile.
            read_preference=ReadPreference.PRIMARY,
        )
        self.queues[queue_name] = queue
        # Claims and acks need not survive a failover: one that is rolled back leaves the message ready or leased as it
        # was, and it is delivered once more (a leased one as a stray, see the consumer), which at-least-once allows
        # and the token of the old delivery cannot undo.
        self.acks[queue_name] = queue.with_options(write_concern=WriteConcern(w=1))
        self.shelves[queue_name] = Shelf()
        self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Store a message; it is ready after `delay` milliseconds on the server's clock.

        Inside `transaction` it is stored by the commit. The message that is being run is rescheduled instead; one that
        is stored already is left as it is, and one that has finished runs again. Raises ConnectionError.
        """
        if message.queue_name not in self.queues:
            raise QueueNotFound(message.queue_name)
        self.emit_before("enqueue", message, delay)
        if delay:
            message = _copy(message, eta=current_millis() + delay)
        running = current_delivery()
        if running is not None and running.message_id == message.message_id:
            self._reschedule(running, message, delay)
        elif current_session():
            self._store_in_transaction(message, delay)
        else:
            with driver_errors():
                self._store(message, delay)
        self.emit_after("enqueue", message, delay)
        return message

    def requeue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """The same as `enqueue`, which knows a message it has seen before."""
        return self.enqueue(message, delay=delay)

    def flush(self, queue_name: str) -> None:
        """Remove every message of a queue, whatever its state."""
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        with driver_errors():
            self.queues[queue_name].delete_many({})

    def join(self, queue_name: str, *, interval: int = 50, timeout: int | None = None) -> None:
        """Wait until the queue has no live message, looking every `interval` milliseconds. Meant for tests.

        Raises QueueJoinTimeout after `timeout` milliseconds.
        """
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        deadline = time.monotonic() + timeout / 1000 if timeout is not None else None
        with driver_errors():
            while self.queues[queue_name].find_one({"state": {"$in": documents.LIVE}}, {"_id": 1}):
                if deadline is not None and time.monotonic() > deadline:
                    raise QueueJoinTimeout(queue_name)
                time.sleep(interval / 1000)

    def age_of_oldest_ready_s(self) -> float:
        """How long the longest waiting message has been due, in seconds, over all queues; 0.0 when none is."""
        with driver_errors():
            return max((age for queue in self.queues.values() for age in _ages_of_heads(queue)), default=0.0)

    def has_busy_worker(self) -> bool:
        """Whether some worker that lives holds a message. Where work waits and none does, nobody is working."""
        with driver_errors():
            return any(self.lease.is_any_alive(_holders(queue)) for queue in self.queues.values())

    def states(self, queue_name: str, message_ids: Iterable[str]) -> dict[str, State]:
        """The states of those of these messages that are stored. Raises ConnectionError."""
        wanted = {"_id": {"$in": [UUID(message_id) for message_id in message_ids]}}
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        with driver_errors():
            found = self.queues[queue_name].find(wanted, {"state": 1})
            return {str(document["_id"]): State(document["state"]) for document in found}

    def list_dead(self, queue_name: str, *, limit: int = 100) -> list[Message[Any]]:
        """The dead letters of a queue, those that expire first in front; the unreadable ones are left out."""
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        dead = []
        with driver_errors():
            for document in self.queues[queue_name].find({"state": State.REJECTED}).sort("expire_at", 1).limit(limit):
                with suppress(Unreadable):
                    dead.append(documents.message_of(document))
        return dead

    def _store(self, message: Message[Any], delay: int | None) -> None:
        self._ensure_indexes(message.queue_name)
        try:
            self._insert(message, delay)
        except DuplicateKeyError:
            # Stored before: by an earlier call whose answer was lost, or long ago and finished since.
            self._revive(message, delay)

    def _store_in_transaction(self, message: Message[Any], delay: int | None) -> None:
        # A duplicate key would end the caller's transaction, so look first. And no index is made here: a collection
        # that changes after the transaction has begun cannot be written to in it. Workers make them.
        queue = self.queues[message.queue_name]
        if queue.find_one({"_id": UUID(message.message_id)}, {"_id": 1}, session=current_session()):
            self._revive(message, delay)
        else:
            self._insert(message, delay)

    def _insert(self, message: Message[Any], delay: int | None) -> None:
        if delay:
            # Only an update can read the server's clock.
            self._revive(message, delay, upsert=True)
        else:
            document = documents.new(message.message_id, message.asdict(), priority=self._priority_of(message))
            self.queues[message.queue_name].insert_one(document, session=current_session())

    def _revive(self, message: Message[Any], delay: int | None, *, upsert: bool = False) -> None:
        msg, priority = message.asdict(), self._priority_of(message)
        self.queues[message.queue_name].update_one(
            {"_id": UUID(message.message_id), "state": {"$in": documents.FINISHED}},
            documents.delayed(msg, priority=priority, delay_ms=delay)
            if delay
            else documents.revived(msg, priority=priority),
            upsert=upsert,
            session=current_session(),
        )

    def _reschedule(self, running: Delivery, message: Message[Any], delay: int | None) -> None:
        if running.settled:
            self.logger.warning("Message %s was settled in a transaction; it is not run again.", running.message_id)
            return
        repeat = documents.rescheduled(message.asdict(), delay_ms=delay)
        if current_session():
            running.settle(repeat)
            return
        running.outcome = repeat
        try:
            running.settle(repeat)
        except LeaseLost:
            self.logger.warning("Message %s was given to another worker meanwhile.", running.message_id)
        except PyMongoError as error:
            if not is_passing(error):
                raise
            self.logger.warning("The database is away; message %s is rescheduled by its ack.", running.message_id)
        except Exception:
            running.outcome = documents.rejected("its repeat cannot be stored", keep_ms=self.dead_ttl_ms)
            raise

    def _priority_of(self, message: Message[Any]) -> int:
        actor = self.actors.get(message.actor_name)
        return actor.priority if actor else 0

    def _ensure_indexes(self, queue_name: str) -> None:
        if queue_name in self._indexed:
            return
        with self._indexing:
            self.queues[queue_name].create_indexes(documents.INDEXES)
            self._indexed.add(queue_name)


def _ages_of_heads(queue: Collection[Any]) -> Iterator[float]:
    """How long the first in line of each priority has waited: one step in the index a priority."""
    priority: Any = MinKey()
    while head := queue.find_one(
        {"state": State.QUEUED, "priority": {"$gt": priority}},
        {"priority": 1, "seq": 1, "now": "$$NOW"},
        sort=[("priority", 1), ("seq", 1)],
    ):
        yield documents.epoch_s(head["now"]) - head["seq"].time
        priority = head["priority"]
    # Only a worker makes a delayed message ready, so without one it stays delayed.
    if late := queue.find_one({"state": State.DELAYED}, {"due": 1, "now": "$$NOW"}, sort=[("due", 1)]):
        yield (late["now"] - late["due"]).total_seconds()


def _holders(queue: Collection[Any]) -> list[str]:
    """The workers that hold messages of a queue; "$gt" lets the index be used."""
    return list(queue.distinct("lease.worker", {"state": State.CONSUMED, "lease.worker": {"$gt": ""}}))


def _copy(message: Message[Any], *, eta: int) -> Message[Any]:
    """A copy with its due time written down for people; a delivery's copy is a plain message."""
    copied: Message[Any] = message.copy(options={"eta": eta})
    return copied
