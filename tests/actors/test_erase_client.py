"""Everything of a client goes, whatever happens meanwhile, and the receipt counts it once."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import httpx
import pytest

from app.client import Client, Json
from app.stack import Servers
from tests.app.traces import Traces
from tests.app.uploads import picture, put
from tests.product import Product, new_artwork, new_client
from tests.waiting import eventually


def fill(client: Client, drawing: Path) -> list[str]:
    """Something of everything; the ids by which it could be found."""
    client.post("/init")
    artwork = new_artwork(client, drawing)
    job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
    for _ in client.watch(job["jobId"], patience_s=60):
        pass
    waiting = put(client, picture())
    notice = client.get("/api/v1/privacy/notice")
    decisions = [{"purpose": "reports", "given": True}]
    client._api.put(
        "/api/v1/privacy/consents", json={"noticeVersion": notice["version"], "decisions": decisions}
    ).raise_for_status()
    export = client.post("/api/v1/privacy/export")
    eventually(lambda: client.get("/api/v1/privacy/export")["status"] == "ready")
    shown = client.get(f"/artworks/{artwork['artworkId']}")
    assert shown["status"] == "ready"
    return [artwork["artworkId"], job["jobId"], waiting["key"], export["exportId"]]


def erase(client: Client) -> str:
    answer = client._api.delete("/api/v1/privacy/data")
    assert answer.status_code == 202
    assert answer.headers["location"].endswith(answer.json()["receiptId"])
    return str(answer.json()["receiptId"])


def erased(web: str, receipt_id: str) -> Json:
    """The receipt at the end of the erasure, as anybody sees it who has it."""

    def receipt() -> Json:
        return httpx.get(f"{web}/api/v1/privacy/receipts/{receipt_id}").raise_for_status().json()

    eventually(lambda: receipt()["status"] == "erased")
    return receipt()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch, product: Product) -> None:
    # The package lists its actors by name, so the module of this one has to be asked for.
    module = import_module("actors.erase_client")
    monkeypatch.setattr(module, "LOOK_AGAIN_MS", 100)
    monkeypatch.setattr(module, "STOPPING_MS", 100)


@pytest.mark.usefixtures("worker")
def test_nothing_is_left_anywhere_of_a_client_who_was_erased(
    client: Client, web: str, drawing: Path, product: Product, servers: Servers, traces: Traces
) -> None:
    ids = fill(client, drawing)
    with new_client(web) as other:
        kept = new_artwork(other, drawing)
        before = traces.count()
        assert all(traces.find([word]) for word in [traces.owner, *ids])
        receipt = erased(web, erase(client))
        assert traces.find([traces.owner, client._api.headers["x-client-id"], *ids]) == []
        shown = other.get(f"/artworks/{kept['artworkId']}")
        assert other._bucket.get(shown["coverUrl"]).is_success, "nobody else has lost anything"
    assert receipt["objects"] == before.objects
    assert receipt["bytes"] == before.bytes
    assert receipt["documents"] == before.documents
    assert receipt["messages"] >= 6
    assert receipt["finishedAt"] > receipt["createdAt"]
    assert client.get("/gallery")["items"] == []
