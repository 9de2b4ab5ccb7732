"""Jobs: ordering a film, watching it being made, trying again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

import msgspec
from anyio import move_on_after, to_thread
from litestar import Response, get, post
from litestar.exceptions import ValidationException
from litestar.params import FromPath, HeaderParameter, JSONBody
from litestar.response import ServerSentEvent, ServerSentEventMessage
from pymongo.client_session import ClientSession

from actors import send_step
from app.dependencies import Owner, TheHub, TheStudio
from app.errors import AnyRequest, language_of
from app.limits import Calls
from app.live import Hub
from app.payloads import Id, Payload, Story, Title
from app.views import JobView, view_event, view_job
from broker import run_in_transaction
from studio import films
from studio.artworks import ArtworkIDTaken
from studio.errors import StudioError
from studio.events import Event
from studio.jobs import FINAL, Job, LiveJobExists
from studio.language import Language
from studio.pipelines import JobKind
from studio.studio import Studio

# A comment this often keeps proxies from closing a quiet stream, and finds events should the hints fail.
KEEP_ALIVE_S = 10.0
_LARGEST_SEQ = 2**63 - 1
# How often an order may be overtaken by another one before the caller is told that something is wrong.
_RIVALS = 5


class JobCreate(Payload, frozen=True, kw_only=True):
    """Either an artwork, or the media to make one of."""

    artwork_id: Id | None = None
    kind: JobKind = JobKind.VIDEO
    cover_asset_id: Id | None = None
    audio_asset_id: Id | None = None
    title: Title = ""
    text: Story | None = None
    """The story; it replaces what was typed before."""

    def misplaced(self) -> list[str]:
        """The fields that have no meaning beside the others, by the names that callers know."""
        of_new = {"coverAssetId": self.cover_asset_id, "audioAssetId": self.audio_asset_id, "title": self.title}
        names = [name for name, value in of_new.items() if value and self.artwork_id]
        # An analysis reads the story, and does not change it.
        return [*names, "text"] if self.kind is JobKind.ANALYSIS and self.text is not None else names


@post("/generation/jobs", status_code=202, sync_to_thread=True, counted_as=Calls.JOBS)
def create_job(data: JSONBody[JobCreate], owner: Owner, studio: TheStudio, request: AnyRequest) -> Response[JobView]:
    """Ask for a film. While one of the same story is being made of the same artwork, its job is the answer."""
    if data.misplaced():
        raise ValidationException(extra=[{"key": name} for name in data.misplaced()])
    return _accepted(_order(studio, owner, data, request.scope["state"]["request_id"]), request)


def _order(studio: Studio, owner: str, data: JobCreate, request_id: str) -> Job:
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
        job = films.order(studio, artwork, data.kind, request_id=request_id, session=session)
        send_step(job)
        return job

    for _ in range(_RIVALS):
        # Who comes second sees what the first one made when it looks again, or that it has ended since.
        with suppress(ArtworkIDTaken, LiveJobExists):
            return run_in_transaction(studio.client, store)
    return run_in_transaction(studio.client, store)


@get("/generation/jobs/{job_id:str}")
async def get_job(job_id: FromPath[str], owner: Owner, studio: TheStudio, request: AnyRequest) -> JobView:
    """How far a job is."""
    return view_job(await _find(studio, owner, job_id), language_of(request))


@post("/generation/jobs/{job_id:str}/retry", status_code=202, counted_as=Calls.JOBS)
async def retry_job(job_id: FromPath[str], owner: Owner, studio: TheStudio, request: AnyRequest) -> Response[JobView]:
    """Let a failed job go on where it failed; what was finished before is kept."""
    job = await _find(studio, owner, job_id)
    queued = await to_thread.run_sync(_retry, studio, job, request.scope["state"]["request_id"])
    return _accepted(queued, request)


def _retry(studio: Studio, job: Job, request_id: str) -> Job:
    def store(session: ClientSession) -> Job:
        queued = studio.jobs.retry(job, request_id=request_id, session=session)
        if queued is None:
            raise StudioError("JOB_NOT_RETRYABLE")
        send_step(queued)
        return queued

    try:
        return run_in_transaction(studio.client, store)
    except LiveJobExists as error:
        raise StudioError("JOB_NOT_RETRYABLE") from error


@get("/generation/jobs/{job_id:str}/events", takes_ticket=True)
async def stream_job_events(
    job_id: FromPath[str],
    owner: Owner,
    studio: TheStudio,
    hub: TheHub,
    *,
    request: AnyRequest,
    last_event_id: Annotated[int, HeaderParameter(name="Last-Event-ID", ge=0, le=_LARGEST_SEQ)] = 0,
) -> ServerSentEvent | Response[None]:
    """Server-sent events of a job, from its beginning or from `Last-Event-ID` on, until it has ended.

    A browser comes back after the end of a stream. When there is nothing more to come, 204 tells it to stop.
    """
    job = await _find(studio, owner, job_id)
    if job.status in FINAL and not await to_thread.run_sync(_missed, studio, job, last_event_id):
        return Response(None, status_code=204)
    return ServerSentEvent(_events(studio, hub, job, last_event_id, language_of(request)))


async def _events(
    studio: Studio, hub: Hub, job: Job, last: int, language: Language
) -> AsyncIterator[ServerSentEventMessage]:
    with hub.watching(job.id) as news:
        while True:
            # Cleared before the log is read, so that what is committed meanwhile wakes the next turn.
            news.clear()
            missed = await to_thread.run_sync(_missed, studio, job, last)
            for event in missed:
                last = event.seq
                data = msgspec.json.encode(view_event(event, language)).decode()
                yield ServerSentEventMessage(event="job", id=str(event.seq), data=data)
            # Only the last one counts: a job that was retried has ended before.
            if missed and missed[-1].data["status"] in FINAL:
                return
            with move_on_after(KEEP_ALIVE_S):
                await news.wait()
                continue
            yield ServerSentEventMessage(comment="still here")


def _missed(studio: Studio, job: Job, last: int) -> list[Event]:
    return list(studio.events.list_of_job(job.id, after=last))


async def _find(studio: Studio, owner: str, job_id: str) -> Job:
    job = await studio.jobs.get(owner, job_id)
    if job is None:
        raise StudioError("NOT_FOUND")
    return job


def _accepted(job: Job, request: AnyRequest) -> Response[JobView]:
    return Response(
        view_job(job, language_of(request)), status_code=202, headers={"Location": f"/generation/jobs/{job.id}"}
    )
