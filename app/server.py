"""The web server around the application: granian, inside this process and on its event loop."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from contextlib import suppress

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from app.asgi import ASGIApp

# An event stream never ends by itself, so what is left is cut after this long.
GRACE_S = 2.0
# Every watcher holds a connection for as long as it watches; the server's own limit would be 128, and then silence.
CONNECTIONS = 10_000
BACKLOG = 1_024


class Ended(Exception):
    """The server is over without having been told to stop: the application did not start, and its log says why."""


def run(app: ASGIApp, *, host: str, port: int, started: Callable[[Callable[[], None]], None]) -> None:
    """Serve until told to stop, then let answers that have begun end within GRACE_S.

    `started` is called on the event loop with the function that stops the server; it may be called from any thread.
    Raises Ended.
    """
    _allow_open_files()
    uvloop.run(_serve(app, host, port, started))


def _allow_open_files() -> None:
    """Let this process have a file for each connection, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


async def _serve(app: ASGIApp, host: str, port: int, started: Callable[[Callable[[], None]], None]) -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def stop() -> None:
        # A loop that is closed by now has nothing left to stop.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(asked.set)

    # Its log lines would name addresses; ours tell of every request.
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve())
    started(stop)
    asking = asyncio.create_task(asked.wait())
    await asyncio.wait({serving, asking}, return_when=asyncio.FIRST_COMPLETED)
    asking.cancel()
    if serving.done():
        raise Ended from serving.exception()
    server.stop()  # type: ignore[no-untyped-call]  # granian does not say what it takes
    await asyncio.wait({serving}, timeout=GRACE_S)
