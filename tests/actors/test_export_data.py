"""What an export holds, and what becomes of one that is not wanted any more."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest

from app import samples
from app.client import Client, Json
from broker import run_in_transaction
from studio import archive
from studio.consents import Purpose
from studio.errors import NotNow
from studio.exports import Export, ExportStatus
from studio.privacy import OWNED
from studio.records import new_id, owner_of
from tests.actors import belongings
from tests.app.traces import Traces
from tests.app.uploads import picture, put
from tests.product import Product, new_artwork
from tests.waiting import eventually

EXPORT = "/api/v1/privacy/export"
VOICE = Path(samples.__file__).parent / "story.ogg"
TITLE = "A fox called $set"


def ready(client: Client) -> Json:
    eventually(lambda: client.get(EXPORT)["status"] == "ready")
    return client.get(EXPORT)


@pytest.mark.usefixtures("worker")
def test_an_export_holds_everything_and_can_be_checked(
    client: Client, drawing: Path, traces: Traces, product: Product
) -> None:
    client.post("/init")
    voice = client.upload(VOICE, "audio")["mediaAssetId"]
    artwork = new_artwork(client, drawing, title=TITLE, audioAssetId=voice)
    job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
    for _ in client.watch(job["jobId"], patience_s=60):
        pass
    ended = product.studio.jobs.load(job["jobId"])
    assert ended is not None
    run_in_transaction(product.studio.client, lambda session: product.studio.deliveries.open(ended, session=session))
    waiting = put(client, picture())
    client.post("/grow/profile", {"nickname": "Fox"})
    product.studio.consents.decide(traces.owner, {Purpose.REPORTS: True}, notice_version="1")
    belongings.paid_call(product, traces.owner)
    eventually(
        lambda: not product.studio.database["queue_default"].find_one({"state": {"$in": ["QUEUED", "CONSUMED"]}})
    )
    keys = traces.keys()
    assert client.get(EXPORT)["status"] == "preparing", "the first look begins it"
    export = ready(client)

    content = client._bucket.get(export["url"]).raise_for_status()
    assert content.headers["content-disposition"].startswith("attachment")
    assert (len(content.content), hashlib.sha256(content.content).hexdigest()) == (export["size"], export["sha256"])
    files = contents(content.content)
    manifest = json.loads(files.pop("manifest.json"))
    assert manifest["missing"] == []
    assert {one["path"]: (one["size"], one["sha256"]) for one in manifest["files"]} == {
        path: (len(body), hashlib.sha256(body).hexdigest()) for path, body in files.items()
    }
    documents = {owned.name: json.loads(files[f"data/{owned.name}.json"]) for owned in OWNED}
    assert [one["title"] for one in documents["artworks"]] == [TITLE]
    assert documents["artworks"][0]["id"] == artwork["artworkId"]
    assert all(documents.values()), "there is something of everything"
    assert len(files[documents["uploads"][0]["key"]]) == waiting["size"]
    assert len(files) == len(keys) + len(OWNED) + 1
    for asset in documents["media_assets"]:
        assert len(files[asset["key"]]) == asset["size"], "a record leads to its file"
    readme = files["README.txt"].decode()
    assert "数据导出" in readme
    assert "HuaBan data export" in readme
    told = b"".join(body for path, body in files.items() if path.endswith((".json", ".txt")))
    assert not [word for word in (traces.owner, "clients/", "X-Amz") if word.encode() in told]


def contents(zipped: bytes) -> dict[str, bytes]:
    with ZipFile(io.BytesIO(zipped)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.usefixtures("worker")
def test_a_new_export_takes_the_place_of_the_older_one(client: Client, traces: Traces) -> None:
    first = ready(client)
    again = client._api.post(EXPORT)
    assert again.status_code == 202
    eventually(lambda: ready(client)["exportId"] == again.json()["exportId"])
    eventually(lambda: len(traces.keys()) == 1)
    assert client._bucket.get(first["url"]).status_code == 404


def test_one_that_is_being_prepared_is_not_begun_again(http: httpx.Client) -> None:
    answers = [http.post(EXPORT), http.post(EXPORT), http.get(EXPORT)]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert len({answer.json()["exportId"] for answer in answers}) == 1


@pytest.fixture
def owner(product: Product) -> Iterator[str]:
    made = owner_of(new_id(), "tests")
    yield made
    for stored in product.studio.objects.list_objects(f"clients/{made}/"):
        product.studio.objects.delete(stored.key)


def open_export(product: Product, owner: str) -> Export:
    return run_in_transaction(
        product.studio.client, lambda session: product.studio.exports.open(owner, session=session)
    )


def test_an_export_of_somebody_who_was_erased_meanwhile_is_not_kept(
    product: Product, owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actors import export_data

    belongings.artwork(product, owner, tmp_path)
    export = open_export(product, owner)

    def erased_meanwhile(*arguments: Any) -> None:
        archive.write_archive(*arguments)
        product.studio.exports.delete(export)

    monkeypatch.setattr(import_module("actors.export_data"), "write_archive", erased_meanwhile)
    export_data.fn(export.id)
    assert product.studio.objects.head(export.key) is None


def test_a_file_that_is_gone_is_told_and_keeps_nobody_from_the_rest(
    product: Product, owner: str, tmp_path: Path
) -> None:
    kept, gone = (belongings.asset(product, owner, new_id(), tmp_path, key=key) for key in ("", "public/gone.mp4"))
    product.studio.objects.delete(gone.key)
    target = io.BytesIO()
    archive.write_archive(product.studio, owner, target)
    files = contents(target.getvalue())
    assert files[archive.path_of(kept.key, owner)] == b"abc"
    assert json.loads(files["manifest.json"])["missing"] == [{"path": "media/imported/public/gone.mp4"}]


@pytest.mark.parametrize("trouble", ["full disk", "busy"])
def test_an_export_waits_for_its_turn_and_for_room(
    product: Product, owner: str, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    module = import_module("actors.export_data")
    export = open_export(product, owner)
    if trouble == "busy":
        module._seat.acquire()
    else:
        monkeypatch.setattr(module, "SPARE_BYTES", 2**60)
    try:
        with pytest.raises(NotNow):
            module.prepare(export)
    finally:
        if trouble == "busy":
            module._seat.release()
    monkeypatch.undo()
    assert module.prepare(export)


def test_an_export_that_always_fails_says_so_in_the_end(
    product: Product, owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("actors.export_data")
    export = open_export(product, owner)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "write_archive", fail)
    with pytest.raises(ZeroDivisionError):
        module.prepare(export)
    monkeypatch.setattr(module, "is_last_attempt", lambda: True)
    assert not module.prepare(export)
    failed = product.studio.exports.get_newest(owner).now()
    assert failed is not None
    assert failed.status is ExportStatus.FAILED
    assert open_export(product, owner).id != export.id, "and may be asked for again"
