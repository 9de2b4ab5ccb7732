"""Jobs: ordering a film, watching it being made, trying again, canceling."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import Annotated

from anyio import to_thread
from litestar import Response, get, post
from litestar.exceptions import ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from msgspec import Meta

from actors import wishes
from actors.wishes import Decision
from app.cursors import cursor_of, read_cursor
from app.dependencies import Owner, TheForecasts, TheHub, TheLinks, TheStudio
from app.errors import AnyRequest, language_of
from app.limits import Calls
from app.live import EventStream
from app.live.streams import Batches
from app.openapi import refusals
from app.orders import ORDER_REFUSALS, JobCreate, accepted, answer, id_of, location
from app.payloads import Payload
from app.views import CaptureView, JobsView, JobView, StreamedEvent, view_capture, view_job
from app.views.events import frame_job_event
from studio.errors import StudioError
from studio.events import LARGEST_SEQ
from studio.jobs import FINAL, Job, JobStatus
from studio.pipelines import JobKind
from studio.providers import Capability
from studio.studio import Studio


@post("/generation/jobs", status_code=202, counted_as=Calls.JOBS, responses=refusals(*ORDER_REFUSALS))
async def create_job(
    data: JSONBody[JobCreate], owner: Owner, studio: TheStudio, forecasts: TheForecasts, *, request: AnyRequest
) -> Response[JobView]:
    """Ask for a film. While one of the same story is being made of the same artwork, its job is the answer."""
    if data.misplaced():
        raise ValidationException(extra=[{"key": name} for name in data.misplaced()])
    return await answer(studio, forecasts, owner, data, request)


@get("/generation/jobs", responses=refusals("NOT_FOUND", "CURSOR_INVALID"))
async def list_jobs(
    owner: Owner,
    studio: TheStudio,
    forecasts: TheForecasts,
    *,
    status: FromQuery[JobStatus | None] = None,
    kind: FromQuery[JobKind | None] = None,
    artwork_id: Annotated[str | None, QueryParameter(name="artworkId", max_length=64)] = None,
    cursor: Annotated[str | None, QueryParameter(max_length=200)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    request: AnyRequest,
) -> JobsView:
    """The client's jobs, newest first, or those of a status, a kind or an artwork."""
    after = read_cursor(cursor) if cursor else None
    if artwork_id is not None and await studio.artworks.get(owner, artwork_id) is None:
        raise StudioError("NOT_FOUND")
    found = await studio.jobs.list_page(
        owner, status=status, kind=kind, artwork_id=artwork_id, after=after, limit=limit + 1
    )
    page, language = found[:limit], language_of(request)
    views = [view_job(job, language, told) for job, told in zip(page, await forecasts.of_all(page), strict=True)]
    has_more = len(found) > limit
    return JobsView(items=views, next_cursor=cursor_of(page[-1].created_at, page[-1].id) if has_more else None)


@get("/generation/jobs/{job_id:str}")
async def get_job(
    job_id: FromPath[str], owner: Owner, studio: TheStudio, forecasts: TheForecasts, *, request: AnyRequest
) -> JobView:
    """How far a job is."""
    job = await _find(studio, owner, job_id)
    return view_job(job, language_of(request), await forecasts.of(job))


@post(
    "/generation/jobs/{job_id:str}/retry",
    status_code=202,
    counted_as=Calls.JOBS,
    responses=refusals("JOB_NOT_RETRYABLE"),
)
async def retry_job(
    job_id: FromPath[str], owner: Owner, studio: TheStudio, forecasts: TheForecasts, *, request: AnyRequest
) -> Response[JobView]:
    """Let a failed job go on where it failed; what was finished before is kept."""
    job = await _find(studio, owner, job_id)
    queued = await to_thread.run_sync(partial(wishes.retry, job, request_id=id_of(request)))
    return await accepted(queued, request, forecasts)


@post("/generation/jobs/{job_id:str}/cancel", status_code=202, responses=refusals("JOB_NOT_CANCELABLE"))
async def cancel_job(
    job_id: FromPath[str], owner: Owner, studio: TheStudio, forecasts: TheForecasts, *, request: AnyRequest
) -> Response[JobView]:
    """Stop a job. What is at work for it is interrupted, and its provider told; `billing` says what it may cost.

    A job that nothing was done for is canceled at once, any other one once all of that has come to rest.
    """
    job = await _find(studio, owner, job_id)
    stopped = await to_thread.run_sync(wishes.cancel, job)
    return await accepted(stopped, request, forecasts)


class Resolution(Payload, frozen=True, kw_only=True):
    """What a person decides about a paid call of which nobody can know whether it was accepted."""

    decision: Decision
    known_as: Annotated[str, Meta(max_length=128, pattern=r"^[A-Za-z0-9_-]+(?!\n)$")] | None = None
    """With `accepted`: the id under which the provider's own pages show it."""


@post(
    "/generation/jobs/{job_id:str}/resolve",
    status_code=202,
    counted_as=Calls.JOBS,
    responses=refusals("JOB_NOT_IN_DOUBT"),
)
async def resolve_job(
    job_id: FromPath[str],
    data: JSONBody[Resolution],
    owner: Owner,
    studio: TheStudio,
    forecasts: TheForecasts,
    *,
    request: AnyRequest,
) -> Response[JobView]:
    """Decide how a job goes on that stands at `needs_attention`: ask again, take it as accepted, or give it up.

    Asking again may cost twice: the call before may have been accepted. Giving up ends the job as canceled.
    """
    job = await _find(studio, owner, job_id)
    is_of_clip = job.submission is not None and job.submission.capability is Capability.ANIMATOR
    if (data.decision is Decision.ACCEPTED) is not (data.known_as is not None):
        raise ValidationException(extra=[{"key": "knownAs"}])
    if data.decision is Decision.ACCEPTED and job.submission and not is_of_clip:
        # Words that were lost are nowhere to be fetched.
        raise ValidationException(extra=[{"key": "decision"}])
    resolve = partial(wishes.resolve, job, data.decision, provider_id=data.known_as, request_id=id_of(request))
    return await accepted(await to_thread.run_sync(resolve), request, forecasts)


@post(
    "/generation/jobs/{job_id:str}/capture",
    status_code=200,
    responses={202: ResponseSpec(CaptureView, description="It is being looked for. 正在查看。")},
)
async def capture_job(
    job_id: FromPath[str], owner: Owner, studio: TheStudio, links: TheLinks, *, request: AnyRequest
) -> Response[CaptureView]:
    """Fetch a finished film into the gallery, which every job does by itself: this only has it look sooner.

    202 when it looks now, or once more where the last look failed; otherwise 200 and the job as it is, with its film's
    address once it is there. Nothing is asked of a provider a second time.
    """
    job, language = await _find(studio, owner, job_id), language_of(request)
    moved = await to_thread.run_sync(partial(wishes.look_now, job, request_id=id_of(request)))
    artwork = await studio.artworks.get(owner, job.artwork_id)
    film_id = artwork.film_of(job.id) if artwork else None
    film = await studio.media_assets.get(owner, film_id) if film_id else None
    view = view_capture(moved or job, language, video_url=links.to(film) if film else None)
    return Response(view, status_code=202 if moved else 200, headers=location(job))


@get(
    "/generation/jobs/{job_id:str}/events",
    takes_ticket=True,
    responses={
        200: ResponseSpec(StreamedEvent, media_type="text/event-stream", description="The events. 事件流。"),
        204: ResponseSpec(None, description="The job has ended, and all was told. 任务已结束，事件都已发送。"),
    },
)
async def stream_job_events(
    job_id: FromPath[str],
    owner: Owner,
    studio: TheStudio,
    hub: TheHub,
    *,
    request: AnyRequest,
    last_event_id: Annotated[int, HeaderParameter(name="Last-Event-ID", ge=0, le=LARGEST_SEQ)] = 0,
) -> EventStream | Response[None]:
    """Server-sent events of a job, from its beginning or from `Last-Event-ID` on, until it has ended.

    A browser comes back after the end of a stream. When there is nothing more to come, 204 tells it to stop.
    """
    job = await _find(studio, owner, job_id)
    if job.status in FINAL and not await studio.events.list_of_job(job.id, after=last_event_id):
        return Response(None, status_code=204)
    language = language_of(request)
    batches = _until_its_end(hub.follow(owner, after=last_event_id, job_id=job.id))
    return EventStream(batches, lambda one: one.written(frame_job_event, language))


async def _until_its_end(batches: Batches) -> Batches:
    async with aclosing(batches):
        async for news in batches:
            yield news
            # Only the last one counts: a job that was retried has ended before.
            if news and news[-1].event.data["status"] in FINAL:
                return


async def _find(studio: Studio, owner: str, job_id: str) -> Job:
    job = await studio.jobs.get(owner, job_id)
    if job is None:
        raise StudioError("NOT_FOUND")
    return job
