"""A thousand malformed pictures, recordings, films and ids: a 4xx each, and nothing of them stays."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import httpx
import pytest

from app.client import Client
from studio import uploads
from studio.errors import REGISTRY, StudioError
from studio.media_assets import Kind, MediaAsset
from tests.app.traces import Traces
from tests.app.uploads import put
from tests.product import Product
from tests.studio import malformed
from tests.studio.malformed import Malformed

MIMES = {Kind.IMAGE: "image/png", Kind.AUDIO: "audio/mpeg", Kind.VIDEO: "video/mp4"}


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> list[Malformed]:
    return list(malformed.media(malformed.whole(tmp_path_factory.mktemp("whole"))))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go; nothing may stay there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def never(_save: object) -> MediaAsset:
    raise StudioError("TAKEN")


@pytest.mark.usefixtures("temporary")
def test_every_malformed_file_is_refused_and_nothing_of_it_stays(
    bad: list[Malformed], product: Product, traces: Traces, tmp_path: Path
) -> None:
    assert len(bad) + len(list(malformed.calls())) >= 1_000

    def refusal(number: int) -> str:
        path = tmp_path / str(number)
        path.write_bytes(bad[number].content)
        try:
            uploads.take_in(product.studio, traces.owner, path, kind=bad[number].kind, artwork_id=None, store=never)
        except StudioError as error:
            return error.symbol
        finally:
            path.unlink()
        return "STORED"

    with ThreadPoolExecutor(4) as pool:
        symbols = list(pool.map(refusal, range(len(bad))))
    wrong = [
        (one.name, symbol)
        for one, symbol in zip(bad, symbols, strict=True)
        if symbol not in REGISTRY or not 400 <= REGISTRY[symbol].status < 500
    ]
    assert wrong == []
    assert set(Counter(symbols)) >= {
        "IMAGE_UNREADABLE", "IMAGE_TOO_LARGE", "IMAGE_TOO_LONG", "AUDIO_UNREADABLE", "VIDEO_UNREADABLE",
        "KIND_MISMATCH", "MIME_NOT_SUPPORTED",
    }  # fmt: skip
    assert traces.keys() == []
    assert traces.documents("media_assets") == []


@pytest.mark.usefixtures("temporary")
def test_a_malformed_upload_is_refused_by_its_commit_and_nothing_of_it_stays(
    bad: list[Malformed], client: Client, http: httpx.Client, traces: Traces
) -> None:
    for one in islice((one for one in bad if one.content), 0, None, 40):
        answer = http.post("/media/commit", json=put(client, one.content, one.kind, MIMES[one.kind]))
        assert 400 <= answer.status_code < 500, one.name
        sent = http.post("/upload", files={one.kind: one.content})
        assert (sent.status_code, sent.json()["code"]) == (answer.status_code, answer.json()["code"]), one.name
    assert traces.keys() == []
    assert traces.documents("media_assets") == []


def test_ids_and_names_that_lead_elsewhere_are_refused(http: httpx.Client, traces: Traces) -> None:
    for method, path, body in malformed.calls():
        answer = http.request(method, path, json=body)
        assert 400 <= answer.status_code < 500, (path, body)
        assert answer.headers["content-type"] == "application/problem+json"
    assert traces.keys() == []
    assert traces.documents("uploads") == []
