"""Putting the web application together: routes, dependencies, errors, life span."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig

from app.errors import EXCEPTION_HANDLERS
from app.front import ASGIApp, ObjectFront
from app.identity import provide_owner
from app.live import Hub
from app.requests import JSONRequest, RequestLine
from app.routes import ROUTES
from broker import MongoBroker
from studio.settings import MEGABYTE
from studio.studio import Studio


def create_app(studio: Studio, broker: MongoBroker) -> ASGIApp:
    """The ASGI application of one web process. At its start it brings database and bucket up to date.

    Raises ValueError when the settings have no key for owner ids: with a key that everybody knows, whoever sees an
    owner id could try client ids until one fits.
    """
    settings = studio.settings
    if not settings.owner_key.get_secret_value():
        raise ValueError("Set OWNER_KEY to a long random string, the same for all web processes, and keep it for good.")
    hub = Hub(studio.events)

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        await to_thread.run_sync(studio.prepare)
        hub.start()
        yield
        hub.stop()

    litestar = Litestar(
        route_handlers=ROUTES,
        dependencies={
            "owner": Provide(provide_owner, sync_to_thread=False),
            "studio": Provide(lambda: studio, sync_to_thread=False),
            "broker": Provide(lambda: broker, sync_to_thread=False),
            "hub": Provide(lambda: hub, sync_to_thread=False),
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
