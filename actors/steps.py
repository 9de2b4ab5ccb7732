"""What all steps share. A step is a function from a job to an outcome; this module loads the one and settles the other.

Settling is one transaction: the step's output, the job's new state, its event, the next message and the end of the
message that ran commit together or not at all. The work itself runs outside of it. A worker that dies before the
commit has changed nothing, so the step runs again; one that dies after it has left nothing to do.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dramatiq
import structlog
from dramatiq.middleware import Interrupt
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from actors.messages import message_id, send_step
from actors.slots import free_slots
from actors.waiting import waiting
from actors.wiring import studio
from broker import Canceled, complete_current, current_delivery, reschedule_current, run_in_transaction
from broker.errors import LeaseLost, is_passing
from studio import stopwatch
from studio.errors import NotNow, OutcomeUnknown, StudioError
from studio.films import start_job, stop_job
from studio.jobs import LIVE, Failure, Job, JobStatus
from studio.pipelines import Step
from studio.providers import fuse

log = structlog.get_logger("actors")

MAX_RETRIES = 3
MIN_BACKOFF_MS = 1_000
MAX_BACKOFF_MS = 30_000
# A backstop: what a step waits for has shorter limits of its own, FFmpeg's for the longest story being an hour.
TIME_LIMIT_MS = 75 * 60 * 1000
REPORT_EVERY_S = 0.5
TOLD_ELSEWHERE_S = 1.0
"""When to look again while another job of the same artwork is at its story."""

Save = Callable[[ClientSession], object]


@dataclass(frozen=True, slots=True)
class Done:
    """The step is finished. `save` stores its output inside the settling transaction; `clip` is where a clip was found.

    `afterwards` tidies up once that is committed. It may fail, and is not made up for. `then_after_s`: how long the
    next step had better wait.
    """

    save: Save | None = None
    clip: str | None = None
    afterwards: Callable[[], None] | None = None
    then_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Nothing to store yet; run the step again in `after_s` seconds. Holds no thread and counts as no attempt."""

    after_s: float
    progress: float | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The job ends here, with words that people can read."""

    failure: Failure
    status: JobStatus = JobStatus.FAILED


Outcome = Done | LookAgain | Stopped


class JobMovedOn(Exception):
    """The job is no longer where this message left it; what the step did is not wanted any more."""


def step(plan: Step, *, priority: int = 0) -> Callable[[Callable[[Job], Outcome]], dramatiq.Actor[..., Any]]:
    """Make a function the actor of a plan's step."""

    def declare(work: Callable[[Job], Outcome]) -> dramatiq.Actor[..., Any]:
        @dramatiq.actor(
            actor_name=plan.name,
            priority=priority,
            max_retries=MAX_RETRIES,
            min_backoff=MIN_BACKOFF_MS,
            max_backoff=MAX_BACKOFF_MS,
            time_limit=TIME_LIMIT_MS,
        )
        @functools.wraps(work)
        def run(job_id: str) -> None:
            # A cancel may come before the work as well as in it.
            with waiting(), suppress(Canceled):
                job = begin(job_id, plan.name)
                if job is None:
                    return
                with structlog.contextvars.bound_contextvars(job_id=job.id, request_id=job.request_id, step=plan.name):
                    perform(work, job)

        return run

    return declare


def begin(job_id: str, name: str) -> Job | None:
    """The job, if this very message is what it waits for; one that is late, or of an older try, finds none."""
    job = studio.jobs.load(job_id)
    if job is None or job.step != name or job.status not in LIVE or not _is_expected(job):
        return None
    if job.status is JobStatus.RUNNING:
        return job
    queued = job
    return run_in_transaction(studio.client, lambda session: start_job(studio, queued, session))


def perform(work: Callable[[Job], Outcome], job: Job) -> None:
    """Do a step's work and settle what came of it. Raises what is worth another run."""
    stopwatch.reset()
    fuse.put_out()
    began = time.monotonic()
    try:
        outcome = outcome_of(work, job)
        settle(job, outcome)
    except (JobMovedOn, LeaseLost, Canceled) as late:
        log.info("step_outrun", reason=type(late).__name__)
    else:
        log.info("step_settled", outcome=type(outcome).__name__, ms=round(1000 * (time.monotonic() - began)))


def outcome_of(work: Callable[[Job], Outcome], job: Job) -> Outcome:
    """What a step's work comes to, its errors included. Raises NotNow, and anything unexpected that may yet succeed."""
    try:
        return work(job)
    except StudioError as error:
        return Stopped(Failure(error.symbol, error.params))
    except OutcomeUnknown:
        return Stopped(Failure("OUTCOME_UNKNOWN"), JobStatus.NEEDS_ATTENTION)
    except (NotNow, JobMovedOn, LeaseLost, Canceled):
        raise
    except (Exception, Interrupt) as error:
        if isinstance(error, PyMongoError) and is_passing(error):
            raise
        if not _is_last_attempt():
            raise
        log.exception("step_failed")
        return Stopped(Failure("INTERNAL"))


def settle(job: Job, outcome: Outcome) -> None:
    """Store a step's outcome and what follows from it, all in one transaction. Raises JobMovedOn, LeaseLost."""
    match outcome:
        case Done() as done:
            moved = run_in_transaction(studio.client, lambda session: _advance(job, done, session))
            _note_time(job, moved)
            if done.afterwards:
                with suppress(NotNow):
                    done.afterwards()
        case LookAgain(after_s, progress):
            if progress is not None:
                report(job, progress)
            reschedule_current(delay_ms=1000 * after_s)
        case Stopped(failure, status):
            log.warning("job_stopped", code=failure.symbol)
            run_in_transaction(studio.client, lambda session: _stop(job, failure, status, session))
            free_slots(job)


def report(job: Job, fraction: float) -> None:
    """Tell the watchers how far the step is."""
    run_in_transaction(studio.client, lambda session: studio.jobs.report(job, fraction, session=session))


def reporter(job: Job) -> Callable[[float], None]:
    """`report` for providers that tell their progress all the time: twice a second is enough for watchers."""
    told_at = time.monotonic()

    def tell(fraction: float) -> None:
        nonlocal told_at
        if time.monotonic() - told_at < REPORT_EVERY_S:
            return
        try:
            report(job, fraction)
        except PyMongoError as error:
            # Progress is a courtesy; a minute of rendering is not given up for it.
            log.info("progress_untold", reason=type(error).__name__)
        told_at = time.monotonic()

    return tell


def unless_changed(is_stored: bool) -> None:  # noqa: FBT001 (the answer of whoever stored it)
    """Raise NotNow where a step was overtaken by a change of what it had read: it is run again on what is there now."""
    if not is_stored:
        raise NotNow("changed meanwhile", retry_after_s=0)


def seconds_since(job: Job, moment: datetime) -> float:
    """How long ago something was when the job was loaded, on the server's clock."""
    return (job.read_at - moment).total_seconds() if job.read_at else 0.0


def _advance(job: Job, done: Done, session: ClientSession) -> Job:
    if done.save:
        done.save(session)
    moved = studio.jobs.advance(job, outside_ms=stopwatch.outside_ms(), clip=done.clip, session=session)
    if moved is None:
        raise JobMovedOn
    if moved.status is JobStatus.RUNNING:
        send_step(moved, after_s=done.then_after_s)
    complete_current()
    return moved


def _note_time(job: Job, moved: Job) -> None:
    """Remember how long the step took, for the estimates of later jobs."""
    ended_at = moved.finished_at or moved.step_started_at
    if job.step_started_at and ended_at:
        studio.step_times.note(job, seconds=(ended_at - job.step_started_at).total_seconds())


def _stop(job: Job, failure: Failure, status: JobStatus, session: ClientSession) -> None:
    stop_job(studio, job, failure, status=status, outside_ms=stopwatch.outside_ms(), session=session)
    complete_current()


def _is_expected(job: Job) -> bool:
    delivery = current_delivery()
    return delivery is None or delivery.message_id == message_id(job)


def _is_last_attempt() -> bool:
    delivery = current_delivery()
    return delivery is not None and delivery.options.get("retries", 0) >= MAX_RETRIES
