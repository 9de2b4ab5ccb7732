"""What every service's answers come to, before its own words are looked at."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
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
        (409, b"<html>", Meaning.UNCLEAR),
        (413, WORDS, Meaning.REFUSED),
        (429, WORDS, Meaning.BUSY),
        # Too much load is told before any work.
        (503, WORDS, Meaning.AWAY),
        (529, WORDS, Meaning.AWAY),
        # A fault may come in the middle of it, and nobody says that it is not charged then.
        (500, WORDS, Meaning.UNCLEAR),
        (502, WORDS, Meaning.UNCLEAR),
        # From something in between.
        (503, b"<html>", Meaning.UNCLEAR),
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
