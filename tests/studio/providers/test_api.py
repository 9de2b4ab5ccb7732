"""What every service's answers come to, before its own words are looked at."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import httpx
import msgspec
import pytest

from studio.errors import OutcomeUnknown
from studio.providers import Capability, cards
from studio.providers.api import Answer, Api, Meaning, by_status
from studio.settings import Settings

WORDS = b'{"error": {"code": "words"}}'


@pytest.mark.parametrize(
    ("status", "content", "meaning"),
    [
        (200, b"", None),
        (202, b"", None),
        (307, WORDS, Meaning.UNCLEAR),
        (400, WORDS, Meaning.REFUSED),
        (401, WORDS, Meaning.ACCOUNT),
        (402, WORDS, Meaning.SPENT),
        (403, WORDS, Meaning.ACCOUNT),
        (409, WORDS, Meaning.AWAY),
        (413, WORDS, Meaning.REFUSED),
        (429, WORDS, Meaning.BUSY),
        (500, WORDS, Meaning.AWAY),
        (503, WORDS, Meaning.AWAY),
        # From something in between.
        (502, b"<html>", Meaning.UNCLEAR),
        # Somebody has waited for it in vain, and it may be worked on.
        (408, WORDS, Meaning.UNCLEAR),
        (504, WORDS, Meaning.UNCLEAR),
    ],
)
def test_a_status_alone_tells(status: int, content: bytes, meaning: Meaning | None) -> None:
    assert by_status(Answer(status, {}, content)) is meaning


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        # A day's limit is not asked for again every few seconds.
        ({"retry-after": "86400"}, 3600.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_when_to_come_again(headers: dict[str, str], seconds: float | None) -> None:
    assert Answer(429, headers, b"").retry_after_s == seconds


def test_a_service_that_takes_a_drawing_slowly_is_not_waited_for_beyond_the_time_of_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawing, taken = b" " * 32_000_000, [0]

    def take_slowly(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            # Never so slowly that a part of it would be too late.
            while taken[0] < len(drawing) and (part := connection.recv(400_000)):
                taken[0] += len(part)
                Event().wait(0.05)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as service:
        monkeypatch.setenv("FAL_KEY", "key")
        monkeypatch.setenv("PIKA_BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setattr("studio.providers.api.CONNECT_S", 0.5)
        api = Api(cards.load("pika", Settings()), Capability.ANIMATOR, headers=dict, reader=lambda _: None)
        api.offer = msgspec.structs.replace(api.offer, timeout_s=0.5)
        service.submit(take_slowly, listening)
        with pytest.raises(OutcomeUnknown):
            api.buy("POST", "/clips", content=drawing)
    assert taken[0] < len(drawing)


def test_an_answer_that_trickles_in_for_ever_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAL_KEY", "key")
    api = Api(cards.load("pika", Settings()), Capability.ANIMATOR, headers=dict, reader=lambda _: None)
    hours = iter(range(100))
    monkeypatch.setattr("studio.providers.api.time.monotonic", lambda: next(hours) * 3600.0)

    def trickle() -> Iterator[bytes]:
        while True:
            yield b" "

    answering = httpx.MockTransport(lambda _: httpx.Response(200, content=trickle()))
    with httpx.Client(transport=answering) as api.__dict__["_paying_client"], pytest.raises(OutcomeUnknown):
        api.buy("POST", "/fal-ai/pika/v2.2/image-to-video", json={})
