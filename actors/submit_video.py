"""Step 3: ask the animator for a clip, once."""

from __future__ import annotations

from actors.steps import Done, JobMovedOn, LookAgain, Outcome, step
from actors.wiring import studio
from studio.errors import NotNow, OutcomeUnknown, StudioError
from studio.films import animation_request
from studio.jobs import Job, Submission, SubmissionState
from studio.pipelines import SUBMIT_VIDEO
from studio.stopwatch import outside


@step(SUBMIT_VIDEO)
def submit_video(job: Job) -> Outcome:
    """Write the intent, make the call, store its id. An intent without an id is looked up before anything is sent."""
    provider_id = None
    match job.submission:
        case Submission(state=SubmissionState.ACCEPTED):
            return Done()
        case Submission(state=SubmissionState.SENDING) as submission:
            provider_id = _reconcile(submission)
        case Submission(state=SubmissionState.UNSENT) as unsent:
            submission = _mark(job, unsent, SubmissionState.SENDING)
        case _:
            submission = _open(job)
    if provider_id is None:
        try:
            provider_id = _send(job, submission)
        except OutcomeUnknown:
            # It may be on its way still; what became of it is asked before anything else is done.
            return LookAgain(after_s=1.0)
    accepted = provider_id
    return Done(lambda session: studio.jobs.accept_submission(job, submission, accepted, session=session))


def _open(job: Job) -> Submission:
    animator = studio.providers.animator
    submission = studio.jobs.open_submission(job, provider=animator.name, request=animation_request(studio, job))
    if submission is None:
        raise JobMovedOn
    return submission


def _mark(job: Job, submission: Submission, state: SubmissionState) -> Submission:
    marked = studio.jobs.mark_submission(job, submission, state)
    if marked is None:
        raise JobMovedOn
    return marked


def _reconcile(submission: Submission) -> str | None:
    animator = studio.providers.animator_named(submission.provider)
    with outside():
        return animator.reconcile(submission.request, idempotency_key=submission.id)


def _send(job: Job, submission: Submission) -> str:
    """Make the call. What the provider surely did not take is noted: it may be sent again, or needs no looking up."""
    animator = studio.providers.animator_named(submission.provider)
    try:
        with outside():
            return animator.submit(submission.request, idempotency_key=submission.id)
    except NotNow:
        _mark(job, submission, SubmissionState.UNSENT)
        raise
    except StudioError:
        _mark(job, submission, SubmissionState.CLOSED)
        raise
