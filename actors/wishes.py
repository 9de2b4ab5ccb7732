"""What people may ask of a job that exists: try again, cancel, look for the clip now, go on where nobody can know."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from functools import partial

from pymongo.client_session import ClientSession

from actors.messages import message_id, send_cancel, send_step
from actors.wiring import broker, studio
from broker import run_in_transaction
from studio.callbacks import AlreadyReceived, Callback
from studio.errors import REGISTRY, StudioError
from studio.films import end_canceled
from studio.jobs import LIVE, Job, JobStatus, LiveJobExists
from studio.pipelines import NEEDS_NEW_CLIP, POLL_VIDEO


def retry(job: Job, *, request_id: str) -> Job:
    """Let a failed job go on. Raises StudioError("JOB_NOT_RETRYABLE"), also where its artwork was deleted."""

    def store(session: ClientSession) -> Job:
        artwork = studio.artworks.get(job.owner, job.artwork_id).now(session=session)
        queued = studio.jobs.retry(job, artwork, request_id=request_id, session=session) if artwork else None
        if queued is None:
            raise StudioError("JOB_NOT_RETRYABLE")
        send_step(queued)
        return queued

    try:
        return run_in_transaction(studio.client, store)
    except LiveJobExists as error:
        raise StudioError("JOB_NOT_RETRYABLE") from error


def cancel(job: Job) -> Job:
    """Have a job canceled: at once while nothing has been done for it, by `cancel_job` otherwise.

    One that is being canceled, or was, stays as it is. Raises StudioError("JOB_NOT_CANCELABLE") for one that has ended
    otherwise.
    """
    while job.status in LIVE:
        asked = run_in_transaction(studio.client, partial(ask_to_cancel, job))
        if asked:
            return asked
        # It went on meanwhile, which it does but a few times.
        found = studio.jobs.load(job.id)
        if found is None:
            raise StudioError("NOT_FOUND")
        job = found
    if job.status not in (JobStatus.CANCELING, JobStatus.CANCELED):
        raise StudioError("JOB_NOT_CANCELABLE")
    return job


def ask_to_cancel(job: Job, session: ClientSession) -> Job | None:
    """In the caller's transaction: have a live job canceled. None when it is not where the caller saw it any more."""
    if job.status is JobStatus.QUEUED and job.submission is None:
        canceled = end_canceled(studio, job, session)
        if canceled:
            broker.cancel(message_id(job))
        return canceled
    canceling = studio.jobs.ask_to_cancel(job, session=session)
    if canceling:
        send_cancel(canceling)
    return canceling


class Decision(StrEnum):
    """What a person decides about a call of which nobody can know whether it was accepted."""

    ASK_AGAIN = "ask_again"
    """Make it once more. It may then be paid for twice."""
    ACCEPTED = "accepted"
    """It was accepted: the provider's own pages show it, under an id."""
    GIVE_UP = "give_up"
    """Leave it. It may have been paid for."""


def resolve(job: Job, decision: Decision, *, provider_id: str | None, request_id: str) -> Job:
    """Let a job go on, or end, that needs attention.

    Raises StudioError("JOB_NOT_IN_DOUBT"), and StudioError("NOT_FOUND") for an id that is of somebody else's call.
    """

    def store(session: ClientSession) -> Job | None:
        found = studio.jobs.get(job.owner, job.id).now(session=session)
        submission = found.submission if found and found.status is JobStatus.NEEDS_ATTENTION else None
        if found is None or submission is None:
            return None
        if decision is Decision.ACCEPTED and provider_id:
            _claim(found, provider_id, session)
            studio.submissions.accept(found, submission, provider_id, session=session)
        else:
            studio.submissions.give_up(found, submission, session=session)
        if decision is Decision.GIVE_UP:
            return end_canceled(studio, found, session)
        queued = studio.jobs.resolve(found, request_id=request_id, session=session)
        if queued:
            send_step(queued)
        return queued

    try:
        resolved = run_in_transaction(studio.client, store)
    except LiveJobExists as error:
        raise StudioError("JOB_NOT_IN_DOUBT") from error
    except AlreadyReceived as error:
        raise StudioError("NOT_FOUND") from error
    if resolved is None:
        raise StudioError("JOB_NOT_IN_DOUBT")
    return resolved


def _claim(job: Job, provider_id: str, session: ClientSession) -> None:
    """All clients share the deployment's account, and nobody may fetch what was made for another.

    Raises StudioError("NOT_FOUND"), and AlreadyReceived.
    """
    holder = studio.jobs.load_called(provider_id, session=session)
    if holder is None:
        # Two may claim it in the same instant, each for a job that nobody else writes to. Here they meet: it is noted
        # once, and whoever comes second finds the holder, or that there was one.
        studio.received_callbacks.note(Callback("resolve", provider_id, job.id), session=session)
    elif holder.id != job.id:
        raise StudioError("NOT_FOUND")


def cancel_all(owner: str) -> int:
    """Have everything canceled that is being done for an owner; how many jobs have not come to rest yet."""
    for job in studio.jobs.list_unfinished(owner).now():
        # It may have ended meanwhile.
        with suppress(StudioError):
            cancel(job)
    return len(studio.jobs.list_unfinished(owner).now())


def look_now(job: Job, *, request_id: str) -> Job | None:
    """Look for a job's clip without waiting for the next look, or anew where the last one failed.

    Nothing is asked for, and so paid for, a second time. None when there is nothing to look for.
    """
    if job.status is JobStatus.RUNNING and job.step == POLL_VIDEO.name:
        broker.bring_forward(message_id(job))
        return job
    if job.status is JobStatus.FAILED and _may_still_come(job):
        return retry(job, request_id=request_id)
    return None


def _may_still_come(job: Job) -> bool:
    """Whether a clip was asked for that a retry, without asking for another one, may find."""
    error, submission = job.error, job.submission
    if error is None or submission is None or submission.provider_id is None:
        return False
    return REGISTRY[error.symbol].retryable and error.symbol not in NEEDS_NEW_CLIP
