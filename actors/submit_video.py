"""Step 3: ask an animator for a clip, once."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from actors.looking import first_look_s
from actors.paid_calls import accept, ask_one_of, intend, look_up, noting_refusals, passing
from actors.slots import taking_slot
from actors.steps import Done, LookAgain, Outcome, step
from actors.wiring import studio
from studio.artworks import Artwork
from studio.callbacks import callback_url
from studio.errors import OutcomeUnknown
from studio.films import animation_request, artwork_of, drawing_of, ratio_of
from studio.jobs import Job
from studio.media_assets import MediaAsset
from studio.pipelines import SUBMIT_VIDEO
from studio.providers import Capability, ClipFormat
from studio.records import new_id
from studio.submissions import Intent, Submission, SubmissionState

LOOK_UP_AFTER_S = 1.0


@step(SUBMIT_VIDEO)
def submit_video(job: Job) -> Outcome:
    """Write the intent, make the call, store its id. An intent without an id is looked up before anything is sent."""
    match job.submission:
        case Submission(state=SubmissionState.ACCEPTED):
            return Done()
        case Submission(state=SubmissionState.SENDING) | Submission(hinted_id=str()) as sent:
            # Where it surely was not accepted, that is noted, and the next run makes the call once more.
            return _waiting_for(job, sent.provider) if look_up(job, sent) else LookAgain(after_s=0)
        case unsent:
            artwork = artwork_of(studio, job)
            drawing = drawing_of(studio, artwork)
            offers = studio.providers.animators_for(job.wishes, drawing_ratio=ratio_of(drawing))

    def ask(name: str) -> str:
        return _ask(job, name, unsent, lambda: _intent(job, name, offers[name], artwork, drawing))

    try:
        asked = ask_one_of(job, Capability.ANIMATOR, offers, ask)
    except OutcomeUnknown:
        # It may be on its way still; what became of it is asked before anything else is done.
        return LookAgain(after_s=LOOK_UP_AFTER_S)
    return _waiting_for(job, asked)


def _waiting_for(job: Job, provider: str) -> Done:
    """It has the call; looking before it can be ready is of no use."""
    return Done(then_after_s=first_look_s(job, studio.providers.animator_named(provider)))


def _ask(job: Job, name: str, unsent: Submission | None, intent: Callable[[], Intent]) -> str:
    """Make the call; `name` again. Raises NotNow and StudioError where it surely was not taken, OutcomeUnknown."""
    animator = studio.providers.animator_named(name)
    with taking_slot(job, animator), passing(job, animator, Capability.ANIMATOR):
        submission = intend(job, name, unsent, intent)
        assert submission.request is not None  # noqa: S101 (a clip is asked for with a request)
        with noting_refusals(job, submission):
            provider_id = animator.submit(submission.request, idempotency_key=submission.id)
        accept(job, submission, provider_id)
    return name


def _intent(job: Job, name: str, wanted: ClipFormat | None, artwork: Artwork, drawing: MediaAsset) -> Intent:
    animator, card = studio.providers.animator_named(name), studio.providers.card(name)
    submission_id = new_id()
    request = msgspec.structs.replace(
        animation_request(studio, job, artwork, drawing),
        format=wanted,
        callback_url=callback_url(studio.settings, card, submission_id),
    )
    return Intent(
        id=submission_id,
        provider=name,
        capability=Capability.ANIMATOR,
        is_free=animator.is_free,
        model=wanted.model if wanted else "",
        currency=card.currency if card else "",
        micros=animator.estimate(request),
        request=request,
    )
