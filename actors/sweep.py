"""Find jobs whose message is gone: given up by the queue, or lost with a database that was restored.

Every message of a job has an id that follows from it, so it can be looked for. One message sweeps for all workers:
its id is fixed, and a message that is stored already is not stored again, so any number of workers may send it at
their start; it then repeats itself.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from uuid import NAMESPACE_DNS, uuid5

import dramatiq
import structlog
from dramatiq import Broker, Middleware, Worker
from dramatiq.errors import ConnectionError as BrokerConnectionError

from actors.messages import cancel_message_id, message_id, send_cancel, send_step
from actors.slots import free_slots_of_the_dead
from actors.wiring import broker, studio
from broker import State, reschedule_current, run_in_transaction
from broker.stats import states
from studio.films import end_canceled, stop_job
from studio.jobs import Failure, Job, JobStatus

FINISHED = (State.DONE, State.REJECTED)
EVERY_MS = 15_000
QUIET_FOR_S = 30.0
BATCH = 500
MESSAGE_ID = str(uuid5(NAMESPACE_DNS, "sweep.huaban"))

log = structlog.get_logger("actors")


@dramatiq.actor(actor_name="sweep", max_retries=None, min_backoff=1_000, max_backoff=EVERY_MS)
def sweep() -> None:
    """Look after every unfinished job that nothing has happened to for a while, and after what ended jobs left."""
    quiet = studio.jobs.list_quiet(for_s=QUIET_FOR_S)
    while batch := list(islice(quiet, BATCH)):
        look_after(batch)
    free_slots_of_the_dead()
    reschedule_current(delay_ms=EVERY_MS)


def look_after(jobs: list[Job]) -> None:
    """See to those jobs whose message does not wait or run any more."""
    found = states(broker, "default", [_awaited(job) for job in jobs])
    for job in jobs:
        state = found.get(_awaited(job))
        if state in FINISHED or state is None:
            try:
                mend(job, state)
            except Exception:
                # One job that cannot be helped must not keep the others from it.
                log.exception("not_mended", job_id=job.id)


def mend(job: Job, state: State | None) -> None:
    """End a job whose message became a dead letter; send the message of one that has none.

    The job may have moved on since it was read. Then its guards hold, and a message of an earlier step does nothing.
    """
    log.warning("job_without_message", job_id=job.id, step=job.step, status=job.status, state=state)
    match job.status, state:
        case JobStatus.CANCELING, State.REJECTED:
            run_in_transaction(studio.client, partial(end_canceled, studio, job))
        case JobStatus.CANCELING, _:
            send_cancel(job)
        case _, State.REJECTED:
            run_in_transaction(studio.client, partial(stop_job, studio, job, Failure("STEP_CRASHED")))
        case _:
            send_step(job)


def _awaited(job: Job) -> str:
    """The id of the message that moves the job on."""
    return cancel_message_id(job) if job.status is JobStatus.CANCELING else message_id(job)


class SweepAtBoot(Middleware):
    """Sends the sweeping message when a worker starts."""

    def after_worker_boot(self, _broker: Broker, _worker: Worker) -> None:
        try:
            broker.enqueue(sweep.message().copy(message_id=MESSAGE_ID))
        except BrokerConnectionError as error:
            # The worker waits for the database anyway; whichever starts after it is back sends the message.
            log.warning("sweep_not_sent", reason=type(error).__name__)


broker.add_middleware(SweepAtBoot())
