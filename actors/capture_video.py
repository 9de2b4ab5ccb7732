"""Step 5: bring the clip into our own bucket and hang it in the gallery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from actors.steps import Done, Outcome, seconds_since, step
from actors.wiring import studio
from studio.errors import NotNow, StudioError
from studio.films import hang
from studio.intake import sha256_of
from studio.jobs import Job
from studio.keys import object_key
from studio.media import clips, telling
from studio.media_assets import Kind
from studio.pipelines import CAPTURE_VIDEO
from studio.providers import Animator, Made
from studio.scratch import scratch_folder
from studio.stopwatch import outside
from studio.submissions import Submission

FETCHED_FOR_S = 24 * 3600.0
"""How long a clip is come back for while nobody answers at its address: most services keep none for longer."""


@step(CAPTURE_VIDEO)
def capture_video(job: Job) -> Outcome:
    """Fetch the clip, check that it plays, store it with a still, and make it the artwork's newest film.

    Keys and ids come from the job, so a second run writes the same objects once more.
    """
    submission = job.submission
    if submission is None or submission.clip is None:
        raise StudioError("INTERNAL")
    animator, made = studio.providers.animator_named(submission.provider), Made(submission.clip)
    asset_id = f"{job.id}-film"
    key = object_key(job.owner, job.artwork_id, "video", job.version, f"{asset_id}.mp4")
    poster_key = object_key(job.owner, job.artwork_id, "thumb", job.version, f"{asset_id}.jpg")
    with scratch_folder() as folder, voice_of(submission) as voice:
        clip, still = folder / "clip.mp4", folder / "still.jpg"
        with outside():
            fetch_in_time(animator, job, submission, clip)
            film = telling.tell(clip, voice, folder / "film.mp4")
            facts = clips.inspect(film, still=still)
        studio.objects.upload(still, poster_key, mime="image/jpeg")
        stored = studio.objects.upload(film, key, mime=facts.mime)
        digest = sha256_of(film)
    asset = {
        "_id": asset_id,
        "owner": job.owner,
        "artwork_id": job.artwork_id,
        "kind": Kind.VIDEO,
        "key": key,
        "mime": facts.mime,
        "size": stored.size,
        "etag": stored.etag,
        "hash": digest,
        "source": job.id,
        "width": facts.width,
        "height": facts.height,
        "seconds": facts.seconds,
        "poster_key": poster_key,
    }
    return Done(
        lambda session: hang(studio, job, asset, session=session),
        afterwards=lambda: animator.forget(made),
    )


@contextmanager
def voice_of(submission: Submission) -> Iterator[Path | None]:
    """The recording that tells the story of a call's clip, if there is one, and it was not removed meanwhile."""
    key = submission.request.voice_key if submission.request else None
    with ExitStack() as kept:
        voice = None
        if key is not None:
            # A clip that was paid for is not lost with it.
            with suppress(FileNotFoundError):
                voice = kept.enter_context(studio.objects.local_copy(key))
        yield voice


def fetch_in_time(animator: Animator, job: Job, submission: Submission, target: Path) -> None:
    """The same as `fetch`, until nobody has answered for very long. A retry goes on here, and pays for nothing."""
    try:
        fetch(animator, submission, target)
    except NotNow:
        began = [moment for moment in (job.step_started_at, job.tried_at) if moment]
        if began and seconds_since(job, max(began)) > FETCHED_FOR_S:
            raise StudioError("PROVIDER_TIMEOUT") from None
        raise


def fetch(animator: Animator, submission: Submission, target: Path) -> None:
    """Bring a call's clip. An address lives shorter than what it leads to: where one has died, another is asked for."""
    assert submission.clip is not None  # noqa: S101 (it was seen)
    try:
        animator.fetch(Made(submission.clip), target)
    except StudioError as error:
        if error.symbol != "CLIP_GONE" or submission.provider_id is None or submission.request is None:
            raise
        found = animator.look(submission.provider_id, submission.request, progress=lambda _fraction: None)
        if not isinstance(found, Made) or found.location == submission.clip:
            raise
        animator.fetch(found, target)
