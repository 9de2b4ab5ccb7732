"""The broker's reader of one queue: one claimer per process and queue, which claims in batches."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from dramatiq.broker import Consumer
from dramatiq.errors import ConnectionClosed
from dramatiq.logging import get_logger
from pymongo import UpdateOne
from pymongo.errors import PyMongoError

from broker import documents
from broker.delivery import Delivery
from broker.documents import Document, State
from broker.errors import LeaseLost, Unreadable, driver_errors

if TYPE_CHECKING:
    from broker.broker import MongoBroker

LOOK_FOR_DUE_S = 1.0
"""The longest time between two looks at the delayed messages, however busy the queue is."""
LOOK_FOR_STRAYS_S = 5.0
PROMOTED_AT_ONCE = 256


class MongoConsumer(Consumer):
    """Iterates over the deliveries of one queue; None after `timeout_ms` without any."""

    def __init__(self, broker: MongoBroker, queue_name: str, *, prefetch: int, timeout_ms: int) -> None:
        self.logger = get_logger(__name__, type(self))
        self.broker = broker
        self.queue_name = queue_name
        self.queue = broker.acks[queue_name]
        self.prefetch = prefetch
        self.timeout_s = timeout_ms / 1000
        self.awake = broker.wakeups.subscribe(self.queue.name)
        self._shelf = broker.shelves[queue_name]
        self._look_for_due_at = 0.0
        self._look_for_strays_at = 0.0

    def __next__(self) -> Delivery | None:
        """The next delivery, or None after the timeout. Raises ConnectionError."""
        deadline = time.monotonic() + self.timeout_s
        while not self.broker.stopping.is_set():
            if self._shelf.claimed:
                return self._shelf.claimed.popleft()
            self.broker.lease.keep()
            with driver_errors():
                self._release_strays()
            room = self._wait_for_room(deadline)
            # Cleared before the look, so that a message arriving during the look is not slept through.
            self.awake.clear()
            if room > 0 and not self.broker.stopping.is_set() and self._claim(room):
                continue
            if time.monotonic() >= deadline:
                return None
            if self.awake.wait(self._idle_s(deadline)):
                # It may have been a delayed message that is due before the one we know of.
                self._look_for_due_at = 0.0
        # Between the flag and the worker's end there is nothing to claim, and nothing claimed may be kept.
        self._give_back_claimed()
        time.sleep(min(0.05, self.timeout_s))
        return None

    def ack(self, message: Delivery) -> None:
        """Write the delivery's outcome: done, unless a repeat was asked for meanwhile."""
        self._settle(message, message.outcome)

    def nack(self, message: Delivery) -> None:
        """Make the message a dead letter."""
        self._settle(message, documents.rejected(message.reason, keep_ms=self.broker.dead_ttl_ms))

    def requeue(self, messages: Iterable[Delivery]) -> None:
        """Give messages back untouched, uncharged and at their old place in line. Raises ConnectionError."""
        self._give_back(messages)

    def close(self) -> None:
        """Give back what was claimed and not handed out."""
        self.broker.wakeups.unsubscribe(self.queue.name, self.awake)
        self._give_back_claimed()

    def _wait_for_room(self, deadline: float) -> int:
        """How many more messages may be claimed now; waits while it would be too few to be worth a claim."""
        # Not while a thread has nothing to do: there a single message is worth one.
        spare = self.prefetch - self.broker.worker_threads + 1
        return self._shelf.wait_for_room(
            self.prefetch,
            wanted=max(1, min(self.prefetch // 4, spare)),
            deadline=deadline,
            is_stopping=self.broker.stopping.is_set,
        )

    def _idle_s(self, deadline: float) -> float:
        """Until the deadline or the next due message, a little early or late so that processes do not march in step."""
        wait_s = min(deadline, self._look_for_due_at) - time.monotonic()
        return max(0.001, wait_s * random.uniform(0.9, 1.0))  # noqa: S311 (no secret)

    def _claim(self, room: int) -> bool:
        """Claim up to `room` messages in order. False when none was ready."""
        with driver_errors():
            self._promote_due()
            found = self.queue.find({"state": State.QUEUED}, {"_id": 1}).sort([("priority", 1), ("seq", 1)])
            ids = [document["_id"] for document in found.limit(room)]
            if not ids:
                return False
            # Rivals may take some of these first; the token tells which ones became ours.
            token = uuid4()
            self.queue.update_many(
                {"_id": {"$in": ids}, "state": State.QUEUED},
                documents.claimed(self.broker.lease.worker_id, token),
            )
            ours = self.queue.find(
                {"state": State.CONSUMED, "lease.worker": self.broker.lease.worker_id, "lease.token": token}
            ).sort([("priority", 1), ("seq", 1)])
            # All of them or none: those of a claim that was read in part are strays.
            self._shelf.put([delivery for delivery in map(self._read, ours) if delivery])
        return True

    def _read(self, document: Document) -> Delivery | None:
        try:
            return Delivery(self.broker, self.queue_name, document, order=next(self.broker.claim_order))
        except Unreadable as error:
            self.logger.warning("A message of queue %r becomes a dead letter: %s.", self.queue_name, error)
            self.queue.update_one(
                {"_id": document["_id"], "lease.token": document["lease"]["token"]},
                documents.rejected(f"unreadable, {error}", keep_ms=self.broker.dead_ttl_ms),
            )
            return None

    def _release_strays(self) -> None:
        """Give back what is leased to this process and not held by it, which would otherwise stay so while it lives.

        A claim whose answer was lost leaves such messages, and so does an ack that a failover undid.
        """
        if time.monotonic() < self._look_for_strays_at:
            return
        mine = {"state": State.CONSUMED, "lease.worker": self.broker.lease.worker_id}
        self.queue.update_many({**mine, "_id": {"$nin": self._shelf.held()}}, documents.given_back())
        self._look_for_strays_at = time.monotonic() + LOOK_FOR_STRAYS_S

    def _promote_due(self) -> None:
        """Make due messages ready. The first delayed one tells the server's time and when to look again."""
        if time.monotonic() < self._look_for_due_at:
            return
        head = self.queue.find_one({"state": State.DELAYED}, {"due": 1, "now": "$$NOW"}, sort=[("due", 1)])
        wait_s = (head["due"] - head["now"]).total_seconds() if head else LOOK_FOR_DUE_S
        if head and wait_s <= 0:
            due = self.queue.find({"state": State.DELAYED, "due": {"$lte": head["now"]}}, {"due": 1}).sort("due", 1)
            # `due` is asked for once more because it may have run and been delayed again since.
            self.queue.bulk_write(
                [
                    UpdateOne({"_id": message["_id"], "due": message["due"]}, documents.promoted(message["due"]))
                    for message in due.limit(PROMOTED_AT_ONCE)
                ],
                ordered=False,
            )
        self._look_for_due_at = time.monotonic() + min(max(wait_s, 0), LOOK_FOR_DUE_S)

    def _settle(self, message: Delivery, outcome: documents.Outcome) -> None:
        if not message.settled:
            try:
                message.settle(outcome)
            except LeaseLost as error:
                self.logger.warning("Not acknowledged: %s.", error)
            except PyMongoError as error:
                # Whatever the reason: the worker repeats what failed with this error. Any other it lets pass, and the
                # message would then stay under a lease that is renewed for as long as this process lives.
                raise ConnectionClosed(error) from error
        self._shelf.let_go(message)

    def _give_back_claimed(self) -> None:
        """What cannot be given back now stays on the shelf, for the next consumer of this queue."""
        self._give_back(self._shelf.claimed)
        self._shelf.claimed.clear()

    def _give_back(self, messages: Iterable[Delivery]) -> None:
        held = [message for message in messages if not message.settled]
        if not held:
            return
        with driver_errors():
            self.queue.update_many(
                {
                    "_id": {"$in": [UUID(message.message_id) for message in held]},
                    "lease.token": {"$in": list({message.token for message in held})},
                },
                documents.given_back(),
            )
        for message in held:
            message.settled = True
        self._shelf.let_go(*held)
