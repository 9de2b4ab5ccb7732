"""What the broker needs to know of a worker's life, and the middleware that people add for more."""

from __future__ import annotations

from collections import defaultdict
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any

from dramatiq import Actor, Middleware
from dramatiq.common import iter_queue
from dramatiq.errors import ConnectionError as BrokerConnectionError
from dramatiq.logging import get_logger
from dramatiq.message import Message
from dramatiq.middleware import SkipMessage
from dramatiq.middleware.threading import raise_thread_exception
from pymongo.client_session import ClientSession

from broker.delivery import Delivery, set_current
from broker.errors import Canceled, InvalidUniqueKey
from broker.event_loop import cure_event_loop
from broker.transaction import current_session, session_noted

if TYPE_CHECKING:
    from dramatiq import Worker

    from broker.broker import MongoBroker

STOP_WITHIN_S = 0.5


class DeliveryLifecycle(Middleware):
    """Marks deliveries as running, for the guardian and for `current_delivery`, and stops claims at shutdown.

    It is no entry of the broker's list: its `before` hooks run before all others and its `after` hooks after all
    others, so that a delivery is current for as long as any middleware deals with it.
    """

    def before_worker_boot(self, broker: MongoBroker, worker: Worker) -> None:
        broker.stopping.clear()
        broker.worker = worker
        broker.worker_threads = worker.worker_threads

    def after_worker_boot(self, broker: MongoBroker, worker: Worker) -> None:
        cure_event_loop()
        # An idle thread notices the end of its worker only when its wait for work times out, by default in a second.
        for thread in worker.workers:
            thread.timeout = min(thread.timeout, STOP_WITHIN_S)

    def before_process_message(self, broker: MongoBroker, message: Delivery) -> None:
        set_current(message)
        if broker.is_paused(message):
            message.put_back()
            raise SkipMessage("paused")
        if not broker.lease.is_trusted(since=message.claimed_at) and not broker.still_holds(message):
            message.disown()
            raise SkipMessage("its lease ran out before it was started")
        if message.is_canceled:
            message.failed = True
            raise SkipMessage("canceled")
        session_noted.set(broker.lease.mark_running(message.id))

    def after_process_message(
        self,
        broker: MongoBroker,
        message: Delivery,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        broker.lease.mark_idle()
        session_noted.set(None)
        set_current(None)

    after_skip_message = after_process_message

    def before_worker_shutdown(self, broker: MongoBroker, worker: Worker) -> None:
        """Stop claiming, and give back at once what waits in this process's memory: others can run it now."""
        broker.stop_claims()
        broker.lookout.ring_all()
        for shelf in broker.shelves.values():
            shelf.wake()
        broker.lease.excuse()
        waiting = defaultdict(list)
        for _, message in iter_queue(worker.work_queue):
            waiting[message.queue_name].append(message)
        for queue_name, messages in waiting.items():
            try:
                worker.consumers[queue_name].requeue_messages(messages)
            except BrokerConnectionError:
                broker.logger.warning("The database is away; waiting messages return when the lease runs out.")

    def after_worker_shutdown(self, broker: MongoBroker, worker: Worker) -> None:
        broker.worker = None
        broker.lookout.stop()
        # Later is no use: without a heartbeat these messages are somebody else's by then.
        broker.completions.close(within_s=broker.lease_s)
        broker.lease.close()


class CurrentTransaction(Middleware):
    """Gives actors the session of the transaction around them, as CurrentMessage gives them their message.

    With `with transaction(client):` in an actor, everything it sends inside commits with what it stores; the functions
    it calls find the session here and need not have it handed on.
    """

    @staticmethod
    def get_current_session() -> ClientSession | None:
        """The session of the transaction that the caller is in, or None."""
        return current_session()


class UniqueKeys(Middleware):
    """Lets an actor say that its messages are unique: `@actor(unique_key=lambda account_id: account_id)`.

    The key is a string, or a function of the actor's arguments that returns one or, for a message that need not be
    unique, None. While a message with the same key waits or runs in the same queue, sending another returns the first.
    A single message gets its key by `send_with_options(unique_key=...)`, with or without this middleware.

    Raises InvalidUniqueKey where an actor is declared with something else, or a message sent for whose arguments the
    function fails.
    """

    @property
    def actor_options(self) -> set[str]:
        return {"unique_key"}

    def before_declare_actor(self, broker: MongoBroker, actor: Actor[Any, Any]) -> None:
        key = actor.options.get("unique_key")
        if key is not None and not isinstance(key, str) and not callable(key):
            raise InvalidUniqueKey(
                f"unique_key of actor {actor.actor_name!r} must be a string or a function that returns one"
            )

    def before_enqueue(self, broker: MongoBroker, message: Message[Any], delay: int | None) -> None:
        actor = broker.actors.get(message.actor_name)
        key = actor.options.get("unique_key") if actor else None
        if key is None or "unique_key" in message.options:
            return
        try:
            message.options["unique_key"] = key(*message.args, **message.kwargs) if callable(key) else key
        except Exception as error:
            # Any other error Dramatiq would write down and go on without the key.
            raise InvalidUniqueKey(f"unique_key of actor {message.actor_name!r}: {type(error).__name__}") from error


class Cancellation(Middleware):
    """Raises `Canceled` in the actor whose message `MongoBroker.cancel` stops.

    As with Dramatiq's time limit, an actor notices at its next Python instruction: a call into native code ends first.
    """

    def __init__(self) -> None:
        self.logger = get_logger(__name__, type(self))
        self._threads: dict[int, int] = {}
        self._lock = Lock()

    def interrupt(self, delivery: Delivery) -> None:
        """Raise it in the thread that runs the delivery, if one does."""
        with self._lock:
            thread = self._threads.get(delivery.order)
            if thread is not None:
                self.logger.info("Message %s was canceled; its actor is interrupted.", delivery.message_id)
                raise_thread_exception(thread, Canceled)

    def before_process_message(self, broker: MongoBroker, message: Delivery) -> None:
        with self._lock:
            self._threads[message.order] = get_ident()
            if message.is_canceled:
                # It came while other middleware was at work, and nobody would be told of it again.
                raise Canceled

    def after_process_message(
        self,
        broker: MongoBroker,
        message: Delivery,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        with self._lock:
            self._threads.pop(message.order, None)

    after_skip_message = after_process_message
