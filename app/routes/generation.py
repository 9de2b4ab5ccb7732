"""Jobs: ordering a film, watching it being made, trying again."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
from app.live import Hub
from app.orders import JobCreate, accepted, order
from app.views import JobView, view_event, view_job
from broker import run_in_transaction
from studio.errors import StudioError
from studio.events import Event
from studio.jobs import FINAL, Job, LiveJobExists
from studio.language import Language
from studio.studio import Studio

# A comment this often keeps proxies from closing a quiet stream, and finds events should the hints fail.
KEEP_ALIVE_S = 10.0
_LARGEST_SEQ = 2**63 - 1


@post("/generation/jobs", status_code=202, sync_to_thread=True)
def create_job(data: JSONBody[JobCreate], owner: Owner, studio: TheStudio, request: AnyRequest) -> Response[JobView]:
    """Ask for a film. While one of the same story is being made of the same artwork, its job is the answer."""
    if data.misplaced():
        raise ValidationException(extra=[{"key": name} for name in data.misplaced()])
    return accepted(order(studio, owner, data, request.scope["state"]["request_id"]), request)


@get("/generation/jobs/{job_id:str}")
async def get_job(job_id: FromPath[str], owner: Owner, studio: TheStudio, request: AnyRequest) -> JobView:
    """How far a job is."""
    return view_job(await _find(studio, owner, job_id), language_of(request))


@post("/generation/jobs/{job_id:str}/retry", status_code=202)
async def retry_job(job_id: FromPath[str], owner: Owner, studio: TheStudio, request: AnyRequest) -> Response[JobView]:
    """Let a failed job go on where it failed; what was finished before is kept."""
    job = await _find(studio, owner, job_id)
    queued = await to_thread.run_sync(_retry, studio, job, request.scope["state"]["request_id"])
    return accepted(queued, request)


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


@get("/generation/jobs/{job_id:str}/events")
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
