"""What a verified callback does: the next look at what it tells of comes now."""

from __future__ import annotations

from enum import StrEnum
from functools import partial

from pymongo.client_session import ClientSession

from actors.messages import message_id, send_step
from actors.wiring import broker, studio
from broker import run_in_transaction
from studio.callbacks import AlreadyReceived, Callback
from studio.jobs import Job, JobStatus, LiveJobExists
from studio.submissions import Submission, SubmissionState

_WITHOUT_ID = (SubmissionState.SENDING, SubmissionState.UNSENT)


class Effect(StrEnum):
    HURRIED = "hurried"
    """The next look is due now."""
    NOTED = "noted"
    """It told the provider's id of a call whose answer was lost."""
    NOTHING = "nothing"
    """It came late, or while somebody was just looking."""
    REPEATED = "repeated"
    """It had its effect before."""
    UNKNOWN = "unknown"
    """It tells of nothing that is ours, or still ours."""


def take(callback: Callback) -> Effect:
    """Let a callback have its effect, once however often it is sent."""
    try:
        try:
            return run_in_transaction(studio.client, partial(_take, callback))
        except LiveJobExists:
            # Another job makes the same thing by now. What was told is kept for whoever decides about this one.
            return run_in_transaction(studio.client, partial(_take, callback, goes_on=False))
    except AlreadyReceived:
        return Effect.REPEATED


def _take(callback: Callback, session: ClientSession, *, goes_on: bool = True) -> Effect:
    studio.received_callbacks.note(callback, session=session)
    job = studio.jobs.load_called(callback.names, session=session)
    if job is None:
        return Effect.UNKNOWN
    submission = _named(job, callback.names)
    if submission is None or submission.state is SubmissionState.CLOSED:
        return Effect.NOTHING
    effect = Effect.NOTHING
    if callback.hinted_id and submission.state in _WITHOUT_ID:
        # Not believed either: whoever looks the call up asks the provider for what it has under this id.
        studio.submissions.hint(job, submission, callback.hinted_id, session=session)
        effect = Effect.NOTED
        if job.status is JobStatus.NEEDS_ATTENTION and goes_on:
            # What nobody could know can be looked up now.
            queued = studio.jobs.resolve(job, request_id=job.request_id, session=session)
            if queued:
                send_step(queued)
            return effect
    is_awaited = job.status is JobStatus.RUNNING and submission.id == job.submissions[-1].id and submission.clip is None
    return Effect.HURRIED if is_awaited and broker.bring_forward(message_id(job)) else effect


def _named(job: Job, name: str) -> Submission | None:
    """The call of a job that a callback names; its newest one where it names the job."""
    for submission in reversed(job.submissions):
        if name in (submission.id, submission.provider_id, job.id):
            return submission
    return None
