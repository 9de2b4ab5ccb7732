from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.client import Client
from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.app.uploads import picture

WANTED = {"type": "image", "mime": "image/png", "size": 100}


def presign(http: httpx.Client, **changed: Any) -> httpx.Response:
    return http.post("/upload/presign", json={**WANTED, **changed})


@pytest.mark.parametrize("size", [0, -1, 1.5, True, None, "many", [1]])
def test_a_size_that_is_no_number_of_bytes_is_refused(http: httpx.Client, size: object) -> None:
    problem = problem_of(presign(http, size=size), "INVALID_INPUT")
    assert [error["field"] for error in problem["errors"]] == ["size"]


@pytest.mark.parametrize(
    ("kind", "mime", "most"),
    [("image", "image/png", 20_000_000), ("audio", "audio/mpeg", 20_000_000), ("video", "video/mp4", 200_000_000)],
)
def test_size_is_limited_by_kind(http: httpx.Client, kind: str, mime: str, most: int) -> None:
    assert presign(http, type=kind, mime=mime, size=most).status_code == 201
    problem = problem_of(presign(http, type=kind, mime=mime, size=most + 1), "FILE_TOO_LARGE")
    assert str(most) in problem["message"]


def test_a_size_beyond_every_number_is_just_too_large(http: httpx.Client) -> None:
    problem_of(presign(http, size=10**30), "FILE_TOO_LARGE")


@pytest.mark.parametrize(
    ("kind", "mime"),
    [("image", "image/gif"), ("image", "video/mp4"), ("audio", "image/png"), ("video", "audio/mpeg"), ("image", "a/b")],
)
def test_a_type_that_its_kind_does_not_take_is_refused(http: httpx.Client, kind: str, mime: str) -> None:
    problem_of(presign(http, type=kind, mime=mime), "MIME_NOT_SUPPORTED")


@pytest.mark.parametrize("mime", ["audio/webm;codecs=opus", 'audio/webm; codecs="opus"', "AUDIO/WEBM"])
def test_a_type_may_have_parameters_and_is_signed_as_sent(http: httpx.Client, mime: str) -> None:
    door = presign(http, type="audio", mime=mime).json()
    assert door["headers"]["Content-Type"] == mime
    assert door["key"].endswith(".webm")


@pytest.mark.parametrize("mime", ["image/png\n", "image/png; a\r\nX-Evil: 1", "image/png; 画", "image", "/", "画/画"])
def test_a_type_that_no_header_can_carry_is_refused(http: httpx.Client, mime: str) -> None:
    problem_of(presign(http, mime=mime), "INVALID_INPUT")


@pytest.mark.parametrize("artwork_id", ["../../x", "a/b", "..", "a\0", "a\n", "画", "", "x" * 65, "%2e%2e"])
def test_an_artwork_id_cannot_lead_out_of_its_folder(http: httpx.Client, artwork_id: str) -> None:
    problem_of(presign(http, artworkId=artwork_id), "INVALID_INPUT")


def test_an_upload_for_an_artwork_goes_to_its_folder(http: httpx.Client) -> None:
    artwork_id = http.post("/artworks", json={}).json()["artworkId"]
    door = presign(http, artworkId=artwork_id).json()
    assert f"/artworks/{artwork_id}/" in door["key"]
    assert door["artworkId"] == artwork_id


def test_no_key_tells_the_client_id(http: httpx.Client, traces: Traces) -> None:
    door = presign(http).json()
    assert door["key"].startswith(f"clients/{traces.owner}/artworks/")
    assert http.headers["x-client-id"] not in door["url"]


def test_an_address_lives_as_long_as_it_says(http: httpx.Client) -> None:
    door = presign(http).json()
    assert parse_qs(urlsplit(door["url"]).query)["X-Amz-Expires"] == [str(door["expiresInS"])] == ["600"]


@pytest.mark.parametrize(
    ("mime", "content"), [("image/png", picture() + b"1"), ("image/png", picture()[:-1]), ("text/html", picture())]
)
def test_the_bucket_takes_only_what_was_announced(
    client: Client, http: httpx.Client, traces: Traces, mime: str, content: bytes
) -> None:
    door = presign(http, size=len(picture())).json()
    assert client._bucket.put(door["url"], content=content, headers={"Content-Type": mime}).status_code >= 400
    assert traces.keys() == []


def test_all_uploads_of_a_new_artwork_go_to_one_folder(http: httpx.Client) -> None:
    first = presign(http).json()
    second = presign(http, type="audio", mime="audio/webm", artworkId=first["artworkId"]).json()
    assert second["artworkId"] == first["artworkId"]
    assert second["key"].partition("/upload/")[0] == first["key"].partition("/upload/")[0]


@pytest.mark.parametrize("artwork_id", ["made-up", "x" * 21, "x" * 23])
def test_an_artwork_id_that_we_never_made_is_not_found(http: httpx.Client, artwork_id: str) -> None:
    problem_of(presign(http, artworkId=artwork_id), "NOT_FOUND")
    problem_of(http.post("/artworks", json={"artworkId": artwork_id}), "NOT_FOUND")
