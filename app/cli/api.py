"""`huaban api`: the web process alone."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from importlib import import_module

import rich_click as click

from app import server
from app.cli.lines import complaints
from app.cli.reading import read_settings, require_owner_key, require_token_secrets
from app.stack import StackError
from app.stack.ports import is_free


@click.command()
@click.option("--port", type=int, default=None, help="Port to listen on; PORT otherwise.")
@click.option("--host", default=None, help="Address to listen on; HOST otherwise.")
@click.option("--web-app", default="app.main:app", hidden=True)
def api(*, port: int | None, host: str | None, web_app: str) -> None:
    """Run the web process alone, against your own MongoDB and S3."""
    with complaints():
        settings = read_settings()
        require_owner_key(settings)
        require_token_secrets(settings)
        host, port = host or settings.host, port or settings.port
        # The server itself would share the port with whoever listens there, and half of the calls would go astray.
        if not is_free(port, host):
            raise StackError(f"Port {port} of {host} cannot be listened on.", "Choose another with --port or PORT.")
    module, _, name = web_app.partition(":")
    app = getattr(import_module(module), name)
    # What is there by now stays, so the collector need not look through it again and again while calls are answered.
    gc.freeze()
    try:
        server.run(app, host=host, port=port, started=_stop_at_signals)
    except server.Ended:
        sys.exit(1)


def _stop_at_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
