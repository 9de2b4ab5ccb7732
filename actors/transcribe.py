"""Step 1: hear what the child tells."""

from __future__ import annotations

from actors.paid_answers import Question, buy
from actors.steps import TOLD_ELSEWHERE_S, Done, LookAgain, Outcome, Save, step, unless_changed
from actors.wiring import studio
from studio.artworks import Artwork
from studio.errors import StudioError
from studio.films import artwork_of, is_told_elsewhere, recording_of
from studio.jobs import Job
from studio.pipelines import TRANSCRIBE
from studio.providers import Capability, Heard


@step(TRANSCRIBE)
def transcribe(job: Job) -> Outcome:
    """Store what was said in the recording. Where nothing can tell, the typed story or the voice stands for it."""
    artwork = artwork_of(studio, job)
    recording = recording_of(studio, artwork)
    if recording is None or artwork.transcript is not None:
        return Done()
    if recording.silent:
        if not artwork.description:
            raise StudioError("NO_STORY")
        return Done(_heard(artwork, None))
    if is_told_elsewhere(studio, job):
        return LookAgain(after_s=TOLD_ELSEWHERE_S)
    with studio.objects.local_copy(recording.key) as path:
        heard = buy(
            job,
            Question(
                Capability.TRANSCRIBER,
                Heard,
                lambda transcriber, call: transcriber.transcribe(path, call=call),
                digest=recording.id,
                seconds=recording.seconds or 0.0,
            ),
        )
    if isinstance(heard, LookAgain):
        return heard
    if heard.value.text == "" and not artwork.description:
        raise StudioError("NO_STORY")
    return Done(heard.saving(_heard(artwork, heard.value.text)))


def _heard(artwork: Artwork, transcript: str | None) -> Save:
    return lambda session: unless_changed(studio.artworks.set_transcript(artwork, transcript, session=session))
