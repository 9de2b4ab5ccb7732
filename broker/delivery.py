"""One claim of one message by this process, and the ways in which it can be settled."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from dramatiq.broker import MessageProxy
from dramatiq.message import Message
from pymongo.client_session import ClientSession

from broker import documents
from broker.errors import LeaseLost, Unreadable
from broker.transaction import current_session, on_commit, run_in_transaction

if TYPE_CHECKING:
    from broker.broker import MongoBroker

Write = Callable[[ClientSession | None], object]
"""Something to be stored in a session's transaction; without one where MongoDB has no transactions."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One taking of messages: its token, and the time by `clock_s` before it was asked for."""

    token: UUID
    at: float


class Delivery(MessageProxy):
    """A message under a lease. Settled once: completed, rejected, rescheduled or given back.

    `crashes` counts the worker processes that died while they ran this message. `is_over` tells that the actor has
    returned or raised: what middleware sends and stores from then on joins the ack, see `join_ack`. `is_disowned` tells
    that nothing may be stored for it any more: it is given back unrun, or belongs to another worker.
    """

    def __init__(
        self, broker: MongoBroker, queue_name: str, document: documents.Document, *, claim: Claim, order: int
    ) -> None:
        """Raises Unreadable when the document is no message of this queue."""
        message = documents.message_of(document)
        if message.queue_name != queue_name or UUID(message.message_id) != document["_id"]:
            raise Unreadable("it belongs elsewhere")
        # The due time has come; left in the options it would send the message to a waiting line in memory.
        message.options.pop("eta", None)
        super().__init__(message)  # type: ignore[no-untyped-call]
        self.id: UUID = document["_id"]
        self.broker = broker
        self.token = claim.token
        self.claimed_at = claim.at
        self.crashes = documents.crashes_of(document)
        self.is_canceled: bool = document.get("canceled", False)
        self.order = order
        self.is_over = False
        self.has_run = False
        self.settled = False
        # What an ack has to write. Retries asks for a repeat before the ack, and the ack must write that and no end.
        self.outcome: documents.Outcome = broker.completed
        self.delay_ms: float | None = None
        """Where the outcome is a repeat: after how long."""
        self._writes: list[Write] = []
        self._last_word: documents.Outcome | None = None
        self.is_disowned = False
        self._attempts = 1 + int(message.options.get("retries", 0))

    def __lt__(self, other: Delivery) -> bool:
        """Claimed first goes first: the worker's own queue asks this of messages of equal priority."""
        return self.order < other.order

    @property
    def message(self) -> Message[Any]:
        """The message itself, with its options as they are now."""
        return self._message  # type: ignore[no-any-return]

    @property
    def is_plain(self) -> bool:
        """Whether its ack says nothing but that it is done, and so can be written together with others."""
        return self.outcome is self.broker.completed and not (self._writes or self._last_word or self.is_canceled)

    def join_ack(self, write: Write) -> None:
        """Have something stored by the ack (or nack): it commits with the end of this message or not at all.

        Where the database is away, the ack is repeated, and with it these writes: nothing of them is lost.
        """
        if not self.is_disowned:
            self._writes.append(write)

    def refuse(self, error: Exception) -> None:
        """The database will never take the outcome, or what joined it: make the message a dead letter that says so."""
        what = "what follows from it" if self._writes else "its outcome"
        self._writes.clear()
        reason = f"{what} cannot be stored, {type(error).__name__}"
        self._last_word = documents.rejected(reason, keep_ms=self.broker.dead_ttl_ms, attempts=self._attempts)

    def put_back(self) -> None:
        """Have it given back untouched, instead of run, by its ack; what middleware wants to store is dropped."""
        self.is_disowned = True
        self.outcome, self.delay_ms = documents.given_back(), 0

    def disown(self) -> None:
        """Let go of a message that belongs to another worker by now: nothing is written for it any more."""
        self.is_disowned = True
        self.settled = True

    def is_ours(self) -> bool:
        """Ask the database whether the lease still holds."""
        mine = {"_id": self.id, "state": documents.State.CONSUMED, "lease.token": self.token}
        return self.broker.queues[self.queue_name].find_one(mine, {"_id": 1}) is not None

    def finish(self) -> None:
        """Write the outcome, and with it what joined the ack. Raises LeaseLost, with nothing stored."""
        canceled = documents.canceled(keep_ms=self.broker.done_ttl_ms)
        self._finish(self._last_word or (canceled if self.is_canceled else self.outcome))

    def fail_for_good(self) -> None:
        """Make it a dead letter, and store what joined the ack. Raises LeaseLost, with nothing stored."""
        if self.is_canceled:
            self.finish()
        else:
            self._finish(self._last_word or self._rejected())

    def settle(self, outcome: documents.Outcome) -> None:
        """Write an outcome if this delivery still holds its lease, inside the caller's transaction if there is one.

        Raises LeaseLost, with nothing changed, when it does not.
        """
        if self.settled:
            raise LeaseLost(f"message {self.message_id} was settled before")
        session = current_session()
        queue = self.broker.queues[self.queue_name] if session else self.broker.acks[self.queue_name]
        result = queue.update_one({"_id": self.id, "lease.token": self.token}, outcome, session=session)
        if result.matched_count == 0:
            raise LeaseLost(f"the lease of message {self.message_id} ran out")
        on_commit(self._mark_settled)
        if self.delay_ms is not None:
            on_commit(partial(self.broker.lookout.ring, self.queue_name, delay_ms=self.delay_ms))

    def _finish(self, outcome: documents.Outcome) -> None:
        if not self._writes:
            if not self.settled:
                self.settle(outcome)
        elif self.broker.is_standalone:
            self._write_and_settle(None, outcome)
        else:
            client = self.broker.database.client
            run_in_transaction(client, lambda session: self._write_and_settle(session, outcome))

    def _write_and_settle(self, session: ClientSession | None, outcome: documents.Outcome) -> None:
        for write in self._writes:
            write(session)
        # It may have completed itself in a transaction of its own; what follows from it is stored all the same.
        if not self.settled:
            self.settle(outcome)

    def _rejected(self) -> documents.Outcome:
        error, keep_ms = self._exception, self.broker.dead_ttl_ms
        if error is None and self.actor_name not in self.broker.actors:
            return documents.rejected("no actor has its name here", keep_ms=keep_ms, attempts=self._attempts - 1)
        if error is None:
            return documents.rejected("rejected by middleware", keep_ms=keep_ms, attempts=self._attempts)
        words = str(error).partition("\n")[0]
        return documents.rejected(
            f"{type(error).__name__}: {words}" if words else type(error).__name__,
            keep_ms=keep_ms,
            attempts=self._attempts,
            traceback="".join(traceback.format_exception(error, limit=-30)),
        )

    def _mark_settled(self) -> None:
        self.settled = True


_current: ContextVar[Delivery | None] = ContextVar("delivery", default=None)


def current_delivery() -> Delivery | None:
    """The message that the calling thread is running, or None outside a worker."""
    return _current.get()


def set_current(delivery: Delivery | None) -> None:
    """Note what the calling thread runs from now on."""
    _current.set(delivery)


def complete_current() -> None:
    """Finish the message being run, in the transaction around the caller or, without one, at once.

    Outside a worker there is nothing to finish. Raises LeaseLost, which rolls the transaction back: what this run did
    belongs to the newer delivery now. Raises the driver's errors, which `run_in_transaction` knows what to do with.
    """
    delivery = current_delivery()
    if delivery:
        delivery.settle(delivery.broker.completed)


def reschedule_current(*, delay_ms: float, options: dict[str, Any] | None = None) -> None:
    """Run the message again later, as no retry and at no attempt's cost; `options` are merged into the message's.

    It is ready after `delay_ms` milliseconds on the server's clock; with 0 at once, at the end of the line. In the
    transaction around the caller if there is one, raising LeaseLost like `complete_current`. Otherwise by the ack,
    which the worker repeats until the database takes it: so this works while the database is away.

    Raises, with nothing changed, what `MongoBroker.enqueue` raises for options that it does not take.
    """
    delivery = current_delivery()
    if delivery:
        body = documents.body_of(delivery.message.copy(options=options or {}))
        repeat = documents.rescheduled(body, delay_ms=delay_ms)
        delivery.delay_ms = delay_ms
        if current_session():
            delivery.settle(repeat)
        else:
            delivery.outcome = repeat
