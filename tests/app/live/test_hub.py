"""Watching the log through a hub of its own, on the real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from app.live import Hub, News, hub
from app.live.feed import KEPT
from app.stack.conditions import until
from broker import run_in_transaction
from studio.events import Event, Events
from studio.reads import Read
from studio.records import Document, new_id
from studio.studio import Studio
from tests.product import Product

WITHIN_S = 60.0


class Log:
    """The log of one owner, and a hub that counts how often it is read."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.owner = new_id()
        self.job_id = new_id()
        self.events = CountedEvents(studio)

    def tell(self, times: int = 1, *, job_id: str = "") -> None:
        """Commit events, as a step does."""
        for _ in range(times):
            run_in_transaction(
                self.studio.client,
                lambda session: self.studio.events.append(
                    self.owner, "job", job_id=job_id or self.job_id, data={}, session=session
                ),
            )

    def write(self, first: int, last: int) -> None:
        """Have so many events in the log, without a transaction for each."""
        at = datetime.now(UTC)
        event = {"owner": self.owner, "type": "job", "job_id": self.job_id, "data": {}, "at": at}
        database = self.studio.database
        database["events"].insert_many({**event, "seq": seq} for seq in range(first, last + 1))
        database["event_counters"].update_one({"_id": self.owner}, {"$set": {"seq": last, "at": at}}, upsert=True)

    def forget(self, **query: Any) -> None:
        self.studio.database["events"].delete_many({"owner": self.owner, **query})

    def erase(self) -> None:
        self.forget()
        self.studio.database["event_counters"].delete_one({"_id": self.owner})


class CountedEvents(Events):
    def __init__(self, studio: Studio) -> None:
        super().__init__(studio.database["events"], studio.database["event_counters"], studio.loops)
        self.reads = 0

    def _list(self, query: Document, *, limit: int = 0) -> Read[list[Event]]:
        self.reads += 1
        return super()._list(query, limit=limit)


@pytest.fixture
def log(product: Product) -> Log:
    return Log(product.studio)


def run(log: Log, scenario: Callable[[Hub], Awaitable[None]], kind: type[Hub] = Hub) -> None:
    """Run a scenario with a hub on an event loop of its own."""

    async def play() -> None:
        watched = kind(log.events)
        watched.start()
        try:
            async with asyncio.timeout(2 * WITHIN_S):
                await scenario(watched)
        finally:
            await watched.stop()
            await log.studio.loops.close()

    asyncio.run(play())


class Watcher:
    """Reads along; knows what it was told."""

    def __init__(self, batches: AsyncIterator[list[News]]) -> None:
        self._batches = batches
        self.told: list[News] = []

    @property
    def numbers(self) -> list[int]:
        return [news.event.seq for news in self.told]

    @property
    def types(self) -> list[str]:
        return [news.event.type for news in self.told]

    async def until(self, newest: int) -> list[int]:
        async with asyncio.timeout(WITHIN_S):
            while not self.told or self.told[-1].event.seq < newest:
                self.told += await anext(self._batches)
        return self.numbers

    async def to_its_end(self) -> None:
        async with asyncio.timeout(WITHIN_S):
            async for news in self._batches:
                self.told += news


@asynccontextmanager
async def watching(
    watched: Hub, log: Log, *, after: int | None = None, job_id: str | None = None
) -> AsyncIterator[Watcher]:
    async with aclosing(watched.follow(log.owner, after=after, job_id=job_id)) as batches:
        watcher = Watcher(batches)
        watcher.told += await anext(batches)
        yield watcher


async def listens(watched: Hub) -> None:
    async with asyncio.timeout(WITHIN_S):
        await until(lambda: asyncio.sleep(0, watched._is_listening))


def test_watchers_are_told_each_event_once_and_in_order_and_nothing_is_read_for_it(log: Log) -> None:
    log.tell(3)

    async def scenario(watched: Hub) -> None:
        async with (
            watching(watched, log) as one,
            watching(watched, log) as two,
            watching(watched, log, after=3) as three,
        ):
            assert (one.types, one.numbers) == (["start"], [3])
            await listens(watched)
            read_before = log.events.reads
            await asyncio.to_thread(log.tell, 5)
            for watcher in (one, two):
                assert await watcher.until(8) == [3, 4, 5, 6, 7, 8]
            assert await three.until(8) == [4, 5, 6, 7, 8]
            assert log.events.reads == read_before

    run(log, scenario)


def test_one_who_was_away_for_long_is_told_all_of_it_and_then_what_follows(log: Log) -> None:
    last = 2 * KEPT + 50
    log.write(1, last)

    async def scenario(watched: Hub) -> None:
        async with (
            watching(watched, log, after=0) as watcher,
            watching(watched, log, job_id=log.job_id, after=0) as of_job,
        ):
            await watcher.until(last)
            await of_job.until(last)
            await asyncio.to_thread(log.tell)
            for told in (watcher, of_job):
                assert await told.until(last + 1) == list(range(1, last + 2))

    run(log, scenario)


def test_who_comes_back_at_the_same_time_has_the_log_read_once(log: Log) -> None:
    log.write(1, 20)

    async def scenario(watched: Hub) -> None:
        async def come_back() -> list[int]:
            async with watching(watched, log, after=5) as watcher:
                return await watcher.until(20)

        async with watching(watched, log):
            found = await asyncio.gather(*(come_back() for _ in range(20)))
            assert found == [list(range(6, 21))] * 20
            assert log.events.reads <= 2

    run(log, scenario)


def test_a_job_is_followed_alone(log: Log) -> None:
    log.write(1, 3)

    async def scenario(watched: Hub) -> None:
        async with watching(watched, log, after=0, job_id="another") as watcher:
            await listens(watched)
            await asyncio.to_thread(log.tell)
            await asyncio.to_thread(log.tell, job_id="another")
            assert await watcher.until(5) == [5]

    run(log, scenario)


def test_what_the_stream_fails_to_tell_is_read_from_the_log(log: Log) -> None:
    class Forgetful(Hub):
        async def _take(self, document: Document) -> None:
            if document["seq"] % 3 != 2:
                await super()._take(document)

    async def scenario(watched: Hub) -> None:
        async with watching(watched, log, after=0) as watcher:
            await listens(watched)
            await asyncio.to_thread(log.tell, 7)
            assert await watcher.until(7) == [1, 2, 3, 4, 5, 6, 7]

    run(log, scenario, Forgetful)


def test_without_a_stream_the_log_is_looked_at(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "REOPEN_AFTER_S", 0.1)

    async def refused() -> None:
        raise OperationFailure("The $changeStream stage is only supported on replica sets", 40573)

    monkeypatch.setattr(log.events, "stream", refused)

    async def scenario(watched: Hub) -> None:
        async with watching(watched, log, after=0) as watcher:
            await asyncio.to_thread(log.tell, 2)
            assert await watcher.until(2) == [1, 2]
            await asyncio.to_thread(log.tell, 2)
            assert await watcher.until(4) == [1, 2, 3, 4]

    run(log, scenario)


def test_a_stream_that_breaks_loses_nothing(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "REOPEN_AFTER_S", 0.1)
    # The driver itself takes up a stream after some errors, and not after this one.
    broken = {"failCommands": ["getMore"], "errorCode": 136, "namespace": f"{log.studio.database.name}.events"}

    async def scenario(watched: Hub) -> None:
        async with watching(watched, log, after=0) as watcher:
            await listens(watched)
            admin = log.studio.client.admin
            await asyncio.to_thread(admin.command, "configureFailPoint", "failCommand", mode={"times": 2}, data=broken)
            await asyncio.to_thread(log.tell, 6)
            assert await watcher.until(6) == [1, 2, 3, 4, 5, 6]
            await asyncio.to_thread(admin.command, "configureFailPoint", "failCommand", mode="off")

    run(log, scenario)


def test_events_that_are_no_longer_kept_are_replaced_by_one_that_says_so(log: Log) -> None:
    log.write(1, 10)
    log.forget(seq={"$lte": 7})

    async def scenario(watched: Hub) -> None:
        async with watching(watched, log, after=2) as watcher:
            assert await watcher.until(10) == [7, 8, 9, 10]
            assert watcher.types == ["reset", "job", "job", "job"]
            assert watcher.told[0].event.data == {"after": 2, "from": 8}
        log.forget()
        async with watching(watched, log, after=2) as watcher:
            assert await watcher.until(10) == [10]
            assert watcher.types == ["reset"]
        assert [news.event.seq for news in await watched.missed(log.owner, after=2)] == [10]
        assert await watched.missed(log.owner, after=10) == []

    run(log, scenario)


def test_a_number_from_another_log_starts_anew(log: Log) -> None:
    log.write(1, 3)

    async def scenario(watched: Hub) -> None:
        async with watching(watched, log, after=50) as watcher:
            assert (watcher.types, watcher.numbers) == (["reset"], [3])
            await asyncio.to_thread(log.tell)
            assert await watcher.until(4) == [3, 4]
        assert [news.event.type for news in await watched.missed(log.owner, after=50)] == ["reset"]

    run(log, scenario)


def test_who_watches_when_the_log_is_erased_comes_back_to_the_new_one(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "LOOK_EVERY_S", 0.1)
    log.write(1, 30)

    async def scenario(watched: Hub) -> None:
        async with watching(watched, log, after=30) as watcher:
            await listens(watched)
            await asyncio.to_thread(log.erase)
            await watcher.to_its_end()
            await asyncio.to_thread(log.tell)
        async with watching(watched, log, after=30) as watcher:
            assert (watcher.types, watcher.numbers) == (["reset"], [1])

    run(log, scenario)


def test_who_knows_more_than_this_process_was_told_by_another_one(log: Log) -> None:
    class Deaf(Hub):
        async def _take(self, document: Document) -> None:
            pass

    async def scenario(watched: Hub) -> None:
        async with watching(watched, log):
            await listens(watched)
            await asyncio.to_thread(log.tell, 2)
            async with watching(watched, log, after=2) as watcher:
                assert watcher.told == []

    run(log, scenario, Deaf)


def test_nothing_is_listened_to_while_nobody_watches(log: Log) -> None:
    async def scenario(watched: Hub) -> None:
        assert (watched.watchers, watched._is_listening) == (0, False)
        async with watching(watched, log), watching(watched, log):
            await listens(watched)
            assert watched.watchers == 2
        assert watched.watchers == 0
        async with asyncio.timeout(WITHIN_S):
            await until(lambda: asyncio.sleep(0, not watched._is_listening))
        async with watching(watched, log, after=0) as watcher:
            await asyncio.to_thread(log.tell)
            assert await watcher.until(1) == [1]

    run(log, scenario)


def test_the_end_of_the_process_ends_every_stream(log: Log) -> None:
    async def scenario(watched: Hub) -> None:
        async with watching(watched, log) as watcher:
            await watched.stop()
            await watcher.to_its_end()

    run(log, scenario)


def test_a_quiet_stream_says_something_now_and_then(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "KEEP_ALIVE_S", 0.05)

    async def scenario(watched: Hub) -> None:
        async with aclosing(watched.follow(log.owner, after=0)) as batches:
            assert [await anext(batches) for _ in range(3)] == [[], [], []]

    run(log, scenario)
