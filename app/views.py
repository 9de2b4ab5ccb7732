"""What callers see of the documents: camelCase, with fresh URLs in place of keys and without anything internal."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from studio import pipelines
from studio.analyses import Analysis
from studio.artworks import Artwork
from studio.errors import describe
from studio.events import Event
from studio.jobs import FINAL, Job, JobStatus
from studio.language import Language
from studio.media_assets import MediaAsset
from studio.pipelines import JobKind
from studio.studio import Studio


class View(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all answers."""


class MediaAssetView(View, frozen=True, kw_only=True):
    media_asset_id: str
    artwork_id: str
    """The artwork that it was uploaded for, which may not exist yet."""
    kind: str
    key: str
    mime: str
    size: int
    etag: str
    url: str
    width: int | None
    height: int | None
    duration: float | None
    """Seconds."""
    silent: bool


class StepView(View, frozen=True, kw_only=True):
    name: str
    state: str
    """waiting, running, done or failed."""
    progress: int
    """Percent of this step."""


class JobView(View, frozen=True, kw_only=True):
    job_id: str
    kind: str
    artwork_id: str
    status: str
    phase: str
    progress: int
    step: str
    steps: list[StepView]
    error: dict[str, Any] | None
    provider: str | None
    """Who makes the film; `local` when no AI service was asked."""
    version: int
    outside_ms: int
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class VersionView(View, frozen=True, kw_only=True):
    version: int
    video_url: str
    poster_url: str | None
    duration: float | None
    created_at: datetime


class ArtworkSummary(View, frozen=True, kw_only=True):
    artwork_id: str
    title: str
    status: str
    cover_url: str | None
    poster_url: str | None
    video_url: str | None
    duration: float | None
    created_at: datetime


class ArtworkView(ArtworkSummary, frozen=True, kw_only=True):
    description: str
    transcript: str | None
    transcript_status: str
    """ready, pending, none (no recogniser could tell what was said) or missing (there is no recording)."""
    refined_text: str | None
    audio_url: str | None
    versions: list[VersionView]
    """The newest first."""
    analysis_status: str
    """ready, pending or missing."""
    job: JobView | None
    updated_at: datetime


class GalleryView(View, frozen=True, kw_only=True):
    items: list[ArtworkSummary]
    next_cursor: str | None


class AnalysisView(View, frozen=True, kw_only=True):
    artwork_id: str
    summary: str
    tags: list[str]
    palette: list[dict[str, Any]]
    boxes: list[dict[str, Any]]
    """`box` is [left, top, width, height] in fractions of the drawing."""
    scores: dict[str, dict[str, Any]]
    coverage: float
    method: str
    language: Language
    created_at: datetime


def view_asset(studio: Studio, asset: MediaAsset) -> MediaAssetView:
    return MediaAssetView(
        media_asset_id=asset.id,
        artwork_id=asset.artwork_id,
        kind=asset.kind,
        key=asset.key,
        mime=asset.mime,
        size=asset.size,
        etag=asset.etag,
        url=studio.objects.presign_get(asset.key, mime=asset.mime),
        width=asset.width,
        height=asset.height,
        duration=asset.seconds,
        silent=asset.silent,
    )


def view_job(job: Job, language: Language) -> JobView:
    return JobView(
        job_id=job.id,
        kind=job.kind,
        artwork_id=job.artwork_id,
        status=job.status,
        phase=job.phase,
        progress=job.progress,
        step=job.step,
        steps=_view_steps(job),
        error=describe(job.error.symbol, job.error.params, language) if job.error else None,
        provider=job.submissions[-1].provider if job.submissions else None,
        version=job.version,
        outside_ms=job.outside_ms,
        created_at=job.created_at,
        updated_at=job.updated_at,
        finished_at=job.finished_at if job.status in FINAL else None,
    )


def view_event(event: Event, language: Language) -> dict[str, Any]:
    """What a watcher is told: where the job is, with an error in words as in `JobView`."""
    error = event.data["error"]
    words = describe(error["symbol"], error["params"], language) if error else None
    return {"jobId": event.job_id, **event.data, "error": words}


def _view_steps(job: Job) -> list[StepView]:
    current = job.steps.index(job.step)
    views = []
    for position, name in enumerate(job.steps):
        if position < current or job.status is JobStatus.SUCCEEDED:
            state, progress = "done", 100
        elif position > current or job.status is JobStatus.QUEUED:
            state, progress = "waiting", 0
        else:
            state = "running" if job.status is JobStatus.RUNNING else "failed"
            progress = job.step_progress
        views.append(StepView(name=name, state=state, progress=progress))
    return views


def _url(studio: Studio, asset: MediaAsset | None) -> str | None:
    return studio.objects.presign_get(asset.key, mime=asset.mime) if asset else None


def _poster_url(studio: Studio, film: MediaAsset | None) -> str | None:
    return studio.objects.presign_get(film.poster_key, mime="image/jpeg") if film and film.poster_key else None


def _summary(studio: Studio, artwork: Artwork, assets: dict[str, MediaAsset]) -> dict[str, Any]:
    film = assets.get(artwork.video_asset_id or "")
    return {
        "artwork_id": artwork.id,
        "title": artwork.title,
        "status": artwork.status,
        "cover_url": _url(studio, assets.get(artwork.cover_asset_id or "")),
        "poster_url": _poster_url(studio, film),
        "video_url": _url(studio, film),
        "duration": film.seconds if film else None,
        "created_at": artwork.created_at,
    }


def view_gallery(studio: Studio, owner: str, artworks: list[Artwork], next_cursor: str | None) -> GalleryView:
    wanted = {artwork.cover_asset_id for artwork in artworks} | {artwork.video_asset_id for artwork in artworks}
    assets = studio.media_assets.list_by_ids(owner, {asset_id for asset_id in wanted if asset_id})
    items = [ArtworkSummary(**_summary(studio, artwork, assets)) for artwork in artworks]
    return GalleryView(items=items, next_cursor=next_cursor)


def view_artwork(studio: Studio, artwork: Artwork, language: Language) -> ArtworkView:
    films = [version.video_asset_id for version in artwork.versions]
    wanted = {artwork.cover_asset_id, artwork.audio_asset_id, *films}
    assets = studio.media_assets.list_by_ids(artwork.owner, {asset_id for asset_id in wanted if asset_id})
    job = studio.jobs.get_newest(artwork.owner, artwork.id)
    analysis = studio.analyses.get(artwork.owner, artwork.id)
    return ArtworkView(
        **_summary(studio, artwork, assets),
        description=artwork.description,
        transcript=artwork.transcript,
        transcript_status=_transcript_status(studio, artwork),
        refined_text=artwork.words.narration if artwork.words else None,
        audio_url=_url(studio, assets.get(artwork.audio_asset_id or "")),
        versions=[
            VersionView(
                version=version.version,
                video_url=studio.objects.presign_get(film.key, mime=film.mime),
                poster_url=_poster_url(studio, film),
                duration=film.seconds,
                created_at=version.created_at,
            )
            for version in sorted(artwork.versions, key=lambda version: version.version, reverse=True)
            if (film := assets.get(version.video_asset_id))
        ],
        analysis_status=_analysis_status(analysis, job),
        job=view_job(job, language) if job else None,
        updated_at=artwork.updated_at,
    )


def _transcript_status(studio: Studio, artwork: Artwork) -> str:
    if artwork.audio_asset_id is None:
        return "missing"
    if artwork.transcript is not None:
        return "ready"
    # Only jobs for films listen, and each takes a version.
    job = studio.jobs.get_live(artwork.id, JobKind.VIDEO)
    is_coming = artwork.last_version == 0 or (job is not None and job.step == pipelines.TRANSCRIBE.name)
    return "pending" if is_coming else "none"


def _analysis_status(analysis: Analysis | None, job: Job | None) -> str:
    if analysis:
        return "ready"
    is_coming = job is not None and job.status not in FINAL and pipelines.ANALYZE.name in job.steps
    return "pending" if is_coming else "missing"


def view_analysis(analysis: Analysis, language: Language) -> AnalysisView:
    reading = analysis.reading
    return AnalysisView(
        artwork_id=analysis.id,
        summary=reading.summary[language],
        tags=[tag[language] for tag in reading.tags],
        palette=[
            {"color": swatch.color, "name": swatch.name[language], "share": swatch.share} for swatch in reading.palette
        ],
        boxes=[
            {"box": region.box, "label": region.label[language], "color": region.color, "share": region.share}
            for region in reading.regions
        ],
        scores={
            name: {"value": score.value, "label": score.label[language], "method": score.method[language]}
            for name, score in reading.scores.items()
        },
        coverage=reading.coverage,
        method=reading.method,
        language=language,
        created_at=analysis.created_at,
    )
