"""Step 6: describe the drawing for those who look back."""

from __future__ import annotations

from actors.steps import Done, Outcome, step
from actors.wiring import studio
from studio.films import artwork_of, drawing_of
from studio.jobs import Job
from studio.pipelines import ANALYZE
from studio.stopwatch import outside


@step(ANALYZE)
def analyze(job: Job) -> Outcome:
    """Store a reading of the drawing, unless this very drawing has been read."""
    artwork = artwork_of(studio, job)
    drawing = drawing_of(studio, artwork)
    known = studio.analyses.get(artwork.owner, artwork.id)
    if known and known.cover_asset_id == drawing.id:
        return Done()
    with studio.objects.local_copy(drawing.key) as path, outside():
        reading = studio.providers.seer.read(path, story=artwork.story)
    return Done(
        lambda session: studio.analyses.put(
            artwork.owner, artwork.id, cover_asset_id=drawing.id, reading=reading, session=session
        )
    )
