from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from structlog.stdlib import ProcessorFormatter

from app import samples
from app.client import Client
from studio.errors import StudioError
from tests.app.traces import Traces
from tests.app.uploads import put
from tests.product import Product, new_artwork

TITLE = "TheTitleThatNobodyLogs"
STORY = "TheStoryThatNobodyLogs flies over the moon."
VOICE = Path(samples.__file__).parent / "story.ogg"


@pytest.fixture
def lines(product: Product) -> Iterator[io.StringIO]:
    """Everything that is logged meanwhile, from DEBUG up, as the product's own handler writes it."""
    root = logging.getLogger()
    formatters = [handler.formatter for handler in root.handlers if isinstance(handler.formatter, ProcessorFormatter)]
    written, level = io.StringIO(), root.level
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatters[0])
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    root.removeHandler(handler)


def drive(client: Client, http: httpx.Client, drawing: Path) -> str:
    """The whole flow with words that can be told again, and every way to be refused on the way; the job's id."""
    http.post("/init")
    voice = client.upload(VOICE, "audio")["mediaAssetId"]
    artwork = new_artwork(client, drawing, title=TITLE, story=STORY, audioAssetId=voice)
    job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"], "text": STORY})
    assert [event["status"] for event in client.watch(job["jobId"], patience_s=60)][-1] == "succeeded"
    shown = client.get(f"/artworks/{artwork['artworkId']}")
    client._bucket.get(shown["videoUrl"])
    http.get("/gallery")
    http.get(f"/ai/analyses/{artwork['artworkId']}")
    http.post("/media/commit", json=put(client, STORY.encode()))
    http.post("/media/commit", json={"key": STORY})
    http.post("/artworks", json={"title": TITLE * 10, "description": [STORY]})
    http.post("/artworks", content=f'{{"title": "{TITLE}'.encode())
    http.get(f"/artworks/{TITLE}")
    http.get(f"/{TITLE}?story={STORY}")
    http.get("/gallery", params={"cursor": TITLE, "limit": STORY})
    return str(job["jobId"])


@pytest.mark.usefixtures("worker")
def test_no_line_tells_words_ids_keys_or_addresses(
    client: Client, http: httpx.Client, drawing: Path, lines: io.StringIO, traces: Traces
) -> None:
    job_id = drive(client, http, drawing)
    # What the test's own client and the test's web server log is not the product's; `huaban api` turns the latter off.
    logged = [line for line in map(json.loads, lines.getvalue().splitlines()) if not ours_to_test(line["logger"])]
    assert any(line.get("job_id") == job_id for line in logged), "the worker's lines are here"
    assert any(line["event"] == "request" and line.get("route") == "/artworks/{artwork_id}" for line in logged)
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in logged)
    for secret in (TITLE, "TheStoryThat", http.headers["x-client-id"], "X-Amz-Signature", "clients/", traces.owner):
        assert secret not in text


def ours_to_test(logger: str) -> bool:
    return logger.startswith(("httpx", "httpcore", "uvicorn.access"))


@pytest.mark.usefixtures("worker")
def test_every_line_of_a_job_carries_the_id_of_the_request_that_asked_for_it(
    client: Client, http: httpx.Client, drawing: Path, lines: io.StringIO
) -> None:
    artwork = new_artwork(client, drawing)
    headers = {"X-Request-Id": "asked-for-by-this"}
    job = http.post("/generation/jobs", json={"artworkId": artwork["artworkId"]}, headers=headers).json()
    for _ in client.watch(job["jobId"], patience_s=60):
        pass
    logged = [json.loads(line) for line in lines.getvalue().splitlines()]
    steps = [line for line in logged if line.get("job_id") == job["jobId"]]
    assert {line["step"] for line in steps} == {step["name"] for step in job["steps"]}
    assert {line["request_id"] for line in steps} == {"asked-for-by-this"}


def test_an_unexpected_error_tells_where_and_not_what(
    http: httpx.Client, product: Product, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise RuntimeError(STORY) from StudioError("NO_STORY")

    monkeypatch.setattr(product.studio.artworks, "get", stumble)
    answer = http.get("/artworks/some-id")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert STORY not in answer.text + lines.getvalue()
    line = next(line for line in map(json.loads, lines.getvalue().splitlines()) if line["event"] == "unexpected")
    assert line["exception"] == "RuntimeError"
    assert line["request_id"] == answer.headers["x-request-id"]
    assert any("stumble" in place for place in line["at"])
