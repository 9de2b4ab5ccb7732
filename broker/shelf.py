"""What this process holds of one queue. It outlives the queue's consumer, which a lost connection replaces."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from broker.delivery import Delivery

AHEAD_S = 0.1
MOST_AHEAD = 256
MEASURE_S = 0.25


class Shelf:
    """The messages of one queue between their claim and the writing of their outcome."""

    def __init__(self) -> None:
        self.claimed: deque[Delivery] = deque()
        """Not yet handed out to the worker."""
        # By delivery, not by message: one that lost its lease may still run here when the next one is claimed.
        self._held: dict[int, Delivery] = {}
        self._claims: set[UUID] = set()
        self._to_run = 0
        self._enough_room_at = -1
        self._room = Condition()
        self._run_since = 0
        self._since = time.monotonic()

    @contextmanager
    def claiming(self, token: UUID) -> Iterator[None]:
        """Note that a claim is under way: its messages are leased to this process and not held here yet."""
        self._claims.add(token)
        try:
            yield
        finally:
            self._claims.discard(token)

    def claims(self) -> frozenset[UUID]:
        """The tokens of the claims that are under way. What comes with one is held before its token is gone."""
        return frozenset(self._claims)

    def put(self, deliveries: Iterable[Delivery]) -> None:
        """Take in what was claimed."""
        new = list(deliveries)
        with self._room:
            self._held.update({delivery.order: delivery for delivery in new})
            self._to_run += len(new)
        self.claimed.extend(new)

    @property
    def to_run(self) -> int:
        """How many messages are held and have not run."""
        return self._to_run

    def held(self) -> list[UUID]:
        """The ids of all messages that are claimed and whose outcome is not written."""
        with self._room:
            return [delivery.id for delivery in self._held.values()]

    def find(self, message_id: UUID | str) -> Delivery | None:
        """The newest delivery of a message that is held here."""
        if not self._held:
            return None
        wanted = message_id if isinstance(message_id, UUID) else UUID(message_id)
        with self._room:
            return next((held for held in reversed(self._held.values()) if held.id == wanted), None)

    def finish(self, delivery: Delivery) -> None:
        """Note that a message has run. It is held until its outcome is written, but no thread waits for that."""
        with self._room:
            self._make_room(delivery)

    def let_go(self, *deliveries: Delivery) -> None:
        """Note that messages are held no more."""
        with self._room:
            for delivery in deliveries:
                if self._held.pop(delivery.order, None):
                    self._make_room(delivery)

    def capacity(self, prefetch: int) -> int:
        """How many messages to hold before they have run: `prefetch`, or what runs here in AHEAD_S if that is more.

        Quick messages would otherwise wait for claims; slow ones never get beyond `prefetch`, so that nothing waits
        behind a busy process which another could run.
        """
        with self._room:
            seconds = time.monotonic() - self._since
            rate = self._run_since / max(seconds, MEASURE_S)
            if seconds > MEASURE_S:
                # Half of what was seen stays, so that a pause for breath does not count as slowness.
                self._run_since //= 2
                self._since += seconds / 2
        return max(prefetch, min(int(rate * AHEAD_S), MOST_AHEAD))

    def wait_for_room(self, capacity: int, *, wanted: int, deadline: float, is_stopping: Callable[[], bool]) -> int:
        """How many more messages may be held; waits until the deadline while they are fewer than `wanted`."""
        with self._room:
            self._enough_room_at = capacity - wanted
            while self._to_run > self._enough_room_at and not is_stopping():
                if not self._room.wait(deadline - time.monotonic()):
                    break
            self._enough_room_at = -1
            return max(0, capacity - self._to_run)

    def _make_room(self, delivery: Delivery) -> None:
        if not delivery.has_run:
            delivery.has_run = True
            self._to_run -= 1
            self._run_since += 1
            # Told once, not for each message: a consumer that wakes takes the interpreter from those that work.
            if self._to_run == self._enough_room_at:
                self._room.notify_all()

    def wake(self) -> None:
        """Let whoever waits for room look whether it is to stop."""
        with self._room:
            self._room.notify_all()
