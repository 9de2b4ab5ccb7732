"""The broker's reader of one queue: one claimer per process and queue, which claims in batches."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from queue import PriorityQueue
from typing import TYPE_CHECKING
from uuid import uuid4

from bson import MaxKey, Timestamp
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.errors import ConnectionClosed
from dramatiq.logging import get_logger
from pymongo import UpdateMany, UpdateOne
from pymongo.errors import PyMongoError

from broker import documents
from broker.acks import by_token
from broker.delivery import Claim, Delivery
from broker.documents import Document, State
from broker.errors import LeaseLost, driver_errors, is_passing
from broker.guardian import clock_s
from broker.takeover import eta_of

if TYPE_CHECKING:
    from broker.broker import MongoBroker

PROMOTED_AT_ONCE = 256
_ID_AND_DUE = {"_id": "$_id", "due": "$due"}
MOST_RIVALS = 8
"""How many batches, at most, a claim may skip for the sake of others that claim at the same time."""
FORGET_RIVALS = 0.1
"""How likely a claim that lost nothing makes the guess at the number of rivals one lower."""


class MongoConsumer(Consumer):
    """Iterates over the deliveries of one queue; None after `timeout_ms` without any."""

    def __init__(self, broker: MongoBroker, queue_name: str, *, prefetch: int, timeout_ms: int) -> None:
        self.logger = get_logger(__name__, type(self))
        self.broker = broker
        self.queue_name = queue_name
        self.queue = broker.acks[queue_name]
        self.prefetch = prefetch
        self.timeout_s = timeout_ms / 1000
        self._is_open = False
        self.bell = broker.lookout.bell(queue_name)
        self._shelf = broker.shelves[queue_name]
        self._rivals = 0

    def __next__(self) -> Delivery | None:
        """The next delivery, or None after the timeout. Raises ConnectionError."""
        if not self._is_open:
            self.broker.open(self.queue_name)
            self._is_open = True
        deadline = time.monotonic() + self.timeout_s
        while not self.broker.stopping.is_set():
            if self._shelf.claimed and self.broker.isolation.lets_start(self._shelf.claimed[0]):
                return self._shelf.claimed.popleft()
            self.broker.lease.keep()
            with driver_errors():
                self.broker.lookout.look()
            is_found = False
            if self.queue_name in self.broker.lookout.paused.queues:
                self._give_back_claimed()
                self.bell.mute()
            elif self._must_wait():
                self.bell.mute()
            elif self.bell.is_ringing():
                is_found = self._claim_what_there_is(deadline)
            if is_found and self._shelf.claimed:
                continue
            if time.monotonic() >= deadline:
                return None
            if not is_found:
                self.bell.wait(min(deadline, self.broker.lookout.next_look_at))
        # Between the flag and the worker's end there is nothing to claim, and nothing claimed may be kept.
        self._give_back_claimed()
        time.sleep(min(0.05, self.timeout_s))
        return None

    def ack(self, message: MessageProxy) -> None:
        """Write the delivery's outcome: done, unless a repeat was asked for meanwhile.

        In a worker a plain completion is written soon after, together with others. Raises ConnectionError.
        """
        if not isinstance(message, Delivery):
            self.logger.warning("Not acknowledged: a message that no consumer of this broker has given out.")
        elif message.is_plain and self.broker.worker and not message.settled:
            self._shelf.finish(message)
            self.broker.completions.add(message)
        else:
            with self._settling(message):
                message.finish()
        self.broker.isolation.note_end()

    def nack(self, message: MessageProxy) -> None:
        """Make the message a dead letter. Raises ConnectionError."""
        if not isinstance(message, Delivery):
            self.logger.warning("Not rejected: a message that no consumer of this broker has given out.")
        else:
            with self._settling(message):
                message.fail_for_good()
        self.broker.isolation.note_end()

    def requeue(self, messages: Iterable[Delivery]) -> None:
        """Give messages back untouched, uncharged and at their old place in line. Raises ConnectionError."""
        self._give_back(messages)

    def close(self) -> None:
        """Give back what was claimed and not handed out."""
        self._give_back_claimed()

    def _must_wait(self) -> bool:
        """Whether nothing may be claimed just now, whatever there is."""
        worker = self.broker.worker
        # Its consumers are paused with a worker's threads, but not those of queues that are declared meanwhile.
        # A worker that is just starting has queues before it has threads, and is not paused.
        threads = worker.workers if worker else []
        is_paused = bool(threads) and all(thread.paused for thread in threads)
        return is_paused or self.broker.isolation.is_on()

    def _claim_what_there_is(self, deadline: float) -> bool:
        """False when nothing was there to claim, or no room to hold it."""
        room = self._wait_for_room(deadline)
        if room <= 0 or self.broker.stopping.is_set() or self._must_wait():
            return False
        # Before the look, so that a message arriving during it is not slept through.
        rung = self.bell.silence()
        with driver_errors():
            due = self._due(room, "$$ROOT") if rung.due else []
            if not rung.ready and self._may_skip_the_line(due, room):
                return self._claim(due)
            self._promote(due if len(due) <= room else self._due(PROMOTED_AT_ONCE, _ID_AND_DUE))
            return self._claim(self._look_ahead(room))

    def _may_skip_the_line(self, due: list[Document], room: int) -> bool:
        """Whether these may be claimed as they become ready: nobody waits in line, and all of them would be claimed.

        Not where an actor is paused or a message has to run alone: who may go then is decided in line.
        """
        is_anyone_held_up = self.broker.lookout.paused.actors or any(map(self.broker.isolation.concerns, due))
        return len(due) <= room and not is_anyone_held_up

    def _wait_for_room(self, deadline: float) -> int:
        """How many more messages may be claimed now; waits while it would be too few to be worth a claim."""
        is_set = self.broker.prefetch_per_thread is not None
        capacity = self.prefetch if is_set else self._shelf.capacity(self.prefetch)
        # Not while a thread has nothing to do: there a single message is worth one.
        spare = capacity - self.broker.worker_threads + 1
        return self._shelf.wait_for_room(
            capacity,
            wanted=max(1, min(capacity // 2, spare)),
            deadline=deadline,
            is_stopping=self.broker.stopping.is_set,
        )

    def _claim(self, found: list[Document]) -> bool:
        """Claim messages in this order. False when there are none."""
        together = self._together(found)
        if not together:
            return False
        if len(together) < len(found):
            self.bell.ring()
        claim = Claim(uuid4(), clock_s())
        with self._shelf.claiming(claim.token):
            deliveries = [self._read(document, claim) for document in self._win(together, claim)]
            # All of them or none: those of a claim that ended half way are strays.
            self._shelf.put([delivery for delivery in deliveries if delivery])
        self._hand_over()
        return True

    def _win(self, found: list[Document], claim: Claim) -> list[Document]:
        """Lease these to this process; returns the ones that no rival was quicker to take."""
        won = self.queue.bulk_write(self._leases(found, claim), ordered=False).matched_count
        self._note_rivals(lost=len(found) - won, of=len(found))
        if won in (0, len(found)):
            return found[:won]
        ours = {"state": State.CONSUMED, "lease.worker": self.broker.lease.worker_id, "lease.token": claim.token}
        ids = set(self.queue.distinct("_id", ours))
        return [document for document in found if document["_id"] in ids]

    def _leases(self, found: list[Document], claim: Claim) -> list[UpdateOne | UpdateMany]:
        """What leases messages that are either all ready or all due, unless something has happened to them since."""
        worker_id = self.broker.lease.worker_id
        if found[0]["state"] == State.DELAYED:
            return [
                UpdateOne(
                    # It may have run and been delayed again.
                    {"_id": document["_id"], "due": document["due"]},
                    documents.claimed_when_due(worker_id, claim.token, seq=document["seq"]),
                )
                for document in found
            ]
        # One that was run and repeated since it was read has a newer place in line, and another content.
        places = [seq for document in found if isinstance(seq := document.get("seq"), Timestamp)]
        unchanged = {
            "_id": {"$in": [document["_id"] for document in found]},
            "state": State.QUEUED,
            "seq": {"$not": {"$gt": max(places, default=MaxKey())}},
        }
        return [UpdateMany(unchanged, documents.claimed(worker_id, claim.token))]

    def _hand_over(self) -> None:
        """Give the worker what was claimed, all at once.

        One by one, each would have to wait for its turn between the threads that run messages; they had run dry by the
        time the last one came, and only then the next claim began. What is not for now, or for no actor of this
        process, goes the usual way.
        """
        worker = self.broker.worker
        if worker is None:
            return
        claimed = [self._shelf.claimed.popleft() for _ in range(len(self._shelf.claimed))]
        ready = [
            (actor.priority, delivery)
            for delivery in claimed
            if (actor := self.broker.actors.get(delivery.actor_name)) and not self.broker.isolation.is_for(delivery)
        ]
        known = {delivery.order for _, delivery in ready}
        self._shelf.claimed.extend(delivery for delivery in claimed if delivery.order not in known)
        queue: PriorityQueue[tuple[int, Delivery]] = worker.work_queue
        with queue.mutex:
            for item in ready:
                queue._put(item)  # noqa: SLF001 (the method that queues are to be extended by)
            queue.unfinished_tasks += len(ready)
            queue.not_empty.notify(len(ready))

    def _look_ahead(self, room: int) -> list[Document]:
        """The first messages in line; beside rivals, those behind what they are likely to be claiming just now."""
        in_line = self.queue.find(self.broker.lookout.ready).sort(documents.IN_LINE).limit(room)
        behind = random.randint(0, self._rivals) * room  # noqa: S311 (no secret)
        found = list(in_line.clone().skip(behind)) if behind else []
        is_from_the_front = not found
        found = found or list(in_line)
        if len(found) == room or not is_from_the_front:
            # There may be more, and nobody rings for what was there before.
            self.bell.ring()
        return found

    def _note_rivals(self, *, lost: int, of: int) -> None:
        """Claimers that go for the same messages cost the server many times what claims cost, and win little."""
        if 4 * lost > of:
            self._rivals = min(self._rivals + 1, MOST_RIVALS)
        elif not lost and random.random() < FORGET_RIVALS:  # noqa: S311 (no secret)
            self._rivals = max(self._rivals - 1, 0)

    def _together(self, found: list[Document]) -> list[Document]:
        """The first of these that may be in one process at once."""
        return list(takewhile(lambda document: not self.broker.isolation.concerns(document), found)) or found[:1]

    def _read(self, document: Document, claim: Claim) -> Delivery | None:
        mine = {"_id": document["_id"], "lease.token": claim.token}
        try:
            if eta := eta_of(document):
                self.queue.update_one(mine, documents.postponed(eta))
                return None
            if document.get("canceled"):
                self.queue.update_one(mine, documents.canceled(keep_ms=self.broker.done_ttl_ms))
                return None
            order = next(self.broker.claim_order)
            delivery = Delivery(self.broker, self.queue_name, document, claim=claim, order=order)
            if self.broker.isolation.concerns(document) and not self.broker.isolation.begin(delivery):
                self.queue.update_one(mine, documents.given_back())
                return None
            return delivery
        except PyMongoError:
            raise
        # Whatever it is about this one, the others must not wait for it.
        except Exception as error:  # noqa: BLE001
            self.logger.warning(
                "A message of queue %r becomes a dead letter: %s.", self.queue_name, type(error).__name__
            )
            self.queue.update_one(mine, documents.rejected(f"unreadable, {error}", keep_ms=self.broker.dead_ttl_ms))
            return None

    def _due(self, most: int, told: str | Document) -> list[Document]:
        """What is told of the first due messages, and their places in line; one more than `most` if there are more.

        The same look tells the server's time and when the next one is due.
        """
        is_due = {"$lte": ["$due", "$$NOW"]}
        first = list(
            self.queue.find(
                documents.IS_DELAYED,
                {"wait_ms": {"$subtract": ["$due", "$$NOW"]}, "due": {"$cond": [is_due, told, "$$REMOVE"]}},
            )
            .sort("due", 1)
            .limit(most + 1)
        )
        due = [{**row["due"], "seq": documents.place_of(row["due"]["due"])} for row in first if "due" in row]
        for row in first[min(len(due), most) :][:1]:
            self.bell.expect_due(row["wait_ms"] / 1000)
        return due

    def _promote(self, due: list[Document]) -> None:
        """Give due messages their places in line."""
        if due:
            updates = [
                # It may have run and been delayed again, or another process may have been quicker.
                UpdateOne({"_id": message["_id"], "due": message["due"]}, documents.promoted(message["seq"]))
                for message in due
            ]
            self.queue.bulk_write(updates, ordered=False)

    @contextmanager
    def _settling(self, message: Delivery) -> Iterator[None]:
        try:
            yield
        except LeaseLost as error:
            message.disown()
            self.logger.warning("Not acknowledged: %s.", error)
        except Exception as error:
            if self.broker.has_stopped_for_long():
                self.logger.warning("A message is left to other workers: its outcome cannot be written.")
                message.disown()
                self._shelf.let_go(message)
                return
            is_away = isinstance(error, ConnectionClosed) or (isinstance(error, PyMongoError) and is_passing(error))
            if not is_away:
                message.refuse(error)
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
            self.queue.bulk_write(
                [
                    UpdateMany({"_id": {"$in": ids}, "lease.token": token}, documents.given_back())
                    for token, ids in by_token(held)
                ],
                ordered=False,
            )
        for message in held:
            message.settled = True
        self._shelf.let_go(*held)
