"""`huaban worker`: the worker alone."""

from __future__ import annotations

import os
import sys

import rich_click as click

from app.cli.lines import complaints
from app.cli.reading import read_settings


@click.command()
@click.option(
    "--processes", type=click.IntRange(min=1), default=None, help="Worker processes; WORKER_PROCESSES otherwise."
)
@click.option("--threads", type=click.IntRange(min=1), default=None, help="Threads of each; WORKER_THREADS otherwise.")
def worker(*, processes: int | None, threads: int | None) -> None:
    """Run the worker alone, against your own MongoDB and S3."""
    with complaints():
        settings = read_settings()
    command = [
        sys.executable, "-m", "dramatiq", "actors", "--skip-logging",
        "--processes", str(processes or settings.worker_processes),
        "--threads", str(threads or settings.worker_threads),
    ]  # fmt: skip
    # In place of this process, so that whoever runs it signals Dramatiq itself.
    os.execv(sys.executable, command)  # noqa: S606 - no shell is meant
