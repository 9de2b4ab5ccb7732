"""One change stream per web process, and the feeds that it fills for those who watch.

A watcher says the number of the last event it knows and is told all that follow, each once and in order. What it is
told comes from a feed in memory; only a watcher who was away for longer than the feed reaches back has the log read for
it. The stream is what makes this quick. That nothing is missed follows from the numbers alone: they have no gaps, and
every few seconds one command compares the feeds with the counters in the database. So a stream that broke, and one that
cannot be opened, cost time and no event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import structlog
from pymongo.errors import PyMongoError

from app.live.feed import Feed
from app.live.news import News
from app.live.shared import Shared
from studio.events import Event, Events, read_event
from studio.records import Document

log = structlog.get_logger("app")

KEEP_ALIVE_S = 10.0
"""Something is said on a quiet stream this often, so that no proxy closes it."""
LOOK_EVERY_S = 5.0
REOPEN_AFTER_S = 1.0
PAGE = 128
"""How many events are read from the log at a time."""


class Hub:
    """Tells watchers of what is committed to the event log. Belongs to the event loop that it is started on."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._feeds: dict[str, Feed] = {}
        self._shared = Shared()
        self._is_listening = False
        self._running: list[asyncio.Task[None]] = []

    @property
    def watchers(self) -> int:
        return sum(feed.watchers for feed in self._feeds.values())

    def start(self) -> None:
        # The driver may swallow a cancellation, so both tasks look at this too.
        self._is_stopping = False
        # Set while anybody watches. Made here, because it belongs to the event loop.
        self._is_watched = asyncio.Event()
        self._running = [asyncio.create_task(self._listen_on()), asyncio.create_task(self._look_on())]

    async def stop(self) -> None:
        """End all that watch. They come back with the number of the last event they know, to whoever serves then."""
        self._is_stopping = True
        for feed in self._feeds.values():
            feed.end()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def follow(
        self, owner: str, *, after: int | None, job_id: str | None = None
    ) -> AsyncGenerator[list[News], None]:
        """What happens after event number `after`, of one job if it is named, in order and each event once.

        The first list comes at once, an empty one when nothing was missed; further empty ones say every KEEP_ALIVE_S
        that all is well. Without `after` it begins with an event of type `start`, whose number says where. When events
        that were asked for are no longer there, or their numbers are from another log, an event of type `reset` comes
        in their place. Ends when the watcher should come back. Raises PyMongoError.
        """
        async with self._joined(owner) as feed:
            position, told = await self._arrive(feed, after, wants_all=job_id is None)
            quiet_s = 0.0
            while not feed.is_over:
                changed = feed.changed
                news, position = await self._next(feed, position, job_id)
                told += [one for one in news if job_id in {None, one.event.job_id}]
                if told or (position == feed.newest and not await _within(quiet_s, changed)):
                    yield told
                    told, quiet_s = [], KEEP_ALIVE_S

    async def missed(self, owner: str, *, after: int | None) -> list[News]:
        """What `follow` would tell at once, PAGE events at most. Raises PyMongoError."""
        newest = await self._events.newest(owner)
        if after is None:
            return [_start(owner, newest)]
        if after > newest:
            return [_reset(owner, after, newest)]
        news, _ = await self._from_log(owner, None, after=after, up_to=newest)
        return news

    @asynccontextmanager
    async def _joined(self, owner: str) -> AsyncIterator[Feed]:
        feed = self._feeds.get(owner)
        if feed is None:
            feed = self._feeds[owner] = Feed(owner)
        feed.watchers += 1
        self._is_watched.set()
        try:
            if feed.floor is None:
                feed.begin(await self._shared.answer(owner, partial(self._newest, owner)))
            yield feed
        finally:
            feed.watchers -= 1
            if not feed.watchers:
                self._drop(feed)

    async def _arrive(self, feed: Feed, after: int | None, *, wants_all: bool) -> tuple[int, list[News]]:
        """Where a watcher begins, and what it is told first."""
        if after is None:
            return feed.newest, [_start(feed.owner, feed.newest)]
        if after > feed.newest:
            # The watcher may have been told by another process, whose stream is ahead of ours.
            await self._look()
        if after > feed.newest:
            return feed.newest, [_reset(feed.owner, after, feed.newest)] if wants_all else []
        return after, []

    async def _next(self, feed: Feed, position: int, job_id: str | None) -> tuple[list[News], int]:
        """What follows `position`, and the position after it."""
        news = feed.after(position)
        if news is None:
            return await self._from_log(feed.owner, job_id, after=position, up_to=feed.newest)
        return news, feed.newest

    async def _from_log(self, owner: str, job_id: str | None, *, after: int, up_to: int) -> tuple[list[News], int]:
        question = (owner, job_id, after, up_to)
        news = await self._shared.answer(question, partial(self._read, owner, job_id, after=after, up_to=up_to))
        if job_id is not None:
            return news, up_to
        position = news[-1].event.seq if len(news) == PAGE else up_to
        oldest = news[0].event.seq if news else up_to + 1
        if oldest > after + 1 and after < up_to:
            # The log is kept for a while, and what this watcher missed first is older.
            news = [_reset(owner, after, oldest - 1), *news]
        return news, position

    async def _read(self, owner: str, job_id: str | None, *, after: int, up_to: int) -> list[News]:
        if job_id is None:
            events = await self._events.list_after(owner, after, up_to=up_to, limit=PAGE)
        else:
            events = await self._events.list_of_job(job_id, after=after, up_to=up_to)
        return [News(event) for event in events]

    async def _newest(self, owner: str) -> int:
        return await self._events.newest(owner)

    async def _listen_on(self) -> None:
        while not self._is_stopping:
            await self._is_watched.wait()
            try:
                await self._listen()
            except PyMongoError as error:
                log.warning("live_stream_broke", reason=type(error).__name__)
            except Exception:
                log.exception("live_stream_failed")
            else:
                continue
            await asyncio.sleep(REOPEN_AFTER_S)

    async def _listen(self) -> None:
        """Fill the feeds while somebody watches."""
        async with await self._events.stream() as stream:
            try:
                self._is_listening = True
                # What came before the stream was open is not in it.
                await self._look()
                while self._is_watched.is_set() and not self._is_stopping:
                    change = await stream.try_next()
                    if change:
                        await self._take(change["fullDocument"])
            finally:
                self._is_listening = False

    async def _take(self, document: Document) -> None:
        feed = self._feeds.get(document["owner"])
        if feed and not feed.take(News(read_event(document))):
            await self._catch_up(feed)

    async def _look_on(self) -> None:
        while not self._is_stopping:
            await self._is_watched.wait()
            await asyncio.sleep(LOOK_EVERY_S if self._is_listening else REOPEN_AFTER_S)
            try:
                await self._look()
            except PyMongoError as error:
                log.warning("live_look_failed", reason=type(error).__name__)
            except Exception:
                log.exception("live_look_failed")

    async def _look(self) -> None:
        """Compare the feeds with the log, and read what they lack."""
        known = {owner: feed.newest for owner, feed in self._feeds.items() if feed.floor is not None}
        newest = await self._events.newest_of(list(known)) if known else {}
        for owner, before in known.items():
            feed, now = self._feeds.get(owner), newest.get(owner, 0)
            if feed and now < before:
                # Numbers only grow. This is another log: everything of the owner was erased.
                self._drop(feed)
            elif feed and now > feed.newest:
                await self._catch_up(feed)

    async def _catch_up(self, feed: Feed) -> None:
        """Read what a feed lacks from the log."""
        while not feed.is_over:
            events = await self._events.list_after(feed.owner, feed.newest, limit=PAGE)
            if not all(feed.take(News(event)) for event in events):
                self._drop(feed)
            if len(events) < PAGE:
                return

    def _drop(self, feed: Feed) -> None:
        feed.end()
        if self._feeds.get(feed.owner) is feed:
            del self._feeds[feed.owner]
        if not self._feeds:
            self._is_watched.clear()


def _start(owner: str, newest: int) -> News:
    return _told_here(owner, "start", newest, {})


def _reset(owner: str, after: int, seq: int) -> News:
    """In place of the events from `after` to `seq`."""
    return _told_here(owner, "reset", seq, {"after": after, "from": seq + 1})


def _told_here(owner: str, kind: str, seq: int, data: dict[str, int]) -> News:
    return News(Event(owner=owner, seq=seq, type=kind, job_id="", data=data, at=datetime.now(UTC)))


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
