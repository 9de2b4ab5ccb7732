"""The broker's reader of one queue: one claimer per process and queue, which claims in batches."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from threading import Condition
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from bson import Timestamp
from dramatiq.broker import Consumer
from dramatiq.logging import get_logger

from broker import documents
from broker.delivery import Delivery
from broker.documents import Document, State
from broker.errors import LeaseLost, driver_errors

if TYPE_CHECKING:
    from broker.broker import MongoBroker

LOOK_FOR_DUE_S = 1.0
"""The longest time between two looks at the delayed messages, however busy the queue is."""


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
        self._claimed: deque[Delivery] = deque()
        self._held = 0
        self._room = Condition()
        self._order = 0
        self._look_for_due_at = 0.0

    def __next__(self) -> Delivery | None:
        """The next delivery, or None after the timeout. Raises ConnectionError."""
        deadline = time.monotonic() + self.timeout_s
        while not self.broker.stopping.is_set():
            if self._claimed:
                return self._claimed.popleft()
            room = self._wait_for_room(deadline)
            # Cleared before the look, so that a message arriving during the look is not slept through.
            self.awake.clear()
            if room > 0 and self._claim(room):
                continue
            if time.monotonic() >= deadline:
                return None
            if self.awake.wait(self._idle_s(deadline)):
                # It may have been a delayed message that is due before the one we know of.
                self._look_for_due_at = 0.0
        # Between the flag and the worker's end there is nothing to claim, and nothing claimed may be kept.
        self._give_back(self._claimed)
        self._claimed.clear()
        time.sleep(min(0.05, self.timeout_s))
        return None

    def ack(self, message: Delivery) -> None:
        """Write the delivery's outcome: done, unless a repeat was asked for meanwhile."""
        self._settle(message, message.outcome)

    def nack(self, message: Delivery) -> None:
        """Make the message a dead letter."""
        reason = message.options.get("traceback") or "rejected"
        self._settle(message, documents.rejected(reason.strip().rsplit("\n", 1)[-1], keep_ms=self.broker.dead_ttl_ms))

    def requeue(self, messages: Iterable[Delivery]) -> None:
        """Give messages back untouched, uncharged and at their old place in line. Raises ConnectionError."""
        self._give_back(messages)

    def close(self) -> None:
        """Give back what was claimed and not handed out."""
        self.broker.wakeups.unsubscribe(self.queue.name, self.awake)
        self._give_back(self._claimed)
        self._claimed.clear()

    def _wait_for_room(self, deadline: float) -> int:
        """How many more messages may be claimed now; waits while it would be too few to be worth a claim."""
        worthwhile = max(1, self.prefetch // 4)
        with self._room:
            while self._held > self.prefetch - worthwhile and not self.broker.stopping.is_set():
                if not self._room.wait(deadline - time.monotonic()):
                    break
            return self.prefetch - self._held

    def _idle_s(self, deadline: float) -> float:
        """Until the deadline or the next due message, a little early or late so that processes do not march in step."""
        wait_s = min(deadline, self._look_for_due_at) - time.monotonic()
        return max(0.001, wait_s * random.uniform(0.9, 1.0))  # noqa: S311 (no secret)

    def _claim(self, room: int) -> bool:
        """Claim up to `room` messages in order. False when none was ready."""
        with driver_errors():
            self._release_unread_claims()
            self._promote_due()
            found = self.queue.find({"state": State.QUEUED}, {"_id": 1}).sort([("priority", 1), ("seq", 1)])
            ids = [document["_id"] for document in found.limit(room)]
            if not ids:
                return False
            # Rivals may take some of these first; the token tells which ones became ours.
            token = uuid4()
            unread = self.broker.unread_claims[self.queue_name]
            unread.add(token)
            self.queue.update_many(
                {"_id": {"$in": ids}, "state": State.QUEUED},
                documents.claimed(self.broker.lease.worker_id, token),
            )
            ours = self.queue.find(
                {"state": State.CONSUMED, "lease.worker": self.broker.lease.worker_id, "lease.token": token}
            ).sort([("priority", 1), ("seq", 1)])
            for document in ours:
                self._take(document)
            unread.discard(token)
        return True

    def _take(self, document: Document) -> None:
        self._order += 1
        try:
            delivery = Delivery(self.broker, document, order=self._order)
        except (KeyError, TypeError, AttributeError):
            self.logger.warning("A message of queue %r cannot be read; it becomes a dead letter.", self.queue_name)
            self.queue.update_one(
                {"_id": document["_id"], "lease.token": document["lease"]["token"]},
                documents.rejected("unreadable", keep_ms=self.broker.dead_ttl_ms),
            )
            return
        with self._room:
            self._held += 1
        self._claimed.append(delivery)

    def _release_unread_claims(self) -> None:
        """Give back what an earlier claim took whose answer was lost: nobody here knows those messages."""
        unread = self.broker.unread_claims[self.queue_name]
        for token in list(unread):
            self.queue.update_many(
                {"state": State.CONSUMED, "lease.worker": self.broker.lease.worker_id, "lease.token": token},
                documents.given_back(),
            )
            unread.discard(token)

    def _promote_due(self) -> None:
        """Make due messages ready. The first delayed one tells the server's time and when to look again."""
        if time.monotonic() < self._look_for_due_at:
            return
        head = self.queue.find_one({"state": State.DELAYED}, {"due": 1, "now": "$$NOW"}, sort=[("due", 1)])
        wait_s = LOOK_FOR_DUE_S
        if head:
            now: datetime = head["now"]
            wait_s = (head["due"] - now).total_seconds()
        if head and wait_s <= 0:
            # Its place in line is the moment it became ready, so a message that repeats itself overtakes nobody.
            self.queue.update_many(
                {"state": State.DELAYED, "due": {"$lte": now}},
                {
                    "$set": {
                        "state": State.QUEUED,
                        "seq": Timestamp(int(now.replace(tzinfo=UTC).timestamp()), 1),
                    },
                    "$unset": {"due": ""},
                },
            )
        self._look_for_due_at = time.monotonic() + min(max(wait_s, 0), LOOK_FOR_DUE_S)

    def _settle(self, message: Delivery, outcome: documents.Pipeline) -> None:
        if not message.settled:
            try:
                with driver_errors():
                    message.settle(outcome)
            except LeaseLost as error:
                self.logger.warning("Not acknowledged: %s.", error)
        self._let_go(1)

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
        self._let_go(len(held))

    def _let_go(self, count: int) -> None:
        with self._room:
            self._held -= count
            self._room.notify()
