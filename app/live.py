"""Telling watchers that there is something new: one change stream per web process, taken as a hint only.

What a watcher is told is read from the event log. So it makes no difference to it whether an event was missed because
the stream broke, because the process restarted, or because a phone went through a tunnel.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

import structlog
from pymongo.errors import PyMongoError

from studio.events import Events

log = structlog.get_logger("app")

REOPEN_AFTER_S = 1.0


class Hub:
    """Wakes the watchers of a job when an event of it was committed."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._watchers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._stop = Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to listen; to be called on the event loop that the watchers run on."""
        self._loop = asyncio.get_running_loop()
        self._stop.clear()
        Thread(target=self._run, name="live-events", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    @property
    def watchers(self) -> int:
        """How many streams are open."""
        return sum(map(len, self._watchers.values()))

    @contextmanager
    def watching(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the job may have news."""
        news = asyncio.Event()
        self._watchers[job_id].add(news)
        try:
            yield news
        finally:
            self._watchers[job_id].discard(news)
            if not self._watchers[job_id]:
                del self._watchers[job_id]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except PyMongoError as error:
                if self._stop.is_set():
                    return
                log.warning("live_stream_broke", reason=type(error).__name__)
                self._stop.wait(REOPEN_AFTER_S)

    def _listen(self) -> None:
        pipeline: list[dict[str, Any]] = [
            {"$match": {"operationType": "insert"}},
            {"$project": {"fullDocument.job_id": 1}},
        ]
        with self._events.collection.watch(pipeline, max_await_time_ms=1000) as stream:
            while not self._stop.is_set():
                change = stream.try_next()
                if change and self._loop:
                    # A loop that is closed by now has nobody left to wake.
                    with suppress(RuntimeError):
                        self._loop.call_soon_threadsafe(self._wake, change["fullDocument"]["job_id"])

    def _wake(self, job_id: str) -> None:
        for news in self._watchers.get(job_id, ()):
            news.set()
