"""Step 3: ask the animator for a clip, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from actors.looking import first_look_s
from actors.slots import offer_of, taking_slot
from actors.steps import Done, JobMovedOn, LookAgain, Outcome, step
from actors.wiring import studio
from studio.errors import NotNow, OutcomeUnknown, StudioError
from studio.films import animation_request
from studio.jobs import Job
from studio.pipelines import SUBMIT_VIDEO
from studio.providers import Animator, Capability
from studio.stopwatch import outside
from studio.submissions import Submission, SubmissionState


@step(SUBMIT_VIDEO)
def submit_video(job: Job) -> Outcome:
    """Write the intent, make the call, store its id. An intent without an id is looked up before anything is sent."""
    provider_id = None
    match job.submission:
        case Submission(state=SubmissionState.ACCEPTED):
            return Done()
        case Submission(state=SubmissionState.SENDING) as submission:
            provider_id = look_up(submission)
        case Submission(state=SubmissionState.UNSENT) as unsent:
            submission = _wanted(studio.submissions.send_again(job, unsent))
        case _:
            submission = _wanted(_open(job))
    if provider_id is None:
        try:
            provider_id = _send(job, submission)
        except OutcomeUnknown:
            # It may be on its way still; what became of it is asked before anything else is done.
            return LookAgain(after_s=1.0)
    # Not by the settling transaction, which is rolled back when the job was canceled meanwhile: it is paid for.
    studio.submissions.accept(job, submission, provider_id)
    return Done(then_after_s=first_look_s(job, studio.providers.animator_named(submission.provider)))


def look_up(submission: Submission) -> str | None:
    """What became of a call whose answer is lost: its id where it was accepted. Raises NotNow, OutcomeUnknown."""
    animator = studio.providers.animator_named(submission.provider)
    with outside():
        return animator.reconcile(submission.request, idempotency_key=submission.id, age_s=3600.0)


def _open(job: Job) -> Submission | None:
    animator = studio.providers.animator
    request = animation_request(studio, job)
    return studio.submissions.open(job, provider=animator.name, is_free=animator.is_free, request=request)


def _wanted(intent: Submission | None) -> Submission:
    if intent is None:
        raise JobMovedOn
    return intent


def _send(job: Job, submission: Submission) -> str:
    """Make the call. What the provider surely did not take is noted: it may be sent again, or needs no looking up."""
    animator = studio.providers.animator_named(submission.provider)
    try:
        with taking_slot(job, animator), _passing(job, animator), outside():
            return animator.submit(submission.request, idempotency_key=submission.id)
    except NotNow:
        studio.submissions.give_back(job, submission, SubmissionState.UNSENT)
        raise
    except StudioError:
        studio.submissions.give_back(job, submission, SubmissionState.CLOSED)
        raise


@contextmanager
def _passing(job: Job, animator: Animator) -> Iterator[None]:
    """The limits of the animator's account, and its circuit breaker. Raises NotNow where it may not be asked now."""
    offer = offer_of(animator)
    if offer is None:
        yield
        return
    with studio.gates.passing(animator.name, Capability.ANIMATOR, offer, ticket=f"{job.id}/{job.step}"):
        yield
