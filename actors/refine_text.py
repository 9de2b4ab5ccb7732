"""Step 2: tidy the story and say how its picture should move."""

from __future__ import annotations

from actors.paid_answers import Question, buy, digest_of
from actors.steps import TOLD_ELSEWHERE_S, Done, LookAgain, Outcome, step, unless_changed
from actors.wiring import studio
from studio.films import artwork_of, is_told_elsewhere
from studio.jobs import Job
from studio.language import language_of
from studio.pipelines import REFINE_TEXT
from studio.providers import Capability, Words


@step(REFINE_TEXT)
def refine_text(job: Job) -> Outcome:
    """Store the writer's words for the artwork's story."""
    artwork = artwork_of(studio, job)
    if artwork.words is not None:
        return Done()
    if is_told_elsewhere(studio, job):
        return LookAgain(after_s=TOLD_ELSEWHERE_S)
    language = language_of(artwork.story, artwork.title)
    told = buy(
        job,
        Question(
            Capability.WRITER,
            Words,
            lambda writer, call: writer.refine(artwork.story, title=artwork.title, language=language, call=call),
            digest=digest_of(artwork.story, artwork.title),
        ),
    )
    if isinstance(told, LookAgain):
        return told
    words = told.value
    return Done(told.saving(lambda session: unless_changed(studio.artworks.set_words(artwork, words, session=session))))
