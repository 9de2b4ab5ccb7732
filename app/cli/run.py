"""`huaban run`: the whole product from one command."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import rich_click as click

from app.cli.lines import complain, console, part_line
from app.stack import Stack, StackError


@click.command()
@click.option("--port", default=8080, show_default=True, envvar="PORT", help="Port of the web page.")
@click.option("--host", default="127.0.0.1", show_default=True, envvar="HOST", help="Address to listen on.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=".huaban",
    show_default=True,
    envvar="HUABAN_DATA",
    help="Folder for database, files, keys and logs.",
)
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
    Ctrl-C stops after the running steps; a second Ctrl-C cuts them short.
    """
    stack = Stack(
        data, port=port, host=host, processes=processes, threads=threads, web_app=web_app,
        actors=actors, say=part_line,
    )  # fmt: skip
    try:
        asyncio.run(serve(stack))
    except StackError as error:
        complain(error)
        sys.exit(1)


async def serve(stack: Stack) -> None:
    """Start the stack and return after it was asked to stop and has stopped. Raises StackError."""
    asked = _asked_to_stop(stack)
    starting = asyncio.create_task(stack.start())
    await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
    if starting.cancelled():
        return
    await starting
    try:
        console.print(f"\nOpen [bold]{stack.url}[/]   (Ctrl-C stops)\n")
        await asked
        console.print("Stopping. Running steps are finished first; Ctrl-C again cuts them short.")
    finally:
        await stack.stop()


def _asked_to_stop(stack: Stack) -> asyncio.Future[None]:
    """Done at the first signal to stop; the next ones make haste."""
    loop = asyncio.get_running_loop()
    asked = loop.create_future()

    def ask() -> None:
        if asked.done():
            stack.hurry()
        else:
            asked.set_result(None)

    # SIGHUP: the terminal was closed.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ask)
    return asked
