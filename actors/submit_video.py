"""Step 3: ask the animator for a clip, once."""

from __future__ import annotations

from actors.steps import Done, JobMovedOn, LookAgain, Outcome, step
from actors.wiring import studio
from studio.errors import OutcomeUnknown
from studio.films import animation_request
from studio.jobs import Job, Submission, SubmissionState
from studio.pipelines import SUBMIT_VIDEO
from studio.stopwatch import outside


@step(SUBMIT_VIDEO)
def submit_video(job: Job) -> Outcome:
    """Write the intent, make the call, store its id. An intent without an id is looked up before anything is sent."""
    match job.submission:
        case Submission(state=SubmissionState.ACCEPTED):
            return Done()
        case Submission(state=SubmissionState.SENDING) as submission:
            provider_id = _reconcile(submission)
        case _:
            submission = _open(job)
            provider_id = None
    if provider_id is None:
        try:
            provider_id = _send(submission)
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


def _reconcile(submission: Submission) -> str | None:
    with outside():
        return studio.providers.animator.reconcile(submission.request, idempotency_key=submission.id)


def _send(submission: Submission) -> str:
    with outside():
        return studio.providers.animator.submit(submission.request, idempotency_key=submission.id)
