from __future__ import annotations

import time
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from studio.errors import StudioError
from studio.media_links import MediaLinks
from studio.settings import Settings

KEY = "clients/somebody/artworks/fox/video/v1/film.mp4"
NOON = 1_800_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(time, "time", lambda: float(NOON))
    return monkeypatch


def links(owner_key: str = "a key") -> MediaLinks:
    return MediaLinks(Settings(owner_key=owner_key))  # type: ignore[arg-type]  # pydantic wraps it


def parts(url: str) -> dict[str, str]:
    query = dict(parse_qsl(urlsplit(url).query))
    return {
        "key": unquote(urlsplit(url).path).removeprefix("/media/"),
        "mime": query["t"],
        "expires": query["e"],
        "signature": query["s"],
    }


def seconds_left(given: dict[str, str], by: MediaLinks | None = None) -> int:
    return (by or links()).seconds_left(**given)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("key", [KEY, "public/videos/画 & 伴?#.mp4"])
def test_an_address_says_what_it_was_made_of_and_is_taken_by_every_process(key: str) -> None:
    given = parts(links().url(key, "video/mp4"))
    assert (given["key"], given["mime"]) == (key, "video/mp4")
    assert seconds_left(given) > 600


@pytest.mark.parametrize("past", range(0, 1200, 150))
def test_an_address_stays_the_same_for_a_while_and_lives_long_enough(clock: pytest.MonkeyPatch, past: int) -> None:
    made = {}
    for moment in (NOON + past, NOON + past + 1):
        clock.setattr(time, "time", lambda moment=moment: float(moment))
        made[moment] = links().url(KEY, "video/mp4")
        assert 600 < seconds_left(parts(made[moment])) <= 1200
    assert len(set(made.values())) == 1


def test_an_address_that_has_expired_is_refused(clock: pytest.MonkeyPatch) -> None:
    given = parts(links().url(KEY, "video/mp4"))
    clock.setattr(time, "time", lambda: float(given["expires"]))
    with pytest.raises(StudioError, match="MEDIA_LINK_EXPIRED"):
        seconds_left(given)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "clients/somebody-else/artworks/fox/video/v1/film.mp4"},
        {"mime": "text/html"},
        {"expires": "9999999999"},
        {"expires": "never"},
        {"expires": ""},
        {"signature": ""},
        {"signature": "画"},
        {"signature": "A" * 24},
    ],
)
@pytest.mark.usefixtures("clock")
def test_an_address_that_was_changed_is_refused(changed: dict[str, str]) -> None:
    given = {**parts(links().url(KEY, "video/mp4")), **changed}
    with pytest.raises(StudioError, match="MEDIA_LINK_EXPIRED"):
        seconds_left(given)


@pytest.mark.usefixtures("clock")
def test_an_address_of_another_deployment_is_refused() -> None:
    with pytest.raises(StudioError, match="MEDIA_LINK_EXPIRED"):
        seconds_left(parts(links().url(KEY, "video/mp4")), by=links("another key"))


@pytest.mark.usefixtures("clock")
def test_neither_owner_key_nor_signature_of_one_link_tells_that_of_another() -> None:
    signatures = {parts(links().url(key, "video/mp4"))["signature"] for key in (KEY, KEY + "x", "x")}
    assert len(signatures) == 3
    assert all(len(signature) == 36 for signature in signatures)
