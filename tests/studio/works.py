"""Works as reports know them, made without drawing anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from studio.artworks import Artwork
from studio.language import Language
from studio.profiles import Profile
from studio.providers import Reading
from studio.providers.interfaces import Region, Score, Swatch
from studio.reports import Period, Report, Work
from studio.reports.periods import spans_before
from studio.reports.report import Made, put_together

NOW = datetime(2026, 11, 19, 12, tzinfo=UTC)
"""A Thursday."""
UTC_ZONE = ZoneInfo("UTC")

_numbers = count(1)


def work(at: datetime = NOW, *, reading: Reading | None = None, voice_s: float = 0.0, **fields: Any) -> Work:
    told: dict[str, Any] = {"title": "", "description": "", "cover_asset_id": None, "audio_asset_id": None, **fields}
    artwork_id = f"work-{next(_numbers)}"
    return Work(Artwork(id=artwork_id, owner="somebody", created_at=at, updated_at=at, **told), reading, voice_s)


def reading(
    *,
    palette: dict[str, float] | None = None,
    tags: tuple[str, ...] = (),
    parts: int = 0,
    by: str = "pixels",
    **scores: int,
) -> Reading:
    """A reading with colours and their shares, tags, so many parts, and scores."""
    both: dict[Language, str] = {"zh": "无", "en": "none"}
    return Reading(
        summary=both,
        tags=[{"zh": f"{tag}（中）", "en": tag} for tag in tags],
        palette=[
            Swatch(color, {"zh": "色", "en": name}, share)
            for color, (name, share) in zip(("#d03030", "#3050c0", "#308030"), (palette or {}).items(), strict=False)
        ],
        regions=[Region((0, 0, 0.1, 0.1), both, "#d03030", 0.01)] * parts,
        scores={name: Score(value, both, both) for name, value in scores.items()},
        coverage=0.3,
        method=by,
    )


def seen(detail: int, **fields: Any) -> Reading:
    """A reading in which every score is there."""
    return reading(color_variety=50, detail=detail, balance=80, parts=3, **fields)


def report(*periods: list[Work], period: Period = Period.WEEK, profile: Profile | None = None) -> Report:
    """A report over these periods' works, the newest first; nothing was made in the period before them."""
    spans = spans_before(NOW, period, len(periods) + 1, UTC_ZONE)
    made = [Made(span, works) for span, works in zip(spans, [*periods, []], strict=True)]
    return put_together(made, profile=profile, now=NOW)


def weeks_ago(weeks: int, *, days: int = 0) -> datetime:
    return NOW - timedelta(weeks=weeks, days=days)
