"""Tell people when a step's message died with its workers: its job would otherwise look alive for ever.

One message sweeps for all workers. It has a fixed id, and a message that is stored already is not stored again, so any
number of workers may send it at their start; it then repeats itself.
"""

from __future__ import annotations

from functools import partial
from uuid import NAMESPACE_DNS, uuid5

import dramatiq
from dramatiq import Broker, Middleware, Worker
from dramatiq.errors import ConnectionError as BrokerConnectionError

from actors.wiring import broker, studio
from broker import reschedule_current, run_in_transaction
from studio.films import stop_job
from studio.jobs import LIVE, Failure
from studio.pipelines import STEPS

EVERY_MS = 15_000
MESSAGE_ID = str(uuid5(NAMESPACE_DNS, "sweep.huaban"))


@dramatiq.actor(actor_name="sweep", max_retries=None, min_backoff=1_000, max_backoff=EVERY_MS)
def sweep() -> None:
    """Fail the jobs whose step was given up by the queue."""
    for message in broker.list_dead("default"):
        if message.actor_name in STEPS:
            job = studio.jobs.load(message.args[0])
            if job and job.step == message.actor_name and job.status in LIVE:
                run_in_transaction(studio.client, partial(stop_job, studio, job, Failure("STEP_CRASHED")))
    reschedule_current(delay_ms=EVERY_MS)


class SweepAtBoot(Middleware):
    """Sends the sweeping message when a worker starts."""

    def after_worker_boot(self, _broker: Broker, _worker: Worker) -> None:
        try:
            broker.enqueue(sweep.message().copy(message_id=MESSAGE_ID))
        except BrokerConnectionError as error:
            # The worker waits for the database anyway; whichever starts after it is back sends the message.
            broker.logger.warning("The sweep is not scheduled: %s.", type(error).__name__)


broker.add_middleware(SweepAtBoot())
