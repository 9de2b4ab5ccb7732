"""Reading what a report needs: a bounded number of works, through indexes."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from studio.analyses import Analysis
from studio.artworks import Artwork
from studio.media_assets import MediaAsset
from studio.records import server_time
from studio.reports.periods import Period, Span, spans_before
from studio.reports.report import Made, Report, put_together
from studio.reports.works import Work
from studio.studio import Studio

MOST_WORKS = 200
"""Of one period that a report looks at. Nobody draws so much in a month; a class that shares a client may."""


def make(studio: Studio, owner: str, *, period: Period, count: int, zone: ZoneInfo) -> Report:
    """The report over the current period and those before it, `count` in all. Reads in this thread."""
    now = server_time(studio.client)
    # One more, for the last one to be compared with.
    spans = spans_before(now, period, count + 1, zone)
    made = {span: _artworks(studio, owner, span) for span in spans}
    works = _works(studio, owner, [artwork for artworks in made.values() for artwork in artworks[:MOST_WORKS]])
    return put_together(
        [
            Made(span, [works[artwork.id] for artwork in artworks[:MOST_WORKS]], is_cut=len(artworks) > MOST_WORKS)
            for span, artworks in made.items()
        ],
        profile=studio.profiles.get(owner).now(),
        now=now,
    )


def _artworks(studio: Studio, owner: str, span: Span) -> list[Artwork]:
    return studio.artworks.list_made(owner, since=span.start, before=span.end, limit=MOST_WORKS + 1).now()


def _works(studio: Studio, owner: str, artworks: list[Artwork]) -> dict[str, Work]:
    analyses = studio.analyses.by_ids(owner, [artwork.id for artwork in artworks]).now()
    wanted = {asset_id for a in artworks for asset_id in (a.cover_asset_id, a.video_asset_id, a.audio_asset_id)}
    assets = studio.media_assets.by_ids(owner, {asset_id for asset_id in wanted if asset_id}).now()
    return {artwork.id: _work(artwork, analyses.get(artwork.id), assets) for artwork in artworks}


def _work(artwork: Artwork, analysis: Analysis | None, assets: dict[str, MediaAsset]) -> Work:
    recording = assets.get(artwork.audio_asset_id or "")
    return Work(
        artwork,
        reading=analysis.reading if analysis else None,
        voice_s=recording.seconds or 0.0 if recording and not recording.silent else 0.0,
        shown=assets.get(artwork.cover_asset_id or "") or assets.get(artwork.video_asset_id or ""),
    )
