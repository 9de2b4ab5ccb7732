"""Putting the web application together: routes, dependencies, errors, life span."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from anyio import move_on_after, to_thread
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from pymongo.errors import PyMongoError

from app.asgi import ASGIApp
from app.errors import EXCEPTION_HANDLERS, AnyRequest
from app.forecasts import Forecasts
from app.front import ObjectFront
from app.identity import provide_owner
from app.live import Hub
from app.media_door import MediaDoor
from app.requests import JSONRequest, RequestLine, base_of
from app.routes import ROUTES
from app.views import Links
from broker import MongoBroker
from broker.errors import is_passing
from studio.errors import NotNow
from studio.settings import MEGABYTE
from studio.studio import Studio

log = structlog.get_logger("app")

PREPARE_AGAIN_S = (0.5, 1.0, 2.0)
"""Waits between looks at a dependency that is away; the last one repeats. Short, so that few calls come before the
indexes of a new database."""
PREPARE_WITHIN_S = 10.0


def create_app(studio: Studio, broker: MongoBroker) -> ASGIApp:
    """The ASGI application of one web process. It brings database and bucket up to date as soon as they are there.

    Raises ValueError when the settings have no key for owner ids: with a key that everybody knows, whoever sees an
    owner id could try client ids until one fits.
    """
    settings = studio.settings
    if not settings.owner_key.get_secret_value():
        raise ValueError("Set OWNER_KEY to a long random string, the same for all web processes, and keep it for good.")
    hub = Hub(studio.events)
    forecasts = Forecasts(studio, broker)
    media_door = MediaDoor(studio.objects, settings)

    def provide_links(request: AnyRequest) -> Links:
        return Links(studio.media_links, settings.public_url or base_of(request))

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        try:
            away = await _prepare(studio)
        except Exception:
            log.exception("not_started")
            raise
        preparing = asyncio.create_task(_prepare_later(studio, away))
        hub.start()
        yield
        await hub.stop()
        preparing.cancel()
        with suppress(asyncio.CancelledError):
            await preparing
        await media_door.aclose()
        await studio.loops.close()

    litestar = Litestar(
        route_handlers=ROUTES,
        dependencies={
            "owner": Provide(provide_owner, sync_to_thread=False),
            "studio": Provide(lambda: studio, sync_to_thread=False),
            "broker": Provide(lambda: broker, sync_to_thread=False),
            "hub": Provide(lambda: hub, sync_to_thread=False),
            "forecasts": Provide(lambda: forecasts, sync_to_thread=False),
            "media_door": Provide(lambda: media_door, sync_to_thread=False),
            "links": Provide(provide_links, sync_to_thread=False),
        },
        state=State({"settings": settings}),
        exception_handlers=EXCEPTION_HANDLERS,
        request_class=JSONRequest,
        lifespan=[lifespan],
        openapi_config=OpenAPIConfig(title="HuaBan 画伴", version="0.1.0"),
        # Bodies are JSON of a few fields; media go to the bucket.
        request_max_body_size=MEGABYTE,
        # Our own line per request says less than the framework's: no address, no body, no header.
        logging_config=None,
    )
    if not settings.s3_front:
        return RequestLine(litestar)
    largest = max(settings.image_max_bytes, settings.audio_max_bytes, settings.video_max_bytes)
    return RequestLine(
        ObjectFront(litestar, upstream=settings.s3_endpoint, bucket=settings.s3_bucket, max_bytes=largest)
    )


async def _prepare_later(studio: Studio, away: str) -> None:
    """Look again until the studio is prepared. Until then, calls are refused by what is away."""
    waits, told = iter(PREPARE_AGAIN_S), ""
    while away:
        if away != told:
            log.warning("not_prepared", reason=away)
            told = away
        await asyncio.sleep(next(waits, PREPARE_AGAIN_S[-1]))
        try:
            away = await _prepare(studio)
        except Exception:
            # At the start it would have stopped the process. By now calls are being served, and most of them may work.
            log.exception("prepare_failed")
            return
    log.info("prepared")


async def _prepare(studio: Studio) -> str:
    """Prepare the studio. What is in the way when a dependency is away; nothing once it is done."""
    try:
        with move_on_after(PREPARE_WITHIN_S):
            # A thread that waits for a silent server must not hold up the start, nor the end of the process. Two that
            # prepare at the same time do no harm.
            await to_thread.run_sync(studio.prepare, abandon_on_cancel=True)
            return ""
    except NotNow as error:
        # The object store, or a migration that another process is busy with.
        return str(error)
    except PyMongoError as error:
        if not is_passing(error):
            raise
        return type(error).__name__
    return "no answer"
