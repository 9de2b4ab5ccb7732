"""Five hundred watchers of one web process: how long until an event has reached them, and what they cost in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx
import numpy as np
from pymongo.client_session import ClientSession

from bench.figures import Figure, rss_bytes
from broker import run_in_transaction
from studio.records import owner_of
from studio.studio import Studio

WATCHERS = 500
EVENTS = 40
PAUSE_S = 0.25
PATIENCE_S = 10.0


class _Watcher(asyncio.Protocol):
    """One open event stream. Notes when each event came."""

    def __init__(self, client_id: str) -> None:
        self.came: list[float] = []
        self.is_open = asyncio.Event()
        self._client_id = client_id
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP gives no other
        self._transport = transport
        transport.write(
            f"GET /api/v1/events HTTP/1.1\r\nHost: bench\r\nX-Client-Id: {self._client_id}\r\n"
            "Accept: text/event-stream\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self.came += [now] * data.count(b"event: job\n")
        # Told at once when nothing else is: from here on the stream is in place.
        if b"event: start\n" in data:
            self.is_open.set()

    def close(self) -> None:
        if self._transport:
            self._transport.abort()


def measure(studio: Studio, url: str, *, web_pid: int) -> list[Figure]:
    return asyncio.run(_measure(studio, url, web_pid))


async def _measure(studio: Studio, url: str, web_pid: int) -> list[Figure]:
    alone = ["bench-watched-by-everybody"]
    everybody = [f"bench-watcher-{number}" for number in range(WATCHERS)]
    # What the first watchers load is not what each further one costs.
    async with _watching(url, alone * 20):
        pass
    await asyncio.sleep(1)
    before = rss_bytes(web_pid)
    async with _watching(url, alone * WATCHERS) as watchers:
        of_one = await _latencies_ms(studio, alone, watchers, rounds=EVENTS)
        memory = (rss_bytes(web_pid) - before) / WATCHERS
    async with _watching(url, everybody) as watchers:
        of_many = await _latencies_ms(studio, everybody, watchers, rounds=1)
    return [
        Figure(f"{WATCHERS} watchers of one client: an event has reached them, p50", _percentile(of_one, 50), "ms"),
        Figure("  p99", _percentile(of_one, 99), "ms", 200),
        Figure("  memory of the web process for each of them", memory / 1000, "kB", 60),
        Figure(
            f"{WATCHERS} watchers of {WATCHERS} clients: an event for each at once, p50", _percentile(of_many, 50), "ms"
        ),
        Figure("  p99", _percentile(of_many, 99), "ms", 200),
    ]


@asynccontextmanager
async def _watching(url: str, client_ids: Sequence[str]) -> AsyncIterator[list[_Watcher]]:
    address = httpx.URL(url)
    loop = asyncio.get_running_loop()
    watchers = []
    async with AsyncExitStack() as stack:
        for client_id in client_ids:
            _, watcher = await loop.create_connection(partial(_Watcher, client_id), address.host, address.port or 80)
            stack.callback(watcher.close)
            watchers.append(watcher)
        async with asyncio.timeout(60):
            for watcher in watchers:
                await watcher.is_open.wait()
        yield watchers


async def _latencies_ms(
    studio: Studio, client_ids: Sequence[str], watchers: Sequence[_Watcher], *, rounds: int
) -> list[float]:
    """From before the transaction that appends an event until each watcher has read it."""
    key = studio.settings.owner_key.get_secret_value()
    owners = [owner_of(client_id, key) for client_id in client_ids]
    found: list[float] = []
    for _ in range(rounds):
        seen = [len(watcher.came) for watcher in watchers]
        began = {}
        for owner in owners:
            began[owner] = time.monotonic()
            await asyncio.to_thread(_tell, studio, owner)
        await _until_told(watchers, seen)
        for number, watcher in enumerate(watchers):
            owner = owners[number % len(owners)]
            found.append(1000 * (watcher.came[seen[number]] - began[owner]))
        await asyncio.sleep(PAUSE_S)
    return found


async def _until_told(watchers: Sequence[_Watcher], seen: Sequence[int]) -> None:
    """Raises TimeoutError when an event does not come."""
    async with asyncio.timeout(PATIENCE_S):
        while any(len(watcher.came) == count for watcher, count in zip(watchers, seen, strict=True)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def _tell(studio: Studio, owner: str) -> None:
    data = {
        "status": "running",
        "phase": "generating",
        "step": "poll_video",
        "stepProgress": 50,
        "progress": 47,
        "error": None,
    }

    def store(session: ClientSession) -> None:
        studio.events.append(owner, "job", job_id="bench", data=data, session=session)

    run_in_transaction(studio.client, store)


def _percentile(samples: Sequence[float], percent: float) -> float:
    return float(np.percentile(samples, percent, method="inverted_cdf"))
