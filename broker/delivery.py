"""One claim of one message by this process, and the ways in which it can be settled."""

from __future__ import annotations

from contextvars import ContextVar
from traceback import format_exception_only
from typing import TYPE_CHECKING, Any
from uuid import UUID

from dramatiq.broker import MessageProxy

from broker import documents
from broker.errors import LeaseLost, Unreadable
from broker.transaction import current_session, on_commit

if TYPE_CHECKING:
    from broker.broker import MongoBroker


class Delivery(MessageProxy):
    """A message under a lease. Settled once: completed, rejected, rescheduled or given back.

    `crashes` counts the worker processes that died while they ran this message.
    """

    def __init__(self, broker: MongoBroker, queue_name: str, document: documents.Document, *, order: int) -> None:
        """Raises Unreadable when the document is no message of this queue."""
        message = documents.message_of(document)
        if message.queue_name != queue_name or UUID(message.message_id) != document["_id"]:
            raise Unreadable("it belongs elsewhere")
        # The due time has come; left in the options it would send the message to a waiting line in memory.
        message.options.pop("eta", None)
        super().__init__(message)  # type: ignore[no-untyped-call]
        self.broker = broker
        self.token: UUID = document["lease"]["token"]
        self.crashes: int = document.get("crashes", 0)
        self.order = order
        self.settled = False
        # What an ack has to write. Retries asks for a repeat before the ack; if the database is away at that moment,
        # the ack, which the worker repeats until it succeeds, must still write the repeat and not the end.
        self.outcome: documents.Outcome = documents.done(keep_ms=broker.done_ttl_ms)

    def __lt__(self, other: Delivery) -> bool:
        """Claimed first goes first: the worker's own queue asks this of messages of equal priority."""
        return self.order < other.order

    @property
    def reason(self) -> str:
        """Why it failed, in one line."""
        if self._exception is None:
            return "rejected by middleware"
        return "".join(format_exception_only(self._exception)).strip().rsplit("\n", 1)[-1]

    def settle(self, outcome: documents.Outcome) -> None:
        """Write the outcome if this delivery still holds its lease, inside the caller's transaction if there is one.

        Raises LeaseLost, with nothing changed, when it does not.
        """
        if self.settled:
            raise LeaseLost(f"message {self.message_id} was settled before")
        session = current_session()
        queue = self.broker.queues[self.queue_name] if session else self.broker.acks[self.queue_name]
        result = queue.update_one({"_id": UUID(self.message_id), "lease.token": self.token}, outcome, session=session)
        if result.matched_count == 0:
            raise LeaseLost(f"the lease of message {self.message_id} ran out")
        on_commit(self._mark_settled)

    def _mark_settled(self) -> None:
        self.settled = True


_current: ContextVar[Delivery | None] = ContextVar("delivery", default=None)


def current_delivery() -> Delivery | None:
    """The message that the calling thread is running, or None outside a worker."""
    return _current.get()


def set_current(delivery: Delivery | None) -> None:
    _current.set(delivery)


def complete_current() -> None:
    """Finish the message being run, in the transaction around the caller; outside a worker there is nothing to finish.

    Raises LeaseLost, which rolls the transaction back: what this run did belongs to the newer delivery now.
    """
    delivery = current_delivery()
    if delivery:
        delivery.settle(documents.done(keep_ms=delivery.broker.done_ttl_ms))


def reschedule_current(*, delay_ms: float, options: dict[str, Any] | None = None) -> None:
    """Run the message again later, as no retry and at no attempt's cost; `options` are merged into the message's.

    In the transaction around the caller if there is one, raising LeaseLost like `complete_current`. Otherwise by the
    ack, which the worker repeats until the database takes it: so this works while the database is away.
    """
    delivery = current_delivery()
    if delivery:
        message = delivery._message.copy(options=options or {})  # noqa: SLF001 (MessageProxy has no other door)
        repeat = documents.rescheduled(message.asdict(), delay_ms=delay_ms)
        if current_session():
            delivery.settle(repeat)
        else:
            delivery.outcome = repeat
