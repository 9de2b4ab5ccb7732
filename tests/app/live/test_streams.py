from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from app.live import EventStream, News, streams
from app.stack.conditions import until
from studio.events import Event

Message = dict[str, Any]


def news(seq: int) -> News:
    return News(Event(owner="o", seq=seq, type="job", job_id="j", data={}, at=datetime.now(UTC)))


class Connection:
    """What a server does for one request. It stops taking anything after `takes` messages."""

    def __init__(self, *, takes: int = 1000) -> None:
        self.sent: list[Message] = []
        self.gone = asyncio.Event()
        self._takes = takes

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if len(self.sent) == self._takes:
            await asyncio.Event().wait()
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


class Batches:
    """Tells what it is given, then waits or raises. Knows whether it was closed."""

    def __init__(self, *batches: list[News], then: Exception | None = None, waits: bool = False) -> None:
        self._batches = batches
        self._then = then
        self._waits = waits
        self.is_closed = False

    async def __call__(self) -> AsyncGenerator[list[News], None]:
        try:
            for batch in self._batches:
                yield batch
            if self._waits:
                await asyncio.Event().wait()
            if self._then:
                raise self._then
        finally:
            self.is_closed = True


def serve(batches: Batches, connection: Callable[[], Connection], *, leaves: bool = False) -> Connection:
    async def scenario() -> Connection:
        served = connection()
        stream = EventStream(batches(), lambda one: b"<%d>" % one.event.seq)
        answer: Callable[..., Awaitable[None]] = stream.to_asgi_response()
        serving = asyncio.create_task(asyncio.wait_for(answer({}, served.receive, served.send), 10))
        if leaves:
            await until(lambda: asyncio.sleep(0, len(served.sent) == 2))
            served.gone.set()
        await serving
        return served

    return asyncio.run(scenario())


def test_a_stream_tells_all_and_ends() -> None:
    batches = Batches([], [news(1), news(2)], [news(3)])
    connection = serve(batches, Connection)
    assert connection.body == b": still here\n\n<1><2><3>"
    assert [message.get("more_body") for message in connection.sent] == [None, True, True, True, False]
    assert batches.is_closed


def test_who_leaves_is_forgotten_at_once() -> None:
    batches = Batches([news(1)], waits=True)
    serve(batches, Connection, leaves=True)
    assert batches.is_closed


def test_who_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SEND_WITHIN_S", 0.05)
    batches = Batches([news(1)], [news(2)], waits=True)
    connection = serve(batches, lambda: Connection(takes=2))
    assert connection.body == b"<1>"
    assert batches.is_closed


def test_what_fails_before_the_stream_begins_is_an_answer_of_its_own() -> None:
    batches = Batches(then=AutoReconnect())
    with pytest.raises(AutoReconnect):
        serve(batches, Connection)


def test_what_fails_later_ends_the_stream() -> None:
    batches = Batches([news(1)], then=AutoReconnect())
    connection = serve(batches, Connection)
    assert connection.body == b"<1>"
    assert batches.is_closed
