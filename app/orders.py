"""Orders of jobs, whichever route they come by: the job is stored and its first step sent in one transaction."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from anyio import to_thread
from litestar import Response
from msgspec import Meta
from pymongo.client_session import ClientSession

from actors import send_step
from app.errors import AnyRequest, language_of
from app.forecasts import Forecasts
from app.payloads import Id, Payload, Story, Title
from app.views import JobView, view_job
from broker import run_in_transaction
from studio import films
from studio.artworks import ArtworkIDTaken
from studio.jobs import Job, LiveJobExists
from studio.pipelines import JobKind
from studio.providers import ClipWishes
from studio.studio import Studio

# How often an order may be overtaken by another one before the caller is told that something is wrong.
_RIVALS = 5

ORDER_REFUSALS = (
    "NOT_FOUND",
    "NO_STORY",
    "NO_DRAWING",
    "STORY_IN_USE",
    "PROVIDER_NOT_OFFERED",
    "MODEL_UNKNOWN",
    "CLIP_NOT_OFFERED",
)
"""What an order may be refused with."""


class JobCreate(Payload, frozen=True, kw_only=True):
    """Either an artwork, or the media to make one of."""

    artwork_id: Id | None = None
    kind: JobKind = JobKind.VIDEO
    cover_asset_id: Id | None = None
    audio_asset_id: Id | None = None
    title: Title = ""
    text: Story | None = None
    """The story; it replaces what was typed before."""
    provider: Annotated[str, Meta(max_length=40)] | None = None
    """Who makes the film, of those that this deployment offers; the fields below are what it is to be."""
    model: Annotated[str, Meta(max_length=80)] | None = None
    seconds: Annotated[int, Meta(ge=1, le=3600)] | None = None
    ratio: Annotated[str, Meta(max_length=20)] | None = None
    resolution: Annotated[str, Meta(max_length=20)] | None = None

    @property
    def wishes(self) -> ClipWishes:
        return ClipWishes(
            provider=self.provider,
            model=self.model,
            seconds=self.seconds,
            ratio=self.ratio,
            resolution=self.resolution,
        )

    def misplaced(self) -> list[str]:
        """The fields that have no meaning beside the others, by the names that callers know."""
        of_new = {"coverAssetId": self.cover_asset_id, "audioAssetId": self.audio_asset_id, "title": self.title}
        names = [name for name, value in of_new.items() if value and self.artwork_id]
        if self.kind is not JobKind.VIDEO:
            names += [name for name in self.wishes.__struct_fields__ if getattr(self.wishes, name) is not None]
        # An analysis reads the story, and does not change it.
        return [*names, "text"] if self.kind is JobKind.ANALYSIS and self.text is not None else names


def order(studio: Studio, owner: str, data: JobCreate, request_id: str) -> Job:
    """Store a job and send its first step. While one of the same story is live, that is the answer."""
    story = data.text.strip() if data.text is not None else None

    def store(session: ClientSession) -> Job:
        artwork = films.artwork_to_film(
            studio,
            owner,
            artwork_id=data.artwork_id,
            cover_asset_id=data.cover_asset_id,
            audio_asset_id=data.audio_asset_id,
            title=data.title.strip(),
            story=story,
            session=session,
        )
        live = films.live_job(studio, artwork, data.kind, story=story)
        if live:
            return live
        artwork = films.tell(studio, artwork, story, session=session)
        job = films.order(studio, artwork, data.kind, wishes=data.wishes, request_id=request_id, session=session)
        send_step(job)
        return job

    for _ in range(_RIVALS):
        # Who comes second sees what the first one made when it looks again, or that it has ended since.
        with suppress(ArtworkIDTaken, LiveJobExists):
            return run_in_transaction(studio.client, store)
    return run_in_transaction(studio.client, store)


async def answer(
    studio: Studio, forecasts: Forecasts, owner: str, data: JobCreate, request: AnyRequest
) -> Response[JobView]:
    """Order a job and answer whoever did."""
    job = await to_thread.run_sync(order, studio, owner, data, id_of(request))
    return await accepted(job, request, forecasts)


async def accepted(job: Job, request: AnyRequest, forecasts: Forecasts) -> Response[JobView]:
    """The answer to whoever asked something of a job: 202, where to look, and what is known of it."""
    view = view_job(job, language_of(request), await forecasts.of(job))
    return Response(view, status_code=202, headers=location(job))


def location(job: Job) -> dict[str, str]:
    return {"Location": f"/generation/jobs/{job.id}"}


def id_of(request: AnyRequest) -> str:
    """Of the call, for every log line about what it asks for."""
    return str(request.scope["state"]["request_id"])
