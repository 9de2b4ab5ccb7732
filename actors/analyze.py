"""Step 6: describe the drawing for those who look back."""

from __future__ import annotations

from pymongo.client_session import ClientSession

from actors.paid_answers import Question, buy, digest_of
from actors.steps import Done, LookAgain, Outcome, step
from actors.wiring import studio
from studio.films import artwork_of, drawing_of
from studio.jobs import Job
from studio.pipelines import ANALYZE
from studio.providers import Capability, Reading


@step(ANALYZE)
def analyze(job: Job) -> Outcome:
    """Store a reading of the drawing, unless this drawing was read with this story already."""
    artwork = artwork_of(studio, job)
    drawing = drawing_of(studio, artwork)
    known = studio.analyses.get(artwork.owner, artwork.id).now()
    made_of = digest_of(drawing.id, artwork.story)
    if known and known.made_of == made_of:
        return Done()
    with studio.objects.local_copy(drawing.key) as path:
        read = buy(
            job,
            Question(
                Capability.SEER,
                Reading,
                lambda seer, call: seer.read(path, story=artwork.story, call=call),
                digest=made_of,
            ),
        )
    if isinstance(read, LookAgain):
        return read
    reading = read.value

    def save(session: ClientSession) -> None:
        # A reading of a drawing that was exchanged meanwhile is of nothing that can be seen.
        if studio.artworks.hold_drawing(artwork, session=session):
            studio.analyses.put(artwork.owner, artwork.id, made_of=made_of, reading=reading, session=session)

    return Done(read.saving(save))
