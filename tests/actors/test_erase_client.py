"""Everything of a client goes, whatever happens meanwhile, and the receipt counts it once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.client import Client, Json
from broker import run_in_transaction
from studio.erasures import Erasure
from studio.records import new_id, owner_of
from tests.actors import belongings
from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.app.uploads import picture, put
from tests.product import Product, new_artwork, new_client
from tests.waiting import eventually

DATA = "/api/v1/privacy/data"
RECEIPTS = "/api/v1/privacy/receipts"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, product: Product) -> None:
    # The package lists its actors by name, so the module of this one has to be asked for.
    module = import_module("actors.erase_client")
    monkeypatch.setattr(module, "LOOK_AGAIN_MS", 100)
    monkeypatch.setattr(module, "STOPPING_MS", 100)
    monkeypatch.setattr(module, "BATCH", 1)


def fill(client: Client, drawing: Path) -> list[str]:
    """Something of everything; words by which it could be found."""
    client.post("/init")
    artwork = new_artwork(client, drawing)
    job = client.post("/generation/jobs", {"artworkId": artwork["artworkId"]})
    for _ in client.watch(job["jobId"], patience_s=60):
        pass
    waiting = put(client, picture())
    version = client.get("/api/v1/privacy/notice")["version"]
    consents = {"noticeVersion": version, "decisions": [{"purpose": "reports", "given": True}]}
    client._api.put("/api/v1/privacy/consents", json=consents).raise_for_status()
    export = client.post("/api/v1/privacy/export")
    eventually(lambda: client.get("/api/v1/privacy/export")["status"] == "ready")
    cover = Path(urlsplit(artwork["coverUrl"]).path).stem
    return [artwork["artworkId"], cover, job["jobId"], waiting["key"], export["exportId"]]


def ask(client: Client) -> str:
    answer = client._api.delete(DATA)
    assert answer.status_code == 202
    receipt_id = str(answer.json()["receiptId"])
    assert answer.headers["location"] == f"{RECEIPTS}/{receipt_id}"
    return receipt_id


def erased(web: str, receipt_id: str) -> Json:
    """The receipt at the end of the erasure, as anybody sees it who has it."""

    def receipt() -> Json:
        found: Json = httpx.get(f"{web}{RECEIPTS}/{receipt_id}").raise_for_status().json()
        return found

    eventually(lambda: receipt()["status"] == "erased")
    return receipt()


@pytest.mark.usefixtures("worker")
def test_nothing_is_left_anywhere_of_a_client_who_was_erased(
    client: Client, web: str, drawing: Path, product: Product, traces: Traces
) -> None:
    words = [traces.owner, *fill(client, drawing)]
    paid = belongings.paid_call(product, traces.owner, micros=7, job_id=words[3])
    with new_client(web) as other:
        kept = new_artwork(other, drawing)
        before = traces.count()
        assert all(traces.find([word]) for word in words)
        receipt = erased(web, ask(client))
        assert traces.find([*words, client._api.headers["x-client-id"]]) == []
        shown = other.get(f"/artworks/{kept['artworkId']}")
        assert other._bucket.get(shown["coverUrl"]).is_success, "nobody else has lost anything"
    assert (receipt["objects"], receipt["bytes"]) == (before.objects, before.bytes)
    assert receipt["documents"] == before.documents
    entry = product.studio.database["ledger"].find_one({"_id": paid})
    assert entry is not None, "the books stay"
    assert entry["micros"] == 7
    assert receipt["messages"] >= 6
    assert receipt["finishedAt"] > receipt["createdAt"]
    assert client.get("/gallery")["items"] == [], "whoever comes back is new here"


@pytest.mark.usefixtures("worker")
def test_a_walk_that_stands_at_a_key_of_the_client_begins_anew(
    client: Client, web: str, product: Product, traces: Traces
) -> None:
    product.studio.walks.move("orphans", put(client, picture())["key"])
    product.studio.walks.move("media", "somebody else's")
    erased(web, ask(client))
    assert [product.studio.walks.position(name) for name in ("orphans", "media")] == ["", "somebody else's"]
    assert traces.find([traces.owner]) == []
    product.studio.walks.move("media", None)


@pytest.mark.usefixtures("worker")
def test_a_step_that_runs_is_stopped_and_its_provider_told(
    client: Client, web: str, drawing: Path, product: Product, traces: Traces, *, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching = threading.Event()

    def fetch_for_ever(*_: object) -> None:
        fetching.set()
        while True:
            time.sleep(0.01)

    monkeypatch.setattr(product.studio.providers.animator_named("fake"), "fetch", fetch_for_ever)
    waiting = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})
    assert fetching.wait(30)
    erased(web, ask(client))
    assert not list((product.service.folder / "jobs").iterdir()), "what was ordered is canceled"
    assert traces.find([traces.owner, waiting["jobId"]]) == []


def test_whoever_asks_twice_gets_the_same_receipt(http: httpx.Client, product: Product) -> None:
    first, second = (http.delete(DATA).json() for _ in range(2))
    assert first == second
    assert first["status"] == "erasing"
    finish(product, first["receiptId"])
    assert http.delete(DATA).json()["receiptId"] != first["receiptId"], "that one is over"


def test_an_unknown_receipt_is_not_found(web: str) -> None:
    problem_of(httpx.get(f"{web}{RECEIPTS}/{new_id()}"), "NOT_FOUND")


class Died(BaseException):
    """The process was killed."""


class Fuse:
    """Lets functions die in the middle of their work, once: right after the n-th call of all of them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.calls = 0
        self.dies_at = 0

    def put_into(self, place: Any, name: str) -> None:
        work: Callable[..., Any] = getattr(place, name)

        def burn(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            result = work(*args, **kwargs)
            if self.calls == self.dies_at:
                raise Died
            return result

        self._patch.setattr(place, name, burn)


@pytest.fixture
def fuse(monkeypatch: pytest.MonkeyPatch, product: Product) -> Fuse:
    """A fuse in everything that an erasure writes."""
    made = Fuse(monkeypatch)
    module = import_module("actors.erase_client")
    made.put_into(product.studio.objects, "delete")
    for name in ("open_batch", "close_batch", "count", "finish"):
        made.put_into(product.studio.erasures, name)
    made.put_into(module.privacy, "delete")
    made.put_into(module.naming, "remove")
    return made


def begin(product: Product, owner: str) -> Erasure:
    return run_in_transaction(
        product.studio.client, lambda session: product.studio.erasures.open(owner, session=session)
    )


def finish(product: Product, receipt_id: str) -> Erasure:
    """Run the actor until it has nothing more to do, as its messages would; the record at the end."""
    from actors import erase_client

    while (record := product.studio.erasures.get(receipt_id).now()) and record.owner:
        erase_client.fn(receipt_id)
    assert record is not None
    return record


def counts(record: Erasure) -> tuple[dict[str, int], int, int]:
    return record.documents, record.objects, record.bytes


EXPECTED = ({"artworks": 2, "media_assets": 2, "events": 2, "event_counters": 1}, 2, 6)


def test_an_erasure_survives_a_kill_at_each_line_and_counts_everything_once(
    product: Product, tmp_path: Path, fuse: Fuse
) -> None:
    def erase_with_a_death(at: int) -> bool:
        """Whether it died."""
        owner = owner_of(new_id(), "tests")
        for _ in range(2):
            belongings.artwork(product, owner, tmp_path)
        fuse.calls, fuse.dies_at = 0, at
        erasure, died = begin(product, owner), False
        try:
            finish(product, erasure.id)
        except Died:
            died = True
        assert counts(finish(product, erasure.id)) == EXPECTED, at
        return died

    deaths = 1
    while erase_with_a_death(deaths):
        deaths += 1
    assert deaths > 10, "the walk reaches every line"


def test_two_workers_at_the_same_erasure_count_everything_once(product: Product, tmp_path: Path) -> None:
    owner = owner_of(new_id(), "tests")
    for _ in range(2):
        belongings.artwork(product, owner, tmp_path)
    erasure = begin(product, owner)
    with ThreadPoolExecutor(3) as workers:
        ended = [workers.submit(finish, product, erasure.id) for _ in range(3)]
    assert [counts(future.result()) for future in ended] == [EXPECTED] * 3


def test_an_imported_film_goes_too_unless_somebody_else_has_it(product: Product, tmp_path: Path) -> None:
    mine, other = (owner_of(new_id(), "tests") for _ in range(2))
    alone, shared = "public/videos/alone.mp4", "public/videos/shared.mp4"
    for owner, key in ((mine, alone), (mine, shared), (other, shared)):
        belongings.asset(product, owner, new_id(), tmp_path, key=key)
    assert counts(finish(product, begin(product, mine).id)) == ({"media_assets": 2}, 1, 3)
    assert product.studio.objects.head(alone) is None
    assert product.studio.objects.head(shared)


def test_an_erasure_whose_message_is_dead_is_taken_up_again(product: Product, tmp_path: Path) -> None:
    from actors.housekeeping import resume_erasures

    owner = owner_of(new_id(), "tests")
    belongings.artwork(product, owner, tmp_path)
    erasure = begin(product, owner)
    resume_erasures.fn()
    resume_erasures.fn()
    queued = list(product.studio.database["queue_default"].find({"msg.args": erasure.id}))
    assert [message["msg"]["actor_name"] for message in queued] == ["erase_client"]
    product.broker.flush("default")
    finish(product, erasure.id)
