"""How a process learns that there is something to do: one look a second at all its queues, and a change stream."""

from __future__ import annotations

import math
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Condition, Event, Lock, Thread
from typing import TYPE_CHECKING

from dramatiq.logging import get_logger
from pymongo.change_stream import DatabaseChangeStream
from pymongo.errors import OperationFailure, PyMongoError

from broker import documents
from broker.documents import Document, State
from broker.errors import is_passing

if TYPE_CHECKING:
    from broker.broker import MongoBroker

LOOK_EVERY_S = 1.0
REOPEN_AFTER_S = 1.0
BUSY_AFTER_S = 0.25
QUIET_AFTER_S = 3.0
AWAIT_MS = {"lively": 250, "quiet": 3_000}
"""How long the server holds an unanswered question about changes. While it does, nobody can hang up."""
_WAITING = [State.QUEUED, State.DELAYED]
_NO_REPLICA_SET = 40573


class Bell:
    """Rings when one queue may have something to claim: ready ones now, or delayed ones once the first is due."""

    def __init__(self, idle: Event) -> None:
        self._changed = Condition()
        # What a queue holds before the first look is not known.
        self._is_rung = True
        self._due_at = 0.0
        self._idle = idle
        self._is_waiting = False
        self._waited_at = -math.inf

    def ring(self) -> None:
        """Tell that something may be ready."""
        with self._changed:
            self._is_rung = True
            self._changed.notify_all()

    def expect_due(self, wait_s: float) -> None:
        """Ring in `wait_s` seconds, when a delayed message is due, unless another one is due before."""
        due_at = time.monotonic() + wait_s
        with self._changed:
            if due_at < self._due_at:
                self._due_at = due_at
                self._changed.notify_all()

    def silence(self) -> Rung:
        """What it rings for, and for no longer. What comes from now on rings once more, so look after this."""
        with self._changed:
            # Who was busy elsewhere has heard nothing: the change stream may have been closed meanwhile.
            rung = Rung(ready=self._is_rung or not self.has_listener(), due=self.is_due())
            self._is_rung = False
            if rung.due:
                self._due_at = math.inf
            return rung

    def mute(self) -> None:
        """Not to ring before the next look or the next change, whatever is due: nothing may be claimed just now."""
        with self._changed:
            self._is_rung = False
            self._due_at = math.inf

    def is_ringing(self) -> bool:
        return self._is_rung or self.is_due()

    def is_due(self) -> bool:
        return time.monotonic() >= self._due_at

    def wait(self, deadline: float) -> None:
        """Wait until it rings, or what it expects has changed, or the deadline, on the monotonic clock, has passed."""
        with self._changed:
            if self._is_rung:
                return
            self._is_waiting = True
            self._idle.set()
            self._changed.wait(max(0.0, min(deadline, self._due_at) - time.monotonic()))
            self._is_waiting, self._waited_at = False, time.monotonic()

    def has_listener(self) -> bool:
        """Whether somebody waits for it to ring, or did just now."""
        return self._is_waiting or time.monotonic() - self._waited_at < BUSY_AFTER_S


@dataclass(frozen=True, slots=True)
class Rung:
    """What a bell was ringing for."""

    ready: bool
    due: bool


@dataclass(frozen=True, slots=True)
class Paused:
    """What nobody works on until it is resumed."""

    queues: frozenset[str] = frozenset()
    actors: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rows: Iterable[Document]) -> Paused:
        """From the documents that `MongoBroker.pause` stores."""
        rows = list(rows)
        return cls(
            queues=frozenset(row["queue"] for row in rows if "queue" in row),
            actors=frozenset(row["actor"] for row in rows if "actor" in row),
        )


class Lookout:
    """Rings the bells of this process's queues.

    The look is one command for all queues, at most one a second, by whichever consumer comes first. It is always on,
    so that the change stream need not be trusted: the stream makes things quick, the look makes them certain.

    The stream costs the server more than half of what a message costs it otherwise, so it is open only while some
    queue has nothing to claim; a queue that always has needs nobody to ring.
    """

    def __init__(self, broker: MongoBroker) -> None:
        self.logger = get_logger(__name__, type(self))
        self.paused = Paused()
        self.ready: Document = {"state": State.QUEUED}
        """The filter for what may be claimed."""
        self.next_look_at = 0.0
        self._broker = broker
        self._bells: dict[str, Bell] = {}
        self._queue_of: dict[str, str] = {}
        self._looking = Lock()
        self._thread: Thread | None = None
        self._stop = Event()
        self._idle = Event()
        self._has_no_stream = False

    def bell(self, queue_name: str) -> Bell:
        """The bell of a queue, which rings at once: what the queue holds is not known yet."""
        bell = self._bells.setdefault(queue_name, Bell(self._idle))
        self._queue_of[self._broker.queues[queue_name].name] = queue_name
        bell.expect_due(0)
        bell.ring()
        return bell

    def ring(self, queue_name: str, *, delay_ms: float = 0) -> None:
        """Tell this process's own consumer of a queue, if there is one, of a message: the change stream may be closed.

        It is ready, or will be after a delay, of which nobody need be woken before.
        """
        if bell := self._bells.get(queue_name):
            if delay_ms:
                bell.expect_due(delay_ms / 1000)
            else:
                bell.ring()

    def ring_all(self) -> None:
        """Let every consumer look: for messages, ready or due, or whether it is to stop."""
        for bell in list(self._bells.values()):
            bell.expect_due(0)
            bell.ring()

    def look(self) -> None:
        """Look at all queues of this process, if nobody did within the last second."""
        if time.monotonic() < self.next_look_at or not self._looking.acquire(blocking=False):
            return
        try:
            self._see()
            # A little early or late, so that processes do not march in step.
            self.next_look_at = time.monotonic() + LOOK_EVERY_S * random.uniform(0.8, 1.0)  # noqa: S311 (no secret)
        finally:
            self._looking.release()

    def _see(self) -> None:
        try:
            self._take_in(self._rows())
        except OperationFailure as error:
            if is_passing(error):
                raise
            # Whoever knows nothing tries everything: claims need no look.
            self.logger.warning("A look at the queues was refused (%s); all of them are tried.", error.code)
            self.ring_all()

    def look_soon(self) -> None:
        """Have the next look made now."""
        self.next_look_at = 0.0
        self.ring_all()

    def start(self) -> None:
        """Start listening to the change stream, unless this process listens already or there is none."""
        with self._looking:
            if self._has_no_stream:
                return
            if self._thread is None or not self._thread.is_alive() or self._stop.is_set():
                self._stop = Event()
                self._thread = Thread(target=self._run, args=(self._stop,), name="queue-lookout", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Stop listening; the thread ends by itself within a few seconds."""
        self._stop.set()
        self._idle.set()

    def _rows(self) -> Iterator[Document]:
        """What the database says of every queue, in one command on the collection of workers and pauses."""
        pipeline: list[Document] = [{"$match": {"kind": "pause"}}]
        for queue_name in list(self._bells):
            pipeline += [
                {"$unionWith": {"coll": self._broker.queues[queue_name].name, "pipeline": part}}
                for part in self._parts(queue_name)
            ]
        return self._broker.controls.aggregate(pipeline)

    def _parts(self, queue_name: str) -> Iterator[list[Document]]:
        told = {"_id": 0, "queue": {"$literal": queue_name}}
        yield [
            {"$match": self.ready},
            {"$sort": dict(documents.IN_LINE)},
            {"$limit": 1},
            {"$project": {**told, "kind": "ready"}},
        ]
        yield [
            {"$match": documents.IS_DELAYED},
            {"$sort": {"due": 1}},
            {"$limit": 1},
            {"$project": {**told, "kind": "delayed", "wait_ms": {"$subtract": ["$due", "$$NOW"]}}},
        ]
        yield [
            {"$match": {"state": State.CONSUMED, "lease.worker": self._broker.lease.worker_id}},
            {"$project": {**told, "kind": "held", "id": "$_id", "token": "$lease.token", "canceled": 1}},
        ]

    def _take_in(self, rows: Iterator[Document]) -> None:
        of_kind: dict[str, list[Document]] = defaultdict(list)
        for row in rows:
            of_kind[row["kind"]].append(row)
        self._note_paused(of_kind["pause"])
        for row in of_kind["ready"]:
            self._bells[row["queue"]].ring()
        waits = {row["queue"]: row["wait_ms"] / 1000 for row in of_kind["delayed"]}
        for queue_name, bell in list(self._bells.items()):
            bell.expect_due(waits.get(queue_name, math.inf))
        for row in of_kind["held"]:
            if row.get("canceled"):
                self._broker.interrupt(row["queue"], row["id"])
        self._release_strays(of_kind["held"])

    def _note_paused(self, rows: list[Document]) -> None:
        paused, self.paused = self.paused, Paused.of(rows)
        if paused != self.paused:
            self.ring_all()
        ready: Document = {"state": State.QUEUED}
        if self.paused.actors:
            ready["msg.actor_name"] = {"$nin": sorted(self.paused.actors)}
        self.ready = ready

    def _release_strays(self, rows: list[Document]) -> None:
        """Give back what is leased to this process and not held by it, which would otherwise stay so while it lives.

        A claim whose answer was lost leaves such messages, and so does an ack that a failover undid.
        """
        shelves = self._broker.shelves
        # Asked in this order: a claim that ends in between is in the one or in the other.
        names = list(self._bells)
        under_way = {token for queue_name in names for token in shelves[queue_name].claims()}
        held = {message_id for queue_name in names for message_id in shelves[queue_name].held()}
        for row in rows:
            if row["token"] not in under_way and row["id"] not in held:
                stray = {"_id": row["id"], "lease.token": row["token"]}
                self._broker.acks[row["queue"]].update_one(stray, documents.given_back())

    def _run(self, stop: Event) -> None:
        while not stop.is_set():
            # In this order: whoever stops this sets the event once more after the question has cleared it.
            if not self._is_anyone_waiting() and not stop.is_set():
                self._idle.wait()
            try:
                self._listen(stop)
            except OperationFailure as error:
                if error.code == _NO_REPLICA_SET:
                    self._has_no_stream = True
                    self.logger.warning("MongoDB runs without a replica set; queues are polled every second.")
                    return
                self._say_broken(error, stop)
            except PyMongoError as error:
                self._say_broken(error, stop)

    def _say_broken(self, error: PyMongoError, stop: Event) -> None:
        # At the end the client is closed under the stream.
        if not stop.is_set():
            self.logger.warning("The change stream broke (%s); it is opened again.", type(error).__name__)
        stop.wait(REOPEN_AFTER_S)

    def _listen(self, stop: Event) -> None:
        """Listen while somebody waits for a bell: with short questions, and with long ones once all is quiet."""
        pace = "lively"
        while not stop.is_set() and self._is_anyone_waiting():
            with self._broker.database.watch(self._changes(), max_await_time_ms=AWAIT_MS[pace]) as stream:
                # What was enqueued before the stream was open has rung no bell.
                self.ring_all()
                pace = self._pass_on(stream, stop, pace)

    def _is_anyone_waiting(self) -> bool:
        self._idle.clear()
        # In this order: who begins to wait after the question sets the event again. And of a copy: queues may be
        # declared meanwhile, by threads that start.
        return any(bell.has_listener() for bell in list(self._bells.values()))

    def _pass_on(self, stream: DatabaseChangeStream[Document], stop: Event, pace: str) -> str:
        """Ring for what the stream tells, until that is no longer what is wanted; returns the next pace."""
        heard_at, queues = time.monotonic(), len(self._queue_of)
        while not stop.is_set() and self._is_anyone_waiting() and len(self._queue_of) == queues:
            change = stream.try_next()
            if change:
                self._ring_for(change)
                heard_at = time.monotonic()
                if pace == "quiet":
                    return "lively"
            elif pace == "lively" and time.monotonic() - heard_at > QUIET_AFTER_S:
                return "quiet"
        return pace

    def _ring_for(self, change: Document) -> None:
        name = change["ns"]["coll"]
        if name == self._broker.controls.name or change.get("canceled"):
            self.look_soon()
        elif queue_name := self._queue_of.get(name):
            bell = self._bells[queue_name]
            if change.get("state") == State.DELAYED:
                # Where it does not say when that is, one look will.
                bell.expect_due((change.get("wait_ms") or 0) / 1000)
            else:
                bell.ring()

    def _changes(self) -> list[Document]:
        updated = "updateDescription.updatedFields"
        # Written so that the server can sort out most of what happens by the oplog alone: operations and collections
        # by their names, states by equality.
        controls = {"ns.coll": self._broker.controls.name}
        ours = {"ns.coll": {"$in": [*self._queue_of, self._broker.controls.name]}}
        news = [
            {"operationType": "insert"},
            {"operationType": {"$in": ["replace", "delete"]}, **controls},
            *({"operationType": "update", f"{updated}.state": state} for state in _WAITING),
            {"operationType": "update", f"{updated}.canceled": True},
        ]
        due = {"$ifNull": ["$fullDocument.due", f"${updated}.due"]}
        told = {
            "ns.coll": 1,
            "state": {"$ifNull": ["$fullDocument.state", f"${updated}.state"]},
            "wait_ms": {"$cond": [{"$eq": [{"$type": due}, "date"]}, {"$subtract": [due, "$wallTime"]}, None]},
            "canceled": f"${updated}.canceled",
        }
        # What is due later is no news: a look will have told it by then.
        is_news = {"wait_ms": {"$not": {"$gte": 2_000 * LOOK_EVERY_S}}}
        return [{"$match": {**ours, "$or": news}}, {"$project": told}, {"$match": is_news}]
