"""Step 4: see whether the clip is there. It looks once and comes back later; nobody waits in a thread."""

from __future__ import annotations

from actors.looking import next_look_s, passing_look
from actors.paid_calls import note
from actors.slots import free_slots
from actors.steps import Done, LookAgain, Outcome, reporter, seconds_since, step
from actors.wiring import studio
from studio.errors import NotNow, StudioError
from studio.jobs import Job
from studio.pipelines import NEEDS_NEW_CLIP, POLL_VIDEO
from studio.providers import Animator, Capability, Pending
from studio.stopwatch import outside
from studio.submissions import Submission

# Anything else, such as a key that is not accepted any more, says nothing about a clip that is being made and paid for.
COMES_TO_NOTHING = NEEDS_NEW_CLIP | {"PROVIDER_TIMEOUT"}
WAS_MADE = frozenset({"CLIP_GONE", "CLIP_UNREADABLE"})
"""Whatever became of it, it is charged like any other."""


# In line with all other steps: a clip is looked for a few times only, and if those who are submitted went first, none
# would come home where many are.
@step(POLL_VIDEO)
def poll_video(job: Job) -> Outcome:
    """Look once. Store where the clip is, or look again later."""
    submission = job.submission
    if submission is None and job.animation and job.animation.refusal:
        # A worker died between noting this and saying so.
        raise StudioError(job.animation.refusal)
    if submission is None or submission.provider_id is None or submission.request is None:
        raise StudioError("INTERNAL")
    if submission.clip:
        return Done()
    animator = studio.providers.animator_named(submission.provider)
    try:
        with passing_look(job, animator), outside():
            found = animator.look(submission.provider_id, submission.request, progress=reporter(job))
    except NotNow:
        _check_limit(job, submission, animator)
        raise
    except StudioError as failure:
        if failure.symbol in COMES_TO_NOTHING:
            close_failed(job, submission, failure)
        raise
    if isinstance(found, Pending):
        _check_limit(job, submission, animator)
        return LookAgain(after_s=next_look_s(job, animator, found), progress=found.progress)
    return Done(
        lambda session: studio.submissions.charge(submission, micros=found.micros, session=session),
        clip=found.location,
        afterwards=lambda: free_slots(job),
    )


def close_failed(job: Job, submission: Submission, failure: StudioError) -> None:
    """Nothing comes of a call any more. What it costs all the same its provider says, or else the provider's card."""
    card, micros = studio.providers.card(submission.provider), failure.micros
    is_charged = failure.symbol in WAS_MADE or (card is not None and card.offer(Capability.ANIMATOR).bills_failures)
    if micros is not None:
        is_charged = micros > 0
    note(
        lambda session: studio.submissions.close(
            job, submission, refusal=failure.symbol, is_charged=is_charged, micros=micros, session=session
        )
    )


def _check_limit(job: Job, submission: Submission, animator: Animator) -> None:
    """A clip has its time since it was asked for, and once more from each retry: it may only have been late."""
    # Not from its first intent: it may have waited for a busy provider for long.
    sent_at = submission.sent_at or submission.at
    asked_at = max(sent_at, job.tried_at or sent_at)
    if animator.limit_s is not None and seconds_since(job, asked_at) > animator.limit_s:
        raise StudioError("PROVIDER_TIMEOUT")
