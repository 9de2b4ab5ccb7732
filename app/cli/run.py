"""`huaban run`: the whole product from one command."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import rich_click as click

from app.cli.lines import complaints, console, part_line
from app.cli.reading import data_folder, read_settings, require_token_secrets
from app.cli.stopping import asked_to_stop, started
from app.stack import Stack

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
OTHERS_CURE = "For other machines set S3_PUBLIC_ENDPOINT to http://<name of this machine>:{port} and start again."


@click.command()
@click.option("--port", default=8080, show_default=True, envvar="PORT", help="Port of the web page.")
@click.option("--host", default="127.0.0.1", show_default=True, envvar="HOST", help="Address to listen on.")
@data_folder("Folder for database, files, keys and logs.")
@click.option(
    "--processes", default=1, show_default=True, envvar="WORKER_PROCESSES", help="Worker processes.",
    type=click.IntRange(min=1),
)  # fmt: skip
@click.option(
    "--threads", default=8, show_default=True, envvar="WORKER_THREADS", help="Threads of each worker process.",
    type=click.IntRange(min=1),
)  # fmt: skip
@click.option("--web-app", default="app.main:app", hidden=True)
@click.option("--actors", default="actors", hidden=True)
def run(*, port: int, host: str, data: Path, processes: int, threads: int, web_app: str, actors: str) -> None:
    """Start everything and keep it running.

    MongoDB and an object store are started too, unless MONGODB_URI and S3_ENDPOINT name your own.
    With a --host that other machines reach, set S3_PUBLIC_ENDPOINT too: the addresses of pictures and films say
    localhost otherwise. Ctrl-C stops after the running steps; a second Ctrl-C cuts them short.
    """
    stack = Stack(
        data, port=port, host=host, processes=processes, threads=threads, web_app=web_app,
        actors=actors, say=part_line,
    )  # fmt: skip
    with complaints():
        require_token_secrets(read_settings())
        asyncio.run(serve(stack))


async def serve(stack: Stack) -> None:
    """Start the stack and return after it was asked to stop and has stopped. Raises StackError."""
    asked = asked_to_stop(stack)
    if not await started(stack, unless=asked):
        return
    try:
        console.print(f"\nOpen [bold]{stack.url}[/]   (Ctrl-C stops)\n")
        if _is_open_to_others(stack):
            console.print(f"Media addresses say localhost. {OTHERS_CURE.format(port=stack.port)}\n")
        await asked
        console.print("Stopping. Running steps are finished first; Ctrl-C again cuts them short.")
    finally:
        await stack.stop()


def _is_open_to_others(stack: Stack) -> bool:
    """Whether other machines reach the page, but not the media whose addresses it holds."""
    media = urlsplit(stack.env.get("S3_PUBLIC_ENDPOINT", "")).hostname
    return stack.host not in LOOPBACK and media == "localhost"
