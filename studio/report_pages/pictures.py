"""The small pictures of works that a report shows in print."""

from __future__ import annotations

from PIL import Image

from studio.errors import StudioError
from studio.media import images
from studio.report_pages.document import PICTURES, Pictures
from studio.reports import Report, Work
from studio.studio import Studio

_MOST = 24
"""Pictures in one document. Works beyond that are named and not shown."""
_SIDE = 240


def fetch(studio: Studio, report: Report) -> Pictures:
    """Pictures of the works that stand beside the report's claims, those of the newest period first.

    A work whose small picture is not made yet has none here: originals are too large to be read by a web process.
    Raises StoreUnavailable.
    """
    keys: dict[str, str] = {}
    for work in _shown(report):
        key = work.shown.thumb_key or work.shown.poster_key if work.shown else None
        if key and len(keys) < _MOST:
            keys[work.id] = key
    pictures = {work_id: _read(studio, key) for work_id, key in keys.items()}
    return {work_id: picture for work_id, picture in pictures.items() if picture}


def _shown(report: Report) -> list[Work]:
    insights = [insight for period in report.periods for insight in period.insights]
    return [work for insight in insights for work in insight.works[:PICTURES]]


def _read(studio: Studio, key: str) -> Image.Image | None:
    try:
        with (
            studio.objects.local_copy(key) as path,
            images.upright(path, at_least=_SIDE, max_pixels=studio.settings.image_max_pixels) as picture,
        ):
            picture.thumbnail((_SIDE, _SIDE))
            return picture
    except (FileNotFoundError, StudioError):
        # Swept meanwhile, or broken: the work is named all the same.
        return None
