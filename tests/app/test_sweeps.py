"""What is cleared away of uploads that nobody committed, and of objects that belong to nothing."""

from __future__ import annotations

import re
from pathlib import Path

import dramatiq
import httpx
import pytest

from app.client import Client
from studio import uploads
from studio.keys import object_key
from studio.orphans import sweep_orphans
from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.app.uploads import picture, put
from tests.product import Product, new_artwork
from tests.waiting import eventually

ANY_AGE_S = -60.0
HOUR_S = 3600.0


def test_an_upload_is_known_until_it_is_committed(client: Client, traces: Traces) -> None:
    body = put(client, picture())
    (announced,) = traces.documents("uploads")
    assert (announced["key"], announced["size"], announced["mime"]) == (body["key"], body["size"], "image/png")
    client.post("/media/commit", body)
    assert traces.documents("uploads") == []


def test_an_upload_that_nobody_committed_is_swept_with_its_bytes(
    client: Client, http: httpx.Client, traces: Traces, product: Product
) -> None:
    body = put(client, picture())
    never_put = client.post("/upload/presign", {"type": "audio", "mime": "audio/webm", "size": 10})
    uploads.sweep(product.studio, HOUR_S)
    assert len(traces.documents("uploads")) == 2
    assert uploads.sweep(product.studio, ANY_AGE_S) >= 2
    assert uploads.sweep(product.studio, ANY_AGE_S) == 0
    assert traces.keys() == []
    assert traces.documents("uploads") == []
    for key in (body["key"], never_put["key"]):
        problem_of(http.post("/media/commit", json={"key": key}), "UPLOAD_NOT_FOUND")
    traces.replace(body["key"], picture())
    problem_of(http.post("/media/commit", json=body), "UPLOAD_NOT_FOUND")


def test_an_upload_that_is_swept_while_it_is_committed_is_gone(
    client: Client, http: httpx.Client, traces: Traces, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = put(client, picture())
    upload = product.studio.objects.upload

    def swept_meanwhile(path: Path, key: str, *, mime: str) -> object:
        uploads.sweep(product.studio, ANY_AGE_S)
        return upload(path, key, mime=mime)

    monkeypatch.setattr(product.studio.objects, "upload", swept_meanwhile)
    problem_of(http.post("/media/commit", json=body), "UPLOAD_NOT_FOUND")
    assert traces.documents("media_assets") == []
    assert sweep_orphans(product.studio, ANY_AGE_S).removed >= 1
    assert traces.keys() == []


def test_only_what_belongs_to_nothing_is_swept(
    client: Client, traces: Traces, product: Product, drawing: Path, worker: dramatiq.Worker
) -> None:
    artwork = new_artwork(client, drawing)
    job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
    assert list(client.watch(job["jobId"]))[-1]["status"] == "succeeded"
    product.service.behave("fails")
    failed = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})
    assert list(client.watch(failed["jobId"]))[-1]["status"] == "failed"
    waiting = put(client, picture())
    committed = put(client, picture())
    asset = client.post("/media/commit", committed)
    # A still of the film, and a small copy of each of three pictures.
    eventually(lambda: len(re.findall("/thumb/", " ".join(traces.keys()))) == 4)
    kept = {*traces.keys(), waiting["key"], asset["key"]}

    owner, artwork_id = traces.owner, artwork["artworkId"]
    render = object_key(owner, failed["artworkId"], "render", failed["version"], "local-x.mp4")
    done = object_key(owner, artwork_id, "render", job["version"], "local-y.mp4")
    exports = f"clients/{owner}/exports/all.zip"
    lost = [
        object_key(owner, artwork_id, folder, 1, "nobody.jpg") for folder in ("original", "audio", "video", "thumb")
    ]
    for key in (render, done, exports, committed["key"], *lost):
        traces.replace(key, b"bytes")

    assert sweep_orphans(product.studio, HOUR_S).removed == 0, "it may only just have been made"
    assert sweep_orphans(product.studio, ANY_AGE_S).removed >= 7
    assert set(traces.keys()) == {*kept, render}


def test_orphans_are_swept_page_by_page(traces: Traces, product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.orphans.PAGE", 2)
    lost = [object_key(traces.owner, "artwork", "original", 1, f"lost{n}.jpg") for n in range(5)]
    for key in lost:
        traces.replace(key, b"bytes")
    swept, pages = sweep_orphans(product.studio, ANY_AGE_S), 1
    while swept.last is not None:
        swept, pages = sweep_orphans(product.studio, ANY_AGE_S, after=swept.last), pages + 1
    assert pages >= 3
    assert traces.keys() == []
