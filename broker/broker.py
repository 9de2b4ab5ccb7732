"""The broker: sending messages, and everything a worker process shares between its consumers."""

from __future__ import annotations

import itertools
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property, partial
from threading import Event, Lock
from typing import Any, TypeVar
from uuid import UUID

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from dramatiq import Middleware, Worker
from dramatiq.common import current_millis
from dramatiq.errors import QueueJoinTimeout, QueueNotFound
from dramatiq.message import Message
from dramatiq.middleware import default_middleware
from dramatiq_mongodb import MongoDBBroker
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from broker import documents
from broker.acks import Acks
from broker.consumer import MongoConsumer
from broker.delivery import Delivery, current_delivery
from broker.documents import State
from broker.errors import driver_errors
from broker.isolation import Isolation
from broker.leases import Lease
from broker.lookout import Lookout, Paused
from broker.middleware import Cancellation, DeliveryLifecycle
from broker.sending import Outgoing, outgoing, store, store_many
from broker.shelf import Shelf
from broker.takeover import take_over
from broker.transaction import DURABLE, abandon_current, current_session, on_commit

T = TypeVar("T")

HOUR_MS = 3_600_000
ASK_AGAIN_S = 0.5
RESERVED = "dramatiq_"
"""What the names of the broker's other collections begin with."""
LONGEST_NAMESPACE = 235
"""Bytes of a database's and a collection's name and the dot between them; 255 where nothing is sharded."""


class MongoBroker(MongoDBBroker):  # type: ignore[misc]
    """A Dramatiq broker on MongoDB 6 or later, run as a replica set.

    At-least-once delivery under a lease; delays, retries and priorities are kept in the database. `enqueue` returns
    once the message is journaled on a majority, or joins the transaction around the caller (see `transaction`).

    Parameters:
      database: where the queues live. Its client is not opened before the first use, so it may be made before a fork.
      collection_prefix: put before the name of each queue's collection, followed by "_".
      middleware: as in Dramatiq; None means Dramatiq's defaults.
      lease_s: a worker that is not heard of for so many seconds has lost its messages.
      max_crashes: a message that was being run when so many worker processes died becomes a dead letter. Before that it
        is run alone in its process, so that no other message dies with it time and again.
      prefetch_per_thread: how many messages of a queue a process may hold per worker thread; None takes what Dramatiq
        asks for, which is two, and more of quick ones, see `Shelf.capacity`. One is better where messages run for
        seconds: nothing then waits behind a busy process.
      done_ttl_ms, dead_ttl_ms: how long finished messages and dead letters are kept, in milliseconds.

    Raises ValueError for a prefix that no collection's name can begin with.
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
        self._lifecycle = DeliveryLifecycle()
        super().__init__(database=database, collection_prefix=collection_prefix, middleware=middleware)
        _checked(f"{self._collection_prefix}dramatiq_controls", database=database)
        self.queues: dict[str, Collection[Any]] = {}
        self.acks: dict[str, Collection[Any]] = {}
        self.lease_s = lease_s
        self.prefetch_per_thread = prefetch_per_thread
        self.done_ttl_ms = done_ttl_ms
        self.completed = documents.done(keep_ms=done_ttl_ms)
        self.isolation = Isolation(self, max_crashes=max_crashes)
        self.stopping = Event()
        self._stopping_since = math.inf
        self.worker: Worker | None = None
        self.worker_threads = 1
        self.shelves: dict[str, Shelf] = {}
        self.claim_order = itertools.count()
        self.controls = database.get_collection(
            f"{self._collection_prefix}dramatiq_controls",
            codec_options=CodecOptions(uuid_representation=UuidRepresentation.STANDARD),
            write_concern=DURABLE,
            read_preference=ReadPreference.PRIMARY,
        )
        self.completions = Acks(self)
        self.lookout = Lookout(self)
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
        """Stop claiming, write what acks are left, give the rest back, and close the connections to the database.

        While the database is away it tries for `lease_s` seconds at each of these, and then gives up.
        """
        self.stopping.set()
        self.lookout.stop()
        self.completions.close(within_s=self.lease_s)
        self.lease.close()
        super().close()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 30_000) -> MongoConsumer:
        """A consumer of one queue, holding at most `prefetch` messages and idling `timeout` milliseconds at a time.

        Of quick messages it holds more, see `Shelf.capacity`; the broker's `prefetch_per_thread`, where it is set,
        counts instead. Raises QueueNotFound.
        """
        self._queue(queue_name)
        if self.prefetch_per_thread is not None:
            prefetch = self.prefetch_per_thread * self.worker_threads
        return MongoConsumer(self, queue_name, prefetch=prefetch, timeout_ms=timeout)

    def declare_queue(self, queue_name: str) -> None:
        """Make a queue known. Nothing is asked of the database before the queue is used.

        Raises ValueError for a name that a collection cannot have.
        """
        if queue_name in self.queues:
            return
        if queue_name.startswith(RESERVED):
            raise ValueError(f"Queue names that begin with {RESERVED!r} belong to the broker.")
        name = _checked(self._collection_prefix + queue_name, database=self.database)
        self.emit_before("declare_queue", queue_name)
        queue = self.database.get_collection(
            name,
            codec_options=CodecOptions(uuid_representation=UuidRepresentation.STANDARD),
            write_concern=DURABLE,
            # Whatever the client was told: a secondary shows messages that were claimed or finished meanwhile.
            read_preference=ReadPreference.PRIMARY,
        )
        # Claims and acks need not survive a failover: one that is rolled back leaves the message ready or leased as it
        # was, and it is delivered once more (a leased one as a stray, see the lookout), which at-least-once allows
        # and the token of the old delivery cannot undo.
        self.acks[queue_name] = queue.with_options(write_concern=WriteConcern(w=1))
        self.shelves[queue_name] = Shelf()
        self.queues[queue_name] = queue
        self.emit_after("declare_queue", queue_name)

    def add_middleware(
        self, middleware: Middleware, *, before: type[Middleware] | None = None, after: type[Middleware] | None = None
    ) -> None:
        """As in Dramatiq, which would tell `after_declare_actor` of earlier actors' names instead of the actors."""
        # https://github.com/Bogdanp/dramatiq/issues/743
        actors: dict[str, Any] = self.actors  # type: ignore[has-type]
        self.actors = {}
        try:
            super().add_middleware(middleware, before=before, after=after)
        finally:
            self.actors = actors
        for actor in actors.values():
            middleware.after_declare_actor(self, actor)

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """As in Dramatiq, after what this broker does itself."""
        getattr(self._lifecycle, f"before_{signal}")(self, *args, **kwargs)
        super().emit_before(signal, *args, **kwargs)

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """As in Dramatiq, before what this broker does itself.

        From the end of an actor on, what middleware sends and stores joins its message's ack.
        """
        if signal in ("process_message", "skip_message") and isinstance(args[0], Delivery):
            # Left open, it would swallow what middleware sends now, and what the thread's next message does.
            if abandon_current():
                self.logger.error("An actor left its transaction open; it was rolled back.")
            args[0].is_over = True
        super().emit_after(signal, *args, **kwargs)
        getattr(self._lifecycle, f"after_{signal}")(self, *args, **kwargs)

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Store a message; it is ready after `delay` milliseconds on the server's clock, or at once.

        Returns once it is journaled on a majority. Inside `transaction` it is stored by the commit. The message that is
        being run is rescheduled instead; one that is stored already is left as it is, and one that has finished runs
        again. Returns the message or, if its `unique_key` belongs to a living message, that one.

        Raises ConnectionError, after which the message may be stored or not (in a transaction the driver's own errors,
        for `run_in_transaction` to tell apart); and, with nothing stored, QueueNotFound, MessageTooLarge,
        InvalidUniqueKey, ValueError for a delay beyond a century, and the encoder's error for arguments that it does
        not take: with the default encoder a TypeError for what is not JSON.
        """
        self._queue(message.queue_name)
        delay = _delay_of(message) if delay is None else delay
        if delay:
            message = _copy(message, eta=current_millis() + delay)
        self.emit_before("enqueue", message, delay)
        running = self._delivery_of(message)
        if running:
            self._reschedule(running, message, delay)
        else:
            message = self._send(outgoing(message, priority=self._priority_of(message), delay_ms=delay))
        self.emit_after("enqueue", message, delay)
        return message

    def enqueue_many(self, messages: Iterable[Message[Any]], *, delay: int | None = None) -> list[Message[Any]]:
        """Store many messages in few commands; each as by `enqueue`. In a transaction they commit with it.

        Raises what `enqueue` raises. Outside a transaction a failure in the middle leaves some of them stored; sending
        them all again is safe, because a message that waits or runs already is left as it is.
        """
        with self.batch():
            return [self.enqueue(message, delay=delay) for message in messages]

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Store what the calling thread sends in the block at its end, in few commands; nothing if it raises.

        Except for messages with a unique key, which are stored at once because the answer may be another message, and
        for what is sent in a transaction within the block, which that one commits.
        """
        if self._batch() is not None:
            yield
            return
        batch = _Batch(self, current_session())
        token = _batch.set(batch)
        try:
            yield
        finally:
            _batch.reset(token)
        by_queue = defaultdict(list)
        for item in batch.items:
            by_queue[item.message.queue_name].append(item)
        for queue_name, items in by_queue.items():
            self._store(queue_name, partial(store_many, items), delays_ms={item.delay_ms for item in items})

    @property
    def collection_prefix(self) -> str:
        """What the name of each of the broker's collections begins with: "" or something that ends in "_"."""
        return str(self._collection_prefix)

    def requeue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """The same as `enqueue`, which knows a message it has seen before."""
        return self.enqueue(message, delay=delay)

    def cancel(self, message_id: str, *, queue_name: str = "default") -> bool:
        """Stop a message: at once while it waits, within a second or so while it runs; False when no such one lives.

        A message that runs gets `Canceled` raised in its actor where the Cancellation middleware is in use, and is not
        run again in any case. In a transaction it is stopped by the commit. Raises ConnectionError (in a transaction
        the driver's own errors, as `enqueue` does) and QueueNotFound.
        """

        def stop(queue: Collection[Any], wanted: UUID, session: ClientSession | None) -> bool:
            # Marked first, whatever its state: between two looks it may be claimed, or given back.
            living = {"_id": wanted, "state": {"$in": documents.LIVE}}
            is_alive = queue.update_one(living, {"$set": {"canceled": True}}, session=session).matched_count > 0
            if is_alive:
                waiting = {"_id": wanted, "state": {"$in": [State.QUEUED, State.DELAYED]}}
                queue.update_one(waiting, documents.canceled(keep_ms=self.done_ttl_ms), session=session)
            return is_alive

        return self._change_one(queue_name, message_id, stop)

    def bring_forward(self, message_id: str, *, queue_name: str = "default") -> bool:
        """Let a message that waits for its time be ready now, at the end of the line; False when it does not wait.

        In a transaction it is ready with the commit. Raises as `cancel` does.
        """

        def hurry(queue: Collection[Any], wanted: UUID, session: ClientSession | None) -> bool:
            waiting = {"_id": wanted, "state": State.DELAYED}
            return queue.update_one(waiting, documents.hurried(), session=session).matched_count > 0

        is_ready = self._change_one(queue_name, message_id, hurry)
        if is_ready:
            on_commit(lambda: self.lookout.ring(queue_name))
        return is_ready

    def pause(self, *, queue: str | None = None, actor: str | None = None) -> None:
        """Have no worker start messages of a queue or an actor, until `resume`. What runs is finished.

        It is stored, and known to every worker within two seconds. Raises ConnectionError, and ValueError when neither
        is named.
        """
        with driver_errors():
            for pause in _pauses(queue, actor):
                self.controls.replace_one({"_id": pause["_id"]}, pause, upsert=True)

    def resume(self, *, queue: str | None = None, actor: str | None = None) -> None:
        """Undo `pause`. Raises as it does."""
        with driver_errors():
            for pause in _pauses(queue, actor):
                self.controls.delete_one({"_id": pause["_id"]})

    def paused(self) -> Paused:
        """What is paused now. Raises ConnectionError."""
        with driver_errors():
            return Paused.of(self.controls.find({"kind": "pause"}))

    def flush(self, queue_name: str) -> None:
        """Remove every message of a queue, whatever its state. Raises QueueNotFound and ConnectionError."""
        queue = self._queue(queue_name)
        with driver_errors():
            queue.delete_many({})

    def join(self, queue_name: str, *, interval: int = 50, timeout: int | None = None) -> None:
        """Wait until the queue has no live message, looking every `interval` milliseconds. Meant for tests.

        Raises QueueJoinTimeout after `timeout` milliseconds, QueueNotFound and ConnectionError.
        """
        queue = self._queue(queue_name)
        deadline = time.monotonic() + timeout / 1000 if timeout is not None else None
        with driver_errors():
            while queue.find_one({"state": {"$in": documents.LIVE}}, {"_id": 1}):
                if deadline is not None and time.monotonic() > deadline:
                    raise QueueJoinTimeout(queue_name)
                time.sleep(interval / 1000)

    @cached_property
    def is_standalone(self) -> bool:
        """Whether MongoDB runs without a replica set, and so without transactions. Raises ConnectionError."""
        with driver_errors():
            hello = self.database.client.admin.command("hello")
        return "setName" not in hello and hello.get("msg") != "isdbgrid"

    def open(self, queue_name: str) -> None:
        """Get ready to claim from a queue: its indexes, the lease and the lookout. Raises ConnectionError."""
        with driver_errors():
            self._ensure_indexes(queue_name)
            self.lease.cover(self.queues[queue_name].name)
        self.lookout.start()

    def stop_claims(self) -> None:
        """Begin to stop: nothing is claimed from now on."""
        self._stopping_since = time.monotonic()
        self.stopping.set()

    def has_stopped_for_long(self) -> bool:
        """Whether it began to stop more than a lease ago, and what it holds is for others to run."""
        return self.stopping.is_set() and time.monotonic() - self._stopping_since > self.lease_s

    def is_paused(self, message: Message[Any] | Delivery) -> bool:
        """Whether the last look found the message's queue or actor paused."""
        paused = self.lookout.paused
        return message.queue_name in paused.queues or message.actor_name in paused.actors

    def still_holds(self, delivery: Delivery) -> bool:
        """Ask the database, for as long as it takes, whether a delivery still has its lease; False at shutdown."""
        while not self.stopping.is_set():
            try:
                return delivery.is_ours()
            except PyMongoError:
                self.stopping.wait(ASK_AGAIN_S)
        return False

    def interrupt(self, queue_name: str, message_id: UUID) -> None:
        """Tell this process that a message it holds was canceled."""
        delivery = self.shelves[queue_name].find(message_id)
        if delivery and not delivery.is_canceled:
            delivery.is_canceled = True
            for middleware in self.middleware:
                if isinstance(middleware, Cancellation):
                    middleware.interrupt(delivery)

    def _queue(self, queue_name: str) -> Collection[Any]:
        try:
            return self.queues[queue_name]
        except KeyError:
            raise QueueNotFound(queue_name) from None

    def _change_one(
        self,
        queue_name: str,
        message_id: str,
        change: Callable[[Collection[Any], UUID, ClientSession | None], bool],
    ) -> bool:
        """Change a message in the transaction around the caller, or at once. False for what is no message's id."""
        queue = self._queue(queue_name)
        try:
            wanted = UUID(message_id)
        except ValueError:
            return False
        if session := current_session():
            # With the driver's own errors, which say whether the transaction is worth another try.
            return change(queue, wanted, session)
        with driver_errors():
            return change(queue, wanted, None)

    def _delivery_of(self, message: Message[Any] | Delivery) -> Delivery | None:
        """The delivery that is to be repeated, when the message is one that this process is busy with."""
        if isinstance(message, Delivery):
            return message
        running = current_delivery()
        if running and running.message_id == message.message_id:
            return running
        # Without a worker whoever claimed it by a consumer is the one who sends it again.
        return None if self.worker else self.shelves[message.queue_name].find(message.message_id)

    def _send(self, item: Outgoing) -> Message[Any]:
        queue_name = item.message.queue_name
        batch = self._batch()
        if batch is not None and item.unique_key is None:
            batch.items.append(item)
            return item.message
        return self._store(queue_name, partial(store, item), delays_ms={item.delay_ms}) or item.message

    def _batch(self) -> _Batch | None:
        """The batch that what is sent now belongs to."""
        batch = _batch.get()
        is_ours = batch is not None and batch.broker is self and batch.session is current_session()
        return batch if is_ours else None

    def _store(
        self, queue_name: str, write: Callable[[Collection[Any], ClientSession | None], T], *, delays_ms: set[float]
    ) -> T | None:
        """Write to a queue now, with the transaction around the caller, or with the ack of the message that is over."""
        queue, running = self.queues[queue_name], current_delivery()

        def join(session: ClientSession | None) -> T:
            # No index is made here: a collection that changes after a transaction has begun cannot be written to in
            # it. Workers make them.
            written = write(queue, session)
            on_commit(ring)
            return written

        def ring() -> None:
            for delay_ms in delays_ms:
                self.lookout.ring(queue_name, delay_ms=delay_ms)

        if session := current_session():
            # With the driver's own errors, which say whether the transaction is worth another try.
            return join(session)
        if running and running.is_over:
            running.join_ack(join)
            return None
        with driver_errors():
            self._ensure_indexes(queue_name)
            written = write(queue, None)
        ring()
        return written

    def _reschedule(self, running: Delivery, message: Message[Any], delay: int | None) -> None:
        if running.settled:
            self.logger.warning("Message %s was settled in a transaction; it is not run again.", running.message_id)
            return
        if running.is_canceled:
            return
        try:
            repeat = documents.rescheduled(documents.body_of(message), delay_ms=delay)
            running.delay_ms = delay or 0
        except Exception:
            running.outcome = documents.rejected("its repeat cannot be stored", keep_ms=self.dead_ttl_ms)
            raise
        if current_session():
            running.settle(repeat)
            return
        # In a worker the ack writes it. Whoever reads a queue without one may never ack.
        running.outcome = repeat
        if current_delivery() is None:
            with driver_errors():
                running.settle(repeat)

    def _priority_of(self, message: Message[Any]) -> int:
        actor = self.actors.get(message.actor_name)
        return actor.priority if actor else 0

    def _ensure_indexes(self, queue_name: str) -> None:
        if queue_name in self._indexed:
            return
        with self._indexing:
            take_over(self.queues[queue_name], self)
            self.queues[queue_name].create_indexes(documents.INDEXES)
            self._indexed.add(queue_name)


@dataclass
class _Batch:
    broker: MongoBroker
    session: ClientSession | None
    items: list[Outgoing] = field(default_factory=list)


_batch: ContextVar[_Batch | None] = ContextVar("batch", default=None)


def _pauses(queue: str | None, actor: str | None) -> Iterator[dict[str, str]]:
    if queue is None and actor is None:
        raise ValueError("Name a queue or an actor.")
    if queue is not None:
        yield {"_id": f"queue {queue}", "kind": "pause", "queue": queue}
    if actor is not None:
        yield {"_id": f"actor {actor}", "kind": "pause", "actor": actor}


def _checked(name: str, *, database: Database[Any]) -> str:
    """The name of a collection, if it can be one. Raises ValueError."""
    is_long = len(f"{database.name}.{name}".encode()) > LONGEST_NAMESPACE
    is_odd = not name or ".." in name or name[0] == "." or name[-1] == "." or name.startswith("system.")
    if is_long or is_odd or not {"$", "\0"}.isdisjoint(name):
        raise ValueError(f"A collection cannot be named {name!r}: choose another prefix or queue name.")
    return name


def _delay_of(message: Message[Any] | Delivery) -> int | None:
    """The delay of a message that says itself when it is due. Raises TypeError or ValueError for a senseless `eta`.

    An instant can only be given by the sender's clock; every delay is reckoned by the server's.
    """
    eta = message.options.get("eta")
    if eta is None or isinstance(message, Delivery):
        return None
    if isinstance(eta, bool) or not isinstance(eta, int | float):
        raise TypeError(f"eta must be a number of milliseconds since 1970, not {type(eta).__name__}")
    wait_ms = eta - current_millis()
    # Written so that it holds for what is no number, too.
    if not wait_ms < documents.CENTURY_MS:
        raise ValueError(f"eta of {eta} is more than a century away")
    return max(0, int(wait_ms)) or None


def _copy(message: Message[Any], *, eta: int) -> Message[Any]:
    """A copy with its due time written down for people; a delivery's copy is a plain message."""
    copied: Message[Any] = message.copy(options={"eta": eta})
    return copied
