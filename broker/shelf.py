"""What this process holds of one queue. It outlives the queue's consumer, which a lost connection replaces."""

from __future__ import annotations

import time
from collections import deque
from threading import Condition
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.delivery import Delivery


class Shelf:
    """The messages of one queue between their claim and their settling, counted."""

    def __init__(self) -> None:
        self.claimed: deque[Delivery] = deque()
        """Not yet handed out to the worker."""
        self.unread_claims: set[UUID] = set()
        """Tokens of claims whose answer was lost: they may have taken messages that nobody here knows."""
        self._held = 0
        self._room = Condition()

    def put(self, deliveries: list[Delivery]) -> None:
        with self._room:
            self._held += len(deliveries)
        self.claimed.extend(deliveries)

    def let_go(self, count: int) -> None:
        """Note that so many messages, handed out or not, are held no more."""
        with self._room:
            self._held -= count
            self._room.notify_all()

    def wait_for_room(self, capacity: int, *, wanted: int, deadline: float, is_stopping: Callable[[], bool]) -> int:
        """How many more messages may be held; waits until the deadline while they are fewer than `wanted`."""
        with self._room:
            while self._held > capacity - wanted and not is_stopping():
                if not self._room.wait(deadline - time.monotonic()):
                    break
            return max(0, capacity - self._held)
