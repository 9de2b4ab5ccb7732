"""Running a message alone in its process, when its next crash would make it a dead letter.

A message that kills its process takes its neighbours with it, and they are charged as it is. Without this they would be
claimed together again and again, and become dead letters together.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from broker.documents import Document, crashes_of

if TYPE_CHECKING:
    from broker.broker import MongoBroker
    from broker.delivery import Delivery


class Isolation:
    """The suspect of one process, if it holds one: while that has not run, nothing else is claimed or started."""

    def __init__(self, broker: MongoBroker, *, max_crashes: int) -> None:
        self._broker = broker
        self._enough = max(1, max_crashes - 1)
        self._suspect: Delivery | None = None
        self._lock = Lock()

    def concerns(self, document: Document) -> bool:
        """Whether the next crash of a message is its last."""
        return crashes_of(document) >= self._enough

    def begin(self, delivery: Delivery) -> bool:
        """Let a suspect have this process to itself; False when another one has it already."""
        with self._lock:
            if self.is_on():
                return False
            self._suspect = delivery
            return True

    def is_on(self) -> bool:
        """Whether this process holds a suspect that has not run."""
        suspect = self._suspect
        return suspect is not None and not suspect.has_run

    def is_for(self, delivery: Delivery) -> bool:
        return delivery is self._suspect

    def lets_start(self, delivery: Delivery) -> bool:
        """False for the suspect while anything else that this process holds has not run."""
        return not self.is_for(delivery) or sum(shelf.to_run for shelf in list(self._broker.shelves.values())) == 1

    def note_end(self) -> None:
        """Something has run. The suspect may be alone now; or it was that, and everybody may go on."""
        if self._suspect is None:
            return
        if self.is_on():
            self._broker.lookout.ring(self._suspect.queue_name)
        else:
            self._suspect = None
            self._broker.lookout.ring_all()
