"""Putting the web application together: routes, dependencies, errors, life span."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from anyio import move_on_after, to_thread
from litestar import Litestar
from litestar.di import Provide
from pymongo.errors import PyMongoError

from app.asgi import ASGIApp
from app.callbacks import CallbackChecks
from app.errors import EXCEPTION_HANDLERS, AnyRequest
from app.forecasts import Forecasts
from app.front import ObjectFront
from app.head import HeadOfGet
from app.identity import Identity
from app.injection import resolve_in_turn
from app.limits import Limits
from app.live import Hub
from app.media_door import MediaDoor
from app.metrics import StoredFigures
from app.options import name_all_methods
from app.origins import Origins
from app.proxies import base_of
from app.queries import GivenParameters
from app.requests import JSONRequest, RequestLine
from app.routes import ROUTES
from app.sightings import Sightings
from app.tokens import Tokens
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
OWNER_KEY_MIN_BYTES = 16
"""Whoever guesses a shorter key, at home and as fast as he likes, can sign tokens and addresses of media."""


def create_app(studio: Studio, broker: MongoBroker) -> ASGIApp:
    """The ASGI application of one web process. It brings database and bucket up to date as soon as they are there.

    Raises ValueError when the settings have no key for owner ids: with a key that everybody knows, whoever sees an
    owner id could try client ids until one fits. And when calls are to carry tokens, but nothing can sign them.
    """
    settings = studio.settings
    if not settings.owner_key.get_secret_value():
        raise ValueError("Set OWNER_KEY to a long random string, the same for all web processes, and keep it for good.")
    if len(settings.owner_key.get_secret_value().encode()) < OWNER_KEY_MIN_BYTES:
        # No more than said: to change the key of a deployment that has one orphans everything stored.
        log.warning("owner_key_short", mend="A new deployment should have a long random OWNER_KEY.")
    hub = Hub(studio.events)
    stored_figures = StoredFigures(studio, broker)
    tokens = Tokens(settings)
    identity = Identity(settings, tokens)
    limits = Limits(settings, studio.request_counters, identity)
    forecasts = Forecasts(studio, broker)
    sightings = Sightings(studio.clients)
    callback_checks = CallbackChecks(settings)
    media_door = MediaDoor(studio.objects, settings)

    def provide_links(request: AnyRequest) -> Links:
        return Links(studio.media_links, settings.public_url or base_of(request.scope, settings.trusted_proxies))

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
            "owner": Provide(identity.provide_owner, sync_to_thread=False),
            "studio": Provide(lambda: studio, sync_to_thread=False),
            "broker": Provide(lambda: broker, sync_to_thread=False),
            "hub": Provide(lambda: hub, sync_to_thread=False),
            "identity": Provide(lambda: identity, sync_to_thread=False),
            "tokens": Provide(lambda: tokens, sync_to_thread=False),
            "limits": Provide(lambda: limits, sync_to_thread=False),
            "forecasts": Provide(lambda: forecasts, sync_to_thread=False),
            "media_door": Provide(lambda: media_door, sync_to_thread=False),
            "callback_checks": Provide(lambda: callback_checks, sync_to_thread=False),
            "stored_figures": Provide(lambda: stored_figures, sync_to_thread=False),
            "links": Provide(provide_links, sync_to_thread=False),
        },
        before_request=limits.count,
        after_response=sightings.note,
        exception_handlers=EXCEPTION_HANDLERS,
        request_class=JSONRequest,
        lifespan=[lifespan],
        # app/openapi describes the routes; the framework's pages would load their programs from elsewhere.
        openapi_config=None,
        # Bodies are JSON of a few fields; media go to the bucket.
        request_max_body_size=MEGABYTE,
        # Our own line per request says less than the framework's: no address, no body, no header.
        logging_config=None,
    )
    name_all_methods(litestar)
    resolve_in_turn(litestar)
    app: ASGIApp = HeadOfGet(GivenParameters(litestar))
    if settings.s3_front:
        largest = max(settings.image_max_bytes, settings.audio_max_bytes, settings.video_max_bytes)
        app = ObjectFront(app, upstream=settings.s3_endpoint, bucket=settings.s3_bucket, max_bytes=largest)
    return RequestLine(Origins(app, settings), trusted_proxies=settings.trusted_proxies)


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
