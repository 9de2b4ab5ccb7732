"""The product with one web process and no worker, its documents copied from a film that it made itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from app.cli.demo import make_film, sample
from app.client import Client
from app.stack import Stack
from app.stack.conditions import answering_http
from app.stack.ports import free_port
from bench import programs
from bench.figures import Figure
from bench.web import answers, long_gallery, tools, watchers
from bench.web.answers import Server
from bench.web.copies import Copies
from studio.settings import Settings
from studio.studio import Studio

CLIENT_ID = "bench-of-the-web"
OWNER_KEY = "bench"
PARTS = ("answers", "watchers", "long_gallery")


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What to measure, and how thoroughly."""

    parts: tuple[str, ...] = PARTS
    rounds: int = 3
    seconds: float = 5.0


def measure(wishes: Wishes) -> list[Figure]:
    with TemporaryDirectory(prefix="huaban-bench-") as folder:
        return asyncio.run(_measure(Path(folder), wishes))


async def _measure(folder: Path, wishes: Wishes) -> list[Figure]:
    # Limits of requests are for people: these programs ask faster than any.
    env = {**os.environ, "OWNER_KEY": OWNER_KEY, "APP_MODE": "dev"}
    async with Stack(folder / "data", port=free_port(), env=env) as stack:
        artwork_id = await asyncio.to_thread(_film, stack.url, folder)
    async with Stack(folder / "data", env=env, web=False, worker=False) as stack:
        return await asyncio.to_thread(_measure_all, stack.env, artwork_id, folder, wishes)


def _film(url: str, out: Path) -> str:
    """Let the product make the sample's film; the id of its artwork."""
    with Client(url, CLIENT_ID) as client:
        make_film(client, sample(), out)
        return str(client.get("/gallery")["items"][0]["artworkId"])


def _measure_all(env: Mapping[str, str], artwork_id: str, folder: Path, wishes: Wishes) -> list[Figure]:
    studio = Studio(Settings(mongodb_uri=env["MONGODB_URI"], owner_key=OWNER_KEY))  # type: ignore[arg-type]
    copies = Copies(studio.database, owner_key=OWNER_KEY, artwork_id=artwork_id)
    figures = []
    try:
        # As a platform would: its lines go to a file, and nobody restarts it.
        with _running([sys.executable, "-m", "app.cli", "api"], folder / "web", env) as (web, url):
            if "answers" in wishes.parts:
                figures += _beside_express(Server(url, web.pid), env, copies, folder, wishes)
            if "watchers" in wishes.parts:
                figures += watchers.measure(studio, url, web_pid=web.pid)
            if "long_gallery" in wishes.parts:
                figures += long_gallery.measure(copies, url)
    finally:
        studio.close()
    return figures


def _beside_express(ours: Server, env: Mapping[str, str], copies: Copies, folder: Path, wishes: Wishes) -> list[Figure]:
    if missing := tools.lacks():
        Console().print(f"Without requests per second: {missing}", markup=False, soft_wrap=True)
        return []
    theirs = {**env, "MONGODB_DB": Settings().mongodb_db, "NODE_ENV": "production"}
    place = folder / "express"
    with _running(tools.express(place), place, theirs) as (express, url):
        servers = {"ours": ours, "express": Server(url, express.pid)}
        return answers.measure(copies, servers, rounds=wishes.rounds, for_s=wishes.seconds, notes=folder)


@contextmanager
def _running(command: list[str], folder: Path, env: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A web server that listens on PORT, once it answers; and its address."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    with programs.running(command, folder, {**env, "PORT": str(port), "PYTHONPATH": str(Path.cwd())}) as server:
        asyncio.run(asyncio.wait_for(answering_http(port), timeout=30))
        yield server, f"http://127.0.0.1:{port}"
