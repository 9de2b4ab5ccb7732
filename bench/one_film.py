"""The sample film in a fresh stack: how long until it serves, until the film is there, until it is gone again."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from app.cli.demo import make_film, sample
from app.client import Client
from app.stack import Stack
from bench.figures import Figure, cpu_s

IDLE_FOR_S = 20.0
FILMS = 3
CLIENT_ID = "bench-of-one-film"


def measure() -> list[Figure]:
    with TemporaryDirectory(prefix="huaban-bench-") as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> list[Figure]:
    stack = Stack(folder / "data", port=18080)
    began = time.monotonic()
    await stack.start()
    up_s = time.monotonic() - began
    try:
        films_s = []
        for _ in range(FILMS):
            began = time.monotonic()
            await asyncio.to_thread(_make_sample_film, stack.url, folder)
            films_s.append(time.monotonic() - began)
        overheads_ms = await asyncio.to_thread(_overheads_ms, stack.url)
        idle = await _idle_percent(stack)
    finally:
        began = time.monotonic()
        await stack.stop()
        down_s = time.monotonic() - began
    return [
        Figure("whole stack up", up_s, "s", 5),
        Figure("sample film ready after the command, first one", up_s + films_s[0], "s", 60),
        Figure("engine overhead of a video job, median of three", sorted(overheads_ms)[1], "ms", 250),
        Figure("idle CPU of web and worker together", idle, "% of a core", 3),
        Figure("whole stack stopped", down_s, "s", 3),
    ]


def _make_sample_film(url: str, out: Path) -> None:
    with Client(url, CLIENT_ID) as client:
        make_film(client, sample(), out)


def _overheads_ms(url: str) -> list[float]:
    """Of each film: its job's time from order to end, less what providers and media tools took."""
    with Client(url, CLIENT_ID) as client:
        works = client.get("/gallery")["items"]
        jobs = [client.get(f"/artworks/{work['artworkId']}")["job"] for work in works]
    return [1000 * _seconds(job["createdAt"], job["finishedAt"]) - job["outsideMs"] for job in jobs]


def _seconds(began: str, ended: str) -> float:
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


async def _idle_percent(stack: Stack) -> float:
    pids = [stack.supervisor.pid(name) for name in ("web", "worker")]
    running = [pid for pid in pids if pid is not None]
    before = sum(cpu_s(pid) for pid in running)
    await asyncio.sleep(IDLE_FOR_S)
    return 100 * (sum(cpu_s(pid) for pid in running) - before) / IDLE_FOR_S
