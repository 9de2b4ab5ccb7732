from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from structlog.stdlib import ProcessorFormatter

from app import samples
from app.client import Client
from app.openapi.parameters import camel
from studio.errors import StudioError
from studio.providers import Heard
from studio.providers.local_transcriber import LocalTranscriber
from tests.app.described import call_of, operations
from tests.app.traces import Traces
from tests.app.uploads import picture, put
from tests.product import Product, new_artwork
from tests.waiting import eventually

TITLE = "TheTitleThatNobodyLogs"
STORY = "TheStoryThatNobodyLogs flies over the moon."
HEARD = "TheTranscriptThatNobodyLogs"
FILE_NAME = "TheFileNameThatNobodyLogs.png"
MARKS = ("TheTitleThat", "TheStoryThat", "TheTranscriptThat", "TheFileNameThat")
VOICE = Path(samples.__file__).parent / "story.ogg"
# What opens something to whoever has it: signatures of both kinds of addresses, tokens and tickets.
_KEYS = re.compile(r"[?&]s=([\w-]{20,})|X-Amz-Signature=(\w+)|(eyJ[\w-]+\.[\w-]+\.[\w-]+)")


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


def drive(client: Client, http: httpx.Client, drawing: Path) -> dict[str, str]:
    """The whole flow with words that can be told again, and every way to be refused on the way; things by name."""
    http.post("/init")
    voice = client.upload(VOICE, "audio")["mediaAssetId"]
    artwork = new_artwork(client, drawing, title=TITLE, story="", audioAssetId=voice)
    job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
    assert [event["status"] for event in client.watch(job["jobId"], patience_s=60)][-1] == "succeeded"
    shown = client.get(f"/artworks/{artwork['artworkId']}")
    assert shown["transcript"] == HEARD
    client._bucket.get(shown["videoUrl"])
    again = client.post("/generation/jobs", {"artworkId": artwork["artworkId"], "text": STORY})
    assert [event["status"] for event in client.watch(again["jobId"], patience_s=60)][-1] == "succeeded"
    http.post("/media/commit", json=put(client, STORY.encode()))
    http.post("/media/commit", json={"key": STORY})
    http.post("/artworks", json={"title": TITLE * 10, "description": [STORY]})
    http.post("/artworks", content=f'{{"title": "{TITLE}'.encode())
    http.get(f"/{TITLE}?story={STORY}")
    http.get("/gallery", params={"cursor": TITLE, "limit": STORY})
    export = client.post("/api/v1/privacy/export")
    eventually(lambda: client.get("/api/v1/privacy/export")["status"] == "ready")
    key = urlsplit(shown["coverUrl"]).path.removeprefix("/media/")
    return {"artworkId": artwork["artworkId"], "jobId": job["jobId"], "key": key, "exportId": export["exportId"]}


def call_everything(http: httpx.Client, things: dict[str, str]) -> set[tuple[str, str]]:
    """Call each operation of the API with words that can be told again wherever there is room for words.

    Once with ids of the client's own, and once with words in their places; what takes things away comes last. Returns
    what was called.
    """
    found = sorted(operations(http.get("/schema/openapi.json").json()), key=lambda one: one.method == "DELETE")
    for operation in found:
        for known in (things, {}):
            named = {slot: known.get(slot.name, TITLE) for slot in operation.slots}
            sent = call_of(operation, named)
            sent["params"] = {**sent.get("params", {}), "q": STORY, "title": TITLE}
            if "json" in sent:
                sent["json"] = {**sent["json"], "title": TITLE, "description": STORY, "text": STORY, "nickname": TITLE}
            if "files" in sent:
                sent["files"] = {name: (FILE_NAME, picture()) for name in sent["files"]}
            # An event stream has no end.
            with http.stream(**sent) as answer:
                if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                    answer.read()
    return {(operation.method, operation.path) for operation in found}


@pytest.mark.usefixtures("worker")
def test_no_line_tells_words_ids_keys_or_addresses(
    client: Client, drawing: Path, lines: io.StringIO, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = client._api
    monkeypatch.setattr(import_module("actors.erase_client"), "LOOK_AGAIN_MS", 100)
    monkeypatch.setattr(LocalTranscriber, "transcribe", lambda *_, **__: Heard(HEARD))
    answers: list[str] = []
    for one in (http, client._bucket):
        one.event_hooks["response"].append(lambda answer: answers.append(told_by(answer)))
    things = drive(client, http, drawing)
    called = call_everything(http, things)
    receipt_id = http.delete("/api/v1/privacy/data").json()["receiptId"]
    eventually(lambda: http.get(f"/api/v1/privacy/receipts/{receipt_id}").json()["status"] == "erased")
    # What the test's own client and the test's web server log is not the product's; `huaban api` turns the latter off.
    logged = [line for line in map(json.loads, lines.getvalue().splitlines()) if not ours_to_test(line["logger"])]
    assert any(line.get("job_id") == things["jobId"] for line in logged), "the worker's lines are here"
    routes = {(line["method"], line["route"]) for line in logged if line["event"] == "request"}
    assert len(called) > 20
    logged_routes = {(method, camel(re.sub(r":\w+", "", route))) for method, route in routes}
    assert {(method, camel(path)) for method, path in called} <= logged_routes, "every operation was called"
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in logged)
    keys = {next(filter(None, match)) for answer in answers for match in _KEYS.findall(answer)}
    assert len(keys) > 10
    for secret in (*MARKS, http.headers["x-client-id"], "X-Amz-Signature", "clients/", traces.owner, *keys):
        assert secret not in text


def told_by(answer: httpx.Response) -> str:
    """What was asked and answered, but for streams."""
    kind = answer.headers.get("content-type", "")
    is_text = kind.startswith("application/") and "json" in kind
    return f"{answer.request.url} {answer.headers.get('location', '')} {answer.read().decode() if is_text else ''}"


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
