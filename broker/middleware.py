"""What the broker needs to know of a worker's life: which message a thread runs, and when it starts and stops."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from dramatiq import Middleware
from dramatiq.common import iter_queue
from dramatiq.errors import ConnectionError as BrokerConnectionError

from broker.delivery import Delivery, set_current

if TYPE_CHECKING:
    from dramatiq import Worker

    from broker.broker import MongoBroker

STOP_WITHIN_S = 0.2


class DeliveryLifecycle(Middleware):
    """Marks deliveries as running, for the guardian and for `current_delivery`, and stops claims at shutdown."""

    def before_worker_boot(self, broker: MongoBroker, worker: Worker) -> None:
        broker.stopping.clear()
        broker.worker_threads = worker.worker_threads

    def after_worker_boot(self, broker: MongoBroker, worker: Worker) -> None:
        # An idle thread notices the end of its worker only when its wait for work times out, by default in a second.
        for thread in worker.workers:
            thread.timeout = min(thread.timeout, STOP_WITHIN_S)

    def before_process_message(self, broker: MongoBroker, message: Delivery) -> None:
        set_current(message)
        broker.lease.mark_running(message.message_id)

    def after_process_message(
        self,
        broker: MongoBroker,
        message: Delivery,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        broker.lease.mark_idle()
        set_current(None)

    after_skip_message = after_process_message

    def before_worker_shutdown(self, broker: MongoBroker, worker: Worker) -> None:
        """Stop claiming, and give back at once what waits in this process's memory: others can run it now."""
        broker.stopping.set()
        broker.wakeups.wake_all()
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
        broker.wakeups.stop()
        broker.lease.close()
