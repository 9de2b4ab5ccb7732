"""What concerns an artwork, its media and its jobs together: ordering a film, describing it, hanging it."""

from __future__ import annotations

from typing import Any

from pymongo.client_session import ClientSession

from studio import pipelines
from studio.artworks import Artwork, ArtworkStatus
from studio.errors import StudioError
from studio.jobs import NO_WISHES, Failure, Job, JobStatus
from studio.keys import object_key
from studio.language import language_of
from studio.media_assets import Kind, MediaAsset
from studio.pipelines import JobKind
from studio.providers import AnimationRequest, ClipWishes
from studio.records import is_new_id
from studio.studio import Studio


def new_artwork(
    studio: Studio,
    owner: str,
    *,
    title: str,
    description: str,
    cover_asset_id: str | None,
    audio_asset_id: str | None,
    artwork_id: str | None = None,
    session: ClientSession | None = None,
) -> Artwork:
    """The artwork of these media, made now or by an equal call before.

    Its id is the one named, which `open_door` has reserved, or the one its media were uploaded for: their objects lie
    in its folder. Raises StudioError for media that are not the owner's or of the wrong kind and for an id that stands
    for something else, and ArtworkIDTaken when another call is just making it.
    """
    cover = own_asset(studio, owner, cover_asset_id, Kind.IMAGE)
    recording = own_asset(studio, owner, audio_asset_id, Kind.AUDIO)
    wanted_id = artwork_id or next((asset.artwork_id for asset in (cover, recording) if asset), None)
    if wanted_id and studio.artworks.is_taken(wanted_id, session=session):
        existing = studio.artworks.get(owner, wanted_id).now(session=session)
        if existing and (existing.cover_asset_id, existing.audio_asset_id) == (cover_asset_id, audio_asset_id):
            return existing
        if artwork_id:
            raise StudioError("ARTWORK_EXISTS" if existing else "NOT_FOUND")
        # The media were uploaded for an older artwork, and this is to be another one.
        wanted_id = None
    if artwork_id and not is_new_id(artwork_id):
        raise StudioError("NOT_FOUND")
    return studio.artworks.create(
        owner,
        title=title,
        description=description,
        cover_asset_id=cover_asset_id,
        audio_asset_id=audio_asset_id,
        artwork_id=wanted_id,
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
    """The artwork that a film was asked of: the one named, or the one of these media. Raises as `new_artwork`."""
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
    return found(studio.artworks.get(owner, artwork_id).now(session=session))


def is_told_elsewhere(studio: Studio, job: Job) -> bool:
    """Whether an older job of the same artwork is still at the story. Both would pay for the same words."""
    return any(
        other.step in (pipelines.TRANSCRIBE.name, pipelines.REFINE_TEXT.name)
        and (other.created_at, other.id) < (job.created_at, job.id)
        for other in studio.jobs.list_live(job.artwork_id).now()
    )


def live_job(studio: Studio, artwork: Artwork, kind: JobKind, *, story: str | None) -> Job | None:
    """The job that is being worked on already. Raises StudioError("STORY_IN_USE") when `story` is not its story."""
    job = studio.jobs.get_live(artwork.id, kind).now()
    # Read after the job and outside any transaction: a snapshot may be older than the job, and show an older story.
    if job and story is not None and story != artwork_of(studio, job).description:
        raise StudioError("STORY_IN_USE")
    return job


def tell(studio: Studio, artwork: Artwork, story: str | None, *, session: ClientSession) -> Artwork:
    """The artwork with its story replaced, if one is given that is new. Raises StudioError("STORY_IN_USE")."""
    if story is None or story == artwork.description:
        return artwork
    refuse_while_filmed(studio, artwork, "STORY_IN_USE", session=session)
    studio.artworks.set_story(artwork.id, story, session=session)
    return found(studio.artworks.get(artwork.owner, artwork.id).now(session=session))


def refuse_while_filmed(studio: Studio, artwork: Artwork, symbol: str, *, session: ClientSession) -> None:
    """Raise StudioError(symbol) while a film of the artwork as it is is being made.

    For transactions that go on to change the artwork. An order that is stored at the same time changes it too, so one
    of the two is run again, and then sees the other.
    """
    if studio.jobs.get_live(artwork.id, JobKind.VIDEO).now(session=session):
        raise StudioError(symbol)


def own_asset(studio: Studio, owner: str, asset_id: str | None, kind: Kind) -> MediaAsset | None:
    """An owner's asset. Raises StudioError("NOT_FOUND") when there is none, or one of another kind."""
    if asset_id is None:
        return None
    asset = studio.media_assets.get(owner, asset_id).now()
    if asset is None or asset.kind is not kind:
        raise StudioError("NOT_FOUND")
    return asset


def found(artwork: Artwork | None) -> Artwork:
    if artwork is None:
        raise StudioError("NOT_FOUND")
    return artwork


def artwork_of(studio: Studio, job: Job) -> Artwork:
    """The artwork a job works on, also when it was put into the bin meanwhile: it may come back."""
    return found(studio.artworks.get_kept(job.owner, job.artwork_id).now())


def drawing_of(studio: Studio, artwork: Artwork) -> MediaAsset:
    """The artwork's drawing. Raises StudioError("NO_DRAWING")."""
    drawing = studio.media_assets.get(artwork.owner, artwork.cover_asset_id).now() if artwork.cover_asset_id else None
    if drawing is None:
        raise StudioError("NO_DRAWING")
    return drawing


def recording_of(studio: Studio, artwork: Artwork) -> MediaAsset | None:
    return studio.media_assets.get(artwork.owner, artwork.audio_asset_id).now() if artwork.audio_asset_id else None


def order(
    studio: Studio,
    artwork: Artwork,
    kind: JobKind,
    *,
    wishes: ClipWishes = NO_WISHES,
    request_id: str,
    session: ClientSession,
) -> Job:
    """Create a job, after making sure that it has something to work on, and that somebody can do what is wished.

    Raises LiveJobExists, and StudioError for an artwork that lacks the drawing or the story that this kind needs, and
    for wishes that no animator here can fulfil.
    """
    if kind is not JobKind.STORY:
        drawing = drawing_of(studio, artwork)
        if kind is JobKind.VIDEO:
            studio.providers.animators_for(wishes, drawing_ratio=ratio_of(drawing))
    if kind is not JobKind.ANALYSIS and not _has_story(studio, artwork):
        raise StudioError("NO_STORY")
    version = studio.artworks.begin_version(artwork.id, session=session) if kind is JobKind.VIDEO else 0
    return studio.jobs.create(artwork, kind, version=version, wishes=wishes, request_id=request_id, session=session)


def _has_story(studio: Studio, artwork: Artwork) -> bool:
    recording = recording_of(studio, artwork)
    return bool(artwork.story) or (recording is not None and not recording.silent)


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
    if stopped is None:
        return
    studio.submissions.leave(job, session=session)
    if job.kind is JobKind.VIDEO:
        studio.artworks.set_status_without_film(job.artwork_id, ArtworkStatus.FAILED, session=session)


def end_canceled(studio: Studio, job: Job, session: ClientSession) -> Job | None:
    """Cancel a job that nobody works on any more. An artwork that waited for its first film is a draft again.

    None when somebody else did so meanwhile, or it was begun.
    """
    canceled = studio.jobs.cancel(job, session=session)
    if canceled is None:
        return None
    studio.submissions.leave(job, session=session)
    if job.kind is JobKind.VIDEO:
        # While this one came to rest, another one may have been ordered.
        newer = studio.jobs.get_live(job.artwork_id, JobKind.VIDEO).now(session=session)
        if newer is None:
            studio.artworks.set_status_without_film(job.artwork_id, ArtworkStatus.DRAFT, session=session)
    return canceled


def ratio_of(drawing: MediaAsset) -> float:
    return drawing.width / drawing.height if drawing.width and drawing.height else 4 / 3


def animation_request(studio: Studio, job: Job, artwork: Artwork, drawing: MediaAsset) -> AnimationRequest:
    """All that an animator needs to know for a job's film, but in which format it is to be made."""
    recording = recording_of(studio, artwork)
    words = artwork.words
    return AnimationRequest(
        drawing_key=drawing.key,
        voice_key=recording.key if recording and not recording.silent else None,
        folder=object_key(job.owner, job.artwork_id, "render", job.version, ""),
        title=artwork.title,
        prompt=words.prompt if words else artwork.title,
        language=words.language if words else language_of(artwork.story, artwork.title),
    )


def hang(studio: Studio, job: Job, asset: dict[str, Any], *, session: ClientSession) -> None:
    """Put a captured film into the gallery as the newest version of its artwork."""
    film = studio.media_assets.create(asset, session=session)
    made_by = job.animation
    studio.artworks.add_version(
        job.artwork_id,
        version=job.version,
        job_id=job.id,
        video_asset_id=film.id,
        at=film.created_at,
        provider=made_by.provider if made_by else None,
        model=(made_by.model or None) if made_by else None,
        session=session,
    )
