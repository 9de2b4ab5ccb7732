"""`POST /upload` and `GET /images`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.client import Client
from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.app.uploads import picture
from tests.product import new_client
from tests.studio import made


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go; nothing may stay there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def sent(http: httpx.Client, content: bytes, field: str = "file", **fields: str) -> httpx.Response:
    return http.post("/upload", files={field: ("../../a name.png", content, "text/html")}, data=fields)


@pytest.mark.usefixtures("temporary")
def test_a_file_that_is_sent_as_a_form_becomes_an_asset(http: httpx.Client, client: Client, traces: Traces) -> None:
    answer = sent(http, picture())
    assert answer.status_code == 201
    asset = answer.json()
    assert (asset["kind"], asset["mime"], asset["width"], asset["height"]) == ("image", "image/png", 64, 48)
    assert (asset["success"], asset["image_path"], asset["image_url"]) == (True, asset["key"], asset["url"])
    assert asset["data"] == {"image_path": asset["key"], "image_url": asset["url"]}
    assert client._bucket.get(asset["url"]).content == traces.read(asset["key"])
    assert traces.keys() == [asset["key"]]
    (stored,) = traces.documents("media_assets")
    assert len(stored["hash"]) == 64


def test_the_bytes_tell_what_a_file_is_when_nothing_else_does(http: httpx.Client, tmp_path: Path) -> None:
    recording = made.wav(tmp_path / "a.wav", made.tone(0.5)).read_bytes()
    film = made.clip(tmp_path / "a.mp4").read_bytes()
    for content, field, fields, kind in (
        (recording, "file", {}, "audio"),
        (film, "file", {}, "video"),
        (film, "video", {}, "video"),
        (recording, "file", {"type": "audio"}, "audio"),
        (picture(), "image", {"type": ""}, "image"),
    ):
        asset = sent(http, content, field, **fields).json()
        assert (asset["kind"], asset["image_path"] is not None) == (kind, kind == "image")


@pytest.mark.parametrize(
    ("field", "fields", "symbol"),
    [("audio", {}, "KIND_MISMATCH"), ("file", {"type": "video"}, "KIND_MISMATCH")],
)
@pytest.mark.usefixtures("temporary")
def test_a_file_that_is_not_what_it_is_called_is_refused(
    http: httpx.Client, traces: Traces, field: str, fields: dict[str, str], symbol: str
) -> None:
    problem_of(sent(http, picture(), field, **fields), symbol)
    assert traces.keys() == []


@pytest.mark.parametrize("content", [b"", b"\0", b"this is nothing", b"\x89PNG\r\n\x1a\n"])
@pytest.mark.usefixtures("temporary")
def test_what_is_no_media_is_refused(http: httpx.Client, traces: Traces, content: bytes) -> None:
    assert sent(http, content).status_code in {415, 422}
    assert sent(http, content, "image").json()["code"] == "IMAGE_UNREADABLE"
    assert traces.keys() == []
    assert traces.documents("media_assets") == []


def form(*parts: str, end: str = "--x--\r\n") -> bytes:
    return ("".join(f"--x\r\n{part}\r\n" for part in parts) + end).encode()


FILE = 'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\nbytes'


@pytest.mark.parametrize(
    ("body", "content_type", "field"),
    [
        (b"", "multipart/form-data; boundary=x", "body"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", "file"),
        (form(FILE), "multipart/form-data", "body"),
        (form(FILE), "application/json", "body"),
        (form(FILE, end=""), "multipart/form-data; boundary=x", "body"),
        (form(FILE, FILE), "multipart/form-data; boundary=x", "file"),
        (form(FILE, *30 * [FILE.replace("file", "odd")]), "multipart/form-data; boundary=x", "body"),
        (form(FILE.replace("name=", "nom=")), "multipart/form-data; boundary=x", "file"),
        (form(FILE, FILE.replace("file", "type")), "multipart/form-data; boundary=x", "type"),
        (form(FILE, FILE.replace("file", "artworkId").replace("bytes", "../x")), "multipart/form-data; boundary=x",
         "artworkId"),
        (form(FILE, FILE.replace("file", "artworkId").replace("bytes", "x" * 201)), "multipart/form-data; boundary=x",
         "artworkId"),
        (form(FILE, FILE.replace("file", "type")).replace(b"\r\n\r\nbytes", b"\r\n\r\n\xff"),
         "multipart/form-data; boundary=x", "body"),
        (form("Content-Disposition: attachment\r\n\r\nx"), "multipart/form-data; boundary=x", "body"),
        (form("no header\r\n\r\nx"), "multipart/form-data; boundary=x", "body"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("temporary")
def test_what_is_no_form_with_one_file_is_refused(
    http: httpx.Client, traces: Traces, body: bytes, content_type: str, field: str
) -> None:
    answer = http.post("/upload", content=body, headers={"Content-Type": content_type})
    problem = problem_of(answer, "INVALID_INPUT")
    assert [error["field"] for error in problem["errors"]] == [field]
    assert traces.keys() == []


def test_fields_that_nobody_knows_are_ignored_up_to_a_limit(http: httpx.Client) -> None:
    assert sent(http, picture(), mime="image/png", note="x" * 10_000).status_code == 201
    problem_of(sent(http, picture(), note="x" * 70_000), "BODY_TOO_LARGE")


@pytest.mark.usefixtures("temporary")
def test_a_file_over_the_limit_is_refused_before_it_is_read(http: httpx.Client, traces: Traces) -> None:
    problem = problem_of(sent(http, bytes(10_100_000)), "FILE_TOO_LARGE")
    assert "10000000" in problem["message"]

    def endless() -> Iterator[bytes]:
        yield form(FILE, end="")[:-2]
        for _ in range(11):
            yield bytes(1_000_000)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    problem_of(http.post("/upload", content=endless(), headers=headers), "FILE_TOO_LARGE")
    assert traces.keys() == []


def test_a_file_goes_to_the_folder_of_its_artwork_and_to_nobody_elses(http: httpx.Client, web: str) -> None:
    artwork_id = http.post("/artworks", json={}).json()["artworkId"]
    assert sent(http, picture(), artworkId=artwork_id).json()["artworkId"] == artwork_id
    with new_client(web) as stranger:
        problem_of(sent(stranger._api, picture(), artworkId=artwork_id), "NOT_FOUND")


def test_a_form_needs_a_client(web: str) -> None:
    problem_of(httpx.post(f"{web}/upload", files={"file": picture()}), "CLIENT_ID_REQUIRED")


def test_pictures_are_listed_newest_first_page_by_page(http: httpx.Client, web: str, tmp_path: Path) -> None:
    assert http.get("/images").json() == {"items": [], "nextCursor": None}
    keys = [sent(http, picture(20 + n)).json()["key"] for n in range(5)]
    sent(http, made.wav(tmp_path / "a.wav", made.tone(0.2)).read_bytes())

    def page(**query: Any) -> Any:
        return http.get("/images", params=query).json()

    first = page(limit=2)
    sent(http, picture(99))
    second = page(limit=2, cursor=first["nextCursor"])
    third = page(limit=2, cursor=second["nextCursor"])
    assert third["nextCursor"] is None
    found = [item["key"] for one in (first, second, third) for item in one["items"]]
    assert found == keys[::-1]
    assert first["items"][0]["url"].startswith(f"{web}/media/clients/")
    problem_of(http.get("/images", params={"cursor": "x"}), "CURSOR_INVALID")
    problem_of(http.get("/images", params={"limit": 0}), "INVALID_INPUT")
    with new_client(web) as stranger:
        assert stranger.get("/images")["items"] == []
