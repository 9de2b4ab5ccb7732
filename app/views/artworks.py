"""Artworks and the gallery as callers see them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from app.views.jobs import JobView, view_job
from app.views.links import Links
from app.views.view import View
from studio import pipelines
from studio.analyses import Analysis
from studio.artworks import Artwork, ArtworkStatus, ListedArtwork
from studio.jobs import FINAL, Job
from studio.language import Language
from studio.media_assets import MediaAsset, ShownAsset
from studio.studio import Studio


class VersionView(View, frozen=True, kw_only=True):
    version: int
    video_url: str
    poster_url: str | None
    duration: float | None
    created_at: datetime
    provider: str | None
    """Who made it; `local` when no AI service was asked, null where that is not known."""
    model: str | None
    """With which model, where the provider has several."""


class ArtworkSummary(View, frozen=True, kw_only=True):
    artwork_id: str
    title: str
    status: str
    cover_url: str | None
    thumb_url: str | None
    """A small picture of the drawing, or of the film where there is no drawing."""
    poster_url: str | None
    video_url: str | None
    video_key: str | None
    """For `GET /artworks/by-video-key`."""
    duration: float | None
    favourite: bool
    created_at: datetime
    deleted_at: datetime | None
    restorable_until: datetime | None
    """When a deleted artwork is gone for good."""


class ArtworkView(ArtworkSummary, frozen=True, kw_only=True):
    description: str
    transcript: str | None
    transcript_status: str
    """ready, pending, none (no recogniser could tell what was said) or missing (there is no recording)."""
    refined_text: str | None
    audio_url: str | None
    versions: list[VersionView]
    """The newest first."""
    video_version: int | None
    """The number of the film that is shown."""
    lineage_status: str
    """As the plan's source tree names it: draft, transcribed, llm_ready, generating, ready or failed."""
    analysis_status: str
    """ready, pending or missing."""
    job: JobView | None
    updated_at: datetime


class GalleryView(View, frozen=True, kw_only=True):
    items: list[ArtworkSummary]
    next_cursor: str | None
    """Where the list goes on; null at its end. A page of a search may hold fewer items than asked for, even none."""


class RecordingView(View, frozen=True, kw_only=True):
    key: str
    url: str


class FilmStoryView(View, frozen=True, kw_only=True):
    artwork_id: str
    title: str
    description_text: str
    """The story as typed, or else as heard."""
    llm_text: str | None
    audio: RecordingView | None


def _summary(
    studio: Studio, links: Links, artwork: ListedArtwork, assets: Mapping[str, MediaAsset | ShownAsset]
) -> dict[str, Any]:
    cover, film = assets.get(artwork.cover_asset_id or ""), assets.get(artwork.video_asset_id or "")
    shown = cover or film
    kept_for = timedelta(days=studio.settings.retain_deleted_days)
    return {
        "artwork_id": artwork.id,
        "title": artwork.title,
        "status": artwork.status,
        "cover_url": links.to(cover) if cover else None,
        "thumb_url": links.to_thumb(shown) if shown else None,
        "poster_url": links.to_poster(film) if film else None,
        "video_url": links.to(film) if film else None,
        "video_key": film.key if film else None,
        "duration": film.seconds if film else None,
        "favourite": artwork.favourite,
        "created_at": artwork.created_at,
        "deleted_at": artwork.deleted_at,
        "restorable_until": artwork.deleted_at and artwork.deleted_at + kept_for,
    }


async def view_gallery(
    studio: Studio, links: Links, owner: str, artworks: list[ListedArtwork], next_cursor: str | None
) -> GalleryView:
    wanted = {artwork.cover_asset_id for artwork in artworks} | {artwork.video_asset_id for artwork in artworks}
    assets = await studio.media_assets.shown_by_ids(owner, {asset_id for asset_id in wanted if asset_id})
    items = [ArtworkSummary(**_summary(studio, links, artwork, assets)) for artwork in artworks]
    return GalleryView(items=items, next_cursor=next_cursor)


async def view_artwork(studio: Studio, links: Links, artwork: Artwork, language: Language) -> ArtworkView:
    films = [version.video_asset_id for version in artwork.versions]
    wanted = {artwork.cover_asset_id, artwork.audio_asset_id, *films}
    assets = await studio.media_assets.by_ids(artwork.owner, {asset_id for asset_id in wanted if asset_id})
    recording = assets.get(artwork.audio_asset_id or "")
    job = await studio.jobs.get_newest(artwork.owner, artwork.id)
    analysis = await studio.analyses.get(artwork.owner, artwork.id)
    return ArtworkView(
        **_summary(studio, links, artwork, assets),
        description=artwork.description,
        transcript=artwork.transcript,
        transcript_status=_transcript_status(artwork),
        refined_text=artwork.words.narration if artwork.words else None,
        audio_url=links.to(recording) if recording else None,
        versions=[
            VersionView(
                version=version.version,
                video_url=links.to(film),
                poster_url=links.to_poster(film),
                duration=film.seconds,
                created_at=version.created_at,
                provider=version.provider,
                model=version.model,
            )
            for version in sorted(artwork.versions, key=lambda version: version.version, reverse=True)
            if (film := assets.get(version.video_asset_id))
        ],
        video_version=artwork.shown_version,
        lineage_status=_lineage_status(artwork),
        analysis_status=_analysis_status(analysis, job),
        job=view_job(job, language) if job else None,
        updated_at=artwork.updated_at,
    )


async def view_film_story(studio: Studio, links: Links, artwork: Artwork) -> FilmStoryView:
    return FilmStoryView(
        artwork_id=artwork.id,
        title=artwork.title,
        description_text=artwork.story or "",
        llm_text=artwork.words.narration if artwork.words else None,
        audio=await _recording(studio, links, artwork),
    )


async def _recording(studio: Studio, links: Links, artwork: Artwork) -> RecordingView | None:
    asset = await studio.media_assets.get(artwork.owner, artwork.audio_asset_id) if artwork.audio_asset_id else None
    return RecordingView(key=asset.key, url=links.to(asset)) if asset else None


def _transcript_status(artwork: Artwork) -> str:
    # First, because a recording may be deleted once it was written down.
    if artwork.transcript is not None:
        return "ready"
    if artwork.audio_asset_id is None:
        return "missing"
    # A film is only made of a recording that was listened to.
    return "none" if artwork.heard or artwork.versions else "pending"


def _lineage_status(artwork: Artwork) -> str:
    if artwork.status is not ArtworkStatus.DRAFT:
        return artwork.status
    if artwork.words:
        return "llm_ready"
    return "transcribed" if artwork.transcript else "draft"


def _analysis_status(analysis: Analysis | None, job: Job | None) -> str:
    if analysis:
        return "ready"
    is_coming = job is not None and job.status not in FINAL and pipelines.ANALYZE.name in job.steps
    return "pending" if is_coming else "missing"
