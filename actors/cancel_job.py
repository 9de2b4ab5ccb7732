"""Cancel a job: stop its step, tell its provider, and only then say that it is canceled.

    asked to cancel -> the step's message rests -> what was sent is looked up -> the provider is told -> canceled

Nothing here is lost by a kill: a job stays `canceling` until it has been through all of it, each part may be done
twice, and the sweep looks after jobs that are canceling as after those that run.
"""

from __future__ import annotations

from functools import partial

import dramatiq
import structlog
from pymongo.client_session import ClientSession

from actors.messages import message_id
from actors.paid_calls import look_up
from actors.slots import free_slots
from actors.steps import MAX_BACKOFF_MS, MAX_RETRIES, MIN_BACKOFF_MS, seconds_since
from actors.waiting import waiting
from actors.wiring import broker, studio
from broker import State, complete_current, reschedule_current, run_in_transaction
from broker.stats import states
from studio.errors import NotNow, OutcomeUnknown, StudioError
from studio.films import end_canceled
from studio.jobs import Job, JobStatus
from studio.providers import Capability
from studio.submissions import SubmissionState

log = structlog.get_logger("actors")

LOOK_EVERY_MS = 300
TELL_FOR_S = 600.0
"""How long a provider is tried that is away. After that the job is canceled all the same: nobody waits for it."""


# Before everything else that waits: somebody has changed their mind, and each second may be a paid one.
@dramatiq.actor(
    actor_name="cancel_job",
    priority=-1,
    max_retries=MAX_RETRIES,
    min_backoff=MIN_BACKOFF_MS,
    max_backoff=MAX_BACKOFF_MS,
)
def cancel_job(job_id: str) -> None:
    """See a job that is canceling to its end."""
    with waiting():
        job = studio.jobs.load(job_id)
        if job is None or job.status is not JobStatus.CANCELING:
            return
        with structlog.contextvars.bound_contextvars(job_id=job.id, request_id=job.request_id, step=job.step):
            if not is_at_rest(job):
                reschedule_current(delay_ms=LOOK_EVERY_MS)
                return
            tell_provider(job)
            run_in_transaction(studio.client, partial(_settle, job))
            free_slots(job)
            log.info("job_canceled")


def is_at_rest(job: Job) -> bool:
    """Stop the step of a job that is canceling. Whether nothing is done for it any more.

    A paid call is not interrupted: its answer tells what is paid for. No other one follows it, because an intent is
    only stored for a job that runs.
    """
    step_message = message_id(job)
    is_running = states(broker, "default", [step_message]).get(step_message) is State.CONSUMED
    is_paying = job.submission is not None and job.submission.state is SubmissionState.SENDING
    if not (is_running and is_paying):
        broker.cancel(step_message)
    return not is_running


def tell_provider(job: Job) -> None:
    """Ask the provider to stop what it has accepted. Raises NotNow while it is away, for a while."""
    submission = job.submission
    # What else is asked for is words, and those are there by now or are lost.
    if submission is None or submission.capability is not Capability.ANIMATOR:
        return
    try:
        provider_id = submission.provider_id
        if submission.state is SubmissionState.SENDING:
            provider_id = look_up(job, submission)
        if provider_id is not None:
            studio.providers.animator_named(submission.provider).cancel(provider_id)
    except NotNow:
        if job.cancel_asked_at and seconds_since(job, job.cancel_asked_at) < TELL_FOR_S:
            raise
        log.warning("provider_not_told", provider=submission.provider, reason="away")
    except (OutcomeUnknown, StudioError) as error:
        log.warning("provider_not_told", provider=submission.provider, reason=type(error).__name__)


def _settle(job: Job, session: ClientSession) -> None:
    end_canceled(studio, job, session)
    studio.submissions.doubt(job, session=session)
    complete_current()
