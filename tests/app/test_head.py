from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from app.client import Client
from tests.app.problems import problem_of
from tests.product import new_artwork


@pytest.mark.parametrize("path", ["/gallery", "/healthz", "/", "/page/page.js"])
def test_head_answers_like_get_without_the_body(http: httpx.Client, path: str) -> None:
    got, head = http.get(path), http.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    for name in ("content-type", "content-length", "cache-control", "etag"):
        assert head.headers.get(name) == got.headers.get(name), name


def test_head_of_what_is_not_there_or_not_read_is_refused(http: httpx.Client) -> None:
    assert http.head("/artworks/no-such-artwork").status_code == 404
    assert http.head("/nowhere").status_code == 404
    assert http.head("/artworks").status_code == 405
    problem_of(http.get("/artworks"), "METHOD_NOT_ALLOWED")


def test_head_of_a_stream_that_has_not_ended_ends(client: Client, http: httpx.Client, drawing: Path) -> None:
    artwork = new_artwork(client, drawing)
    job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
    head = http.head(f"/generation/jobs/{job['jobId']}/events", timeout=60)
    assert head.status_code == 200
    assert head.headers["content-type"].startswith("text/event-stream")
