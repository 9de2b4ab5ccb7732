"""What concerns an artwork, its media and its jobs together: ordering a film, describing it, hanging it."""

from __future__ import annotations

from typing import Any

from pymongo.client_session import ClientSession

from studio.artworks import Artwork, ArtworkStatus
from studio.errors import StudioError
from studio.jobs import Failure, Job, JobStatus
from studio.keys import object_key
from studio.language import language_of
from studio.media_assets import Kind, MediaAsset
from studio.pipelines import JobKind
from studio.providers import AnimationRequest
from studio.studio import Studio


def new_artwork(
    studio: Studio,
    owner: str,
    *,
    title: str,
    description: str,
    cover_asset_id: str | None,
    audio_asset_id: str | None,
    session: ClientSession | None = None,
) -> Artwork:
    """Create an artwork of media that are the owner's and of the right kind. Raises StudioError("NOT_FOUND")."""
    _require_asset(studio, owner, cover_asset_id, Kind.IMAGE)
    _require_asset(studio, owner, audio_asset_id, Kind.AUDIO)
    return studio.artworks.create(
        owner,
        title=title,
        description=description,
        cover_asset_id=cover_asset_id,
        audio_asset_id=audio_asset_id,
        session=session,
    )


def artwork_to_film(
    studio: Studio,
    owner: str,
    *,
    artwork_id: str | None,
    cover_asset_id: str | None,
    audio_asset_id: str | None,
    title: str,
    story: str | None,
    session: ClientSession,
) -> Artwork:
    """The artwork that a film was asked of: the one named, with its story replaced if one was given, or a new one."""
    if artwork_id is None:
        return new_artwork(
            studio,
            owner,
            title=title,
            description=story or "",
            cover_asset_id=cover_asset_id,
            audio_asset_id=audio_asset_id,
            session=session,
        )
    artwork = studio.artworks.get(owner, artwork_id, session=session)
    if artwork and story is not None and story != artwork.description:
        studio.artworks.set_story(artwork.id, story, session=session)
        artwork = studio.artworks.get(owner, artwork_id, session=session)
    if artwork is None:
        raise StudioError("NOT_FOUND")
    return artwork


def live_job(studio: Studio, artwork_id: str, kind: JobKind) -> Job:
    """The job that is being worked on already, or the newest one if it has just ended."""
    job = studio.jobs.get_live(artwork_id, kind) or studio.jobs.get_newest(artwork_id)
    if job is None:
        raise StudioError("NOT_FOUND")
    return job


def _require_asset(studio: Studio, owner: str, asset_id: str | None, kind: Kind) -> None:
    if asset_id is not None:
        asset = studio.media_assets.get(owner, asset_id)
        if asset is None or asset.kind is not kind:
            raise StudioError("NOT_FOUND")


def artwork_of(studio: Studio, job: Job) -> Artwork:
    artwork = studio.artworks.get(job.owner, job.artwork_id)
    if artwork is None:
        raise StudioError("NOT_FOUND")
    return artwork


def drawing_of(studio: Studio, artwork: Artwork) -> MediaAsset:
    """The artwork's drawing. Raises StudioError("NO_DRAWING")."""
    drawing = studio.media_assets.get(artwork.owner, artwork.cover_asset_id) if artwork.cover_asset_id else None
    if drawing is None:
        raise StudioError("NO_DRAWING")
    return drawing


def recording_of(studio: Studio, artwork: Artwork) -> MediaAsset | None:
    return studio.media_assets.get(artwork.owner, artwork.audio_asset_id) if artwork.audio_asset_id else None


def order(studio: Studio, artwork: Artwork, kind: JobKind, *, request_id: str, session: ClientSession) -> Job:
    """Create a job, after making sure that it has something to work on.

    Raises LiveJobExists, and StudioError for an artwork without a drawing or, where a film is wanted, without a story.
    """
    drawing_of(studio, artwork)
    version = 0
    if kind is JobKind.VIDEO:
        recording = recording_of(studio, artwork)
        if not artwork.description and (recording is None or recording.silent):
            raise StudioError("NO_STORY")
        version = studio.artworks.begin_version(artwork.id, session=session)
    return studio.jobs.create(artwork, kind, version=version, request_id=request_id, session=session)


def start_job(studio: Studio, job: Job, session: ClientSession) -> Job | None:
    """Let a queued job run. None when another delivery of its message did so meanwhile."""
    if job.kind is JobKind.VIDEO:
        studio.artworks.set_status_without_film(job.artwork_id, ArtworkStatus.GENERATING, session=session)
    return studio.jobs.start(job, session=session)


def stop_job(
    studio: Studio,
    job: Job,
    failure: Failure,
    session: ClientSession,
    *,
    status: JobStatus = JobStatus.FAILED,
    outside_ms: int = 0,
) -> None:
    """Stop a job where it is. An artwork that waited for its first film then says that there is none."""
    stopped = studio.jobs.fail(job, failure, outside_ms=outside_ms, status=status, session=session)
    if stopped and job.kind is JobKind.VIDEO:
        studio.artworks.set_status_without_film(job.artwork_id, ArtworkStatus.FAILED, session=session)


def animation_request(studio: Studio, job: Job) -> AnimationRequest:
    """All that an animator needs to know for a job's film."""
    artwork = artwork_of(studio, job)
    recording = recording_of(studio, artwork)
    words = artwork.words
    return AnimationRequest(
        drawing_key=drawing_of(studio, artwork).key,
        voice_key=recording.key if recording and not recording.silent else None,
        folder=object_key(job.owner, job.artwork_id, "render", job.version, ""),
        title=artwork.title,
        prompt=words.prompt if words else artwork.title,
        language=words.language if words else language_of(artwork.story, artwork.title),
    )


def hang(studio: Studio, job: Job, asset: dict[str, Any], *, session: ClientSession) -> None:
    """Put a captured film into the gallery as the newest version of its artwork."""
    film = studio.media_assets.create(asset, session=session)
    studio.artworks.add_version(
        job.artwork_id,
        version=job.version,
        job_id=job.id,
        video_asset_id=film.id,
        at=film.created_at,
        session=session,
    )
