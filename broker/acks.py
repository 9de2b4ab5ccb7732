"""Acks, written in batches: one update completes many messages."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING
from uuid import UUID

from dramatiq.logging import get_logger
from pymongo import UpdateMany
from pymongo.errors import PyMongoError

if TYPE_CHECKING:
    from broker.broker import MongoBroker
    from broker.delivery import Delivery

COMPANY_S = 0.005
"""How long an ack waits for others. Nobody waits for it, and a batch costs the server little more than one."""
RETRY_S = 0.25


class Acks:
    """Collects plain completions and writes them from a thread of its own.

    Until its ack is written a message stays leased; if this process dies before that, it is run once more.
    """

    def __init__(self, broker: MongoBroker) -> None:
        self.logger = get_logger(__name__, type(self))
        self._broker = broker
        self._pending: deque[Delivery] = deque()
        self._some = Event()
        self._stopping = Event()
        self._given_up = Event()
        self._thread: Thread | None = None
        self._lock = Lock()

    def add(self, delivery: Delivery) -> None:
        """Complete a message soon. Does not wait and does not fail."""
        self._pending.append(delivery)
        self._some.set()
        if self._thread is None or not self._thread.is_alive():
            self._start()

    def close(self, *, within_s: float) -> None:
        """Write what is left, and return when that is done or `within_s` seconds are over."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread:
            self._stopping.set()
            self._some.set()
            thread.join(within_s)
            self._given_up.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._stopping, self._given_up = Event(), Event()
                self._thread = Thread(target=self._run, args=(self._stopping,), name="queue-acks", daemon=True)
                self._thread.start()

    def _run(self, stopping: Event) -> None:
        while not stopping.is_set() or self._pending:
            self._some.wait()
            stopping.wait(COMPANY_S)
            self._some.clear()
            self._write([self._pending.popleft() for _ in range(len(self._pending))])

    def _write(self, deliveries: list[Delivery]) -> None:
        by_queue = defaultdict(list)
        for delivery in deliveries:
            by_queue[delivery.queue_name].append(delivery)
        for queue_name, batch in by_queue.items():
            if self._complete(queue_name, batch):
                for delivery in batch:
                    delivery.settled = True
                self._broker.shelves[queue_name].let_go(*batch)

    def _complete(self, queue_name: str, batch: list[Delivery]) -> bool:
        """Write these, however often it takes; False when they were given up."""
        queue = self._broker.acks[queue_name]
        updates = [
            UpdateMany({"_id": {"$in": ids}, "lease.token": token}, self._broker.completed)
            for token, ids in by_token(batch)
        ]
        is_first_try = True
        while not self._given_up.is_set():
            try:
                matched = queue.bulk_write(updates, ordered=False).matched_count
            except PyMongoError as error:
                # Whatever the reason: these have run, and would run again if this were given up.
                self.logger.warning("%d acks wait for the database (%s).", len(batch), type(error).__name__)
                is_first_try = False
                self._given_up.wait(RETRY_S)
            else:
                # A first try whose answer was lost may have completed them.
                if is_first_try and matched < len(batch):
                    self.logger.warning("%d messages had lost their lease when they ended.", len(batch) - matched)
                return True
        return False


def by_token(batch: Iterable[Delivery]) -> Iterable[tuple[UUID, list[UUID]]]:
    """One update a token: with all ids and all tokens in one, an old delivery could end a newer one of its message."""
    ids = defaultdict(list)
    for delivery in batch:
        ids[delivery.token].append(delivery.id)
    return ids.items()
