"""What this process holds of one queue. It outlives the queue's consumer, which a lost connection replaces."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from broker.delivery import Delivery


class Shelf:
    """The messages of one queue between their claim and their settling."""

    def __init__(self) -> None:
        self.claimed: deque[Delivery] = deque()
        """Not yet handed out to the worker."""
        # By delivery, not by message: one that lost its lease may still run here when the next one is claimed.
        self._held: dict[int, UUID] = {}
        self._room = Condition()

    def put(self, deliveries: Iterable[Delivery]) -> None:
        new = list(deliveries)
        with self._room:
            self._held.update({delivery.order: UUID(delivery.message_id) for delivery in new})
        self.claimed.extend(new)

    def held(self) -> list[UUID]:
        """The ids of all messages that are claimed, handed out or not, and not settled."""
        with self._room:
            return list(self._held.values())

    def let_go(self, *deliveries: Delivery) -> None:
        """Note that messages are held no more."""
        with self._room:
            for delivery in deliveries:
                self._held.pop(delivery.order, None)
            self._room.notify_all()

    def wait_for_room(self, capacity: int, *, wanted: int, deadline: float, is_stopping: Callable[[], bool]) -> int:
        """How many more messages may be held; waits until the deadline while they are fewer than `wanted`."""
        with self._room:
            while len(self._held) > capacity - wanted and not is_stopping():
                if not self._room.wait(deadline - time.monotonic()):
                    break
            return max(0, capacity - len(self._held))
