"""The end of a job told to a receiver that works, fails, is slow, has gone or does not want it."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from pymongo.errors import AutoReconnect

from app.client import Client
from broker import run_in_transaction
from studio.deliveries import Delivery, DeliveryStatus
from studio.films import end_canceled, stop_job
from studio.jobs import Failure, Job, JobStatus
from studio.pipelines import JobKind
from studio.records import new_id, owner_of
from studio.signatures import is_signed
from tests.actors.belongings import artwork, let_time_pass
from tests.product import Product, new_artwork
from tests.waiting import eventually

# The actor of the same name hides it in the package.
MODULE = "actors.deliver_webhook"
KEYS = bytes(range(32)), bytes(range(50, 82))


class Receiver:
    """A deployer's own system: keeps what it is sent, and answers what tests say."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status = receiver.answers.pop(0) if receiver.answers else 204
                receiver.may_answer.wait(30)
                self.send_response(status)
                self.send_header("location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the base class's)
                """A test run has enough to say."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/ended?from=huaban"

    def stop(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def check(self, number: int = -1) -> dict[str, Any]:
        """What it was told, after checking as a receiver should that it comes from us."""
        headers, body = self.received[number]
        for key in KEYS:
            message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
            assert is_signed([key], message_id, timestamp, body, headers["webhook-signature"])
        told: dict[str, Any] = json.loads(body)
        return told


@pytest.fixture
def receiver(product: Product, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    made = Receiver()
    secrets = tuple(SecretStr(f"whsec_{b64encode(key).decode()}") for key in KEYS)
    changed = product.studio.settings.model_copy(update={"webhook_url": made.url, "webhook_secrets": secrets})
    monkeypatch.setattr(product.studio, "settings", changed)
    yield made
    made.stop()


@pytest.fixture
def job(product: Product, tmp_path: Path) -> Iterator[Job]:
    """A job that nobody works on."""
    owner = owner_of(new_id(), "tests")
    of = artwork(product, owner, tmp_path)
    yield run_in_transaction(
        product.studio.client,
        lambda session: product.studio.jobs.create(of, JobKind.VIDEO, version=2, request_id="", session=session),
    )
    product.studio.database["jobs"].delete_many({"owner": owner})
    product.broker.flush("default")


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long an actor that is called here asked to wait, in ms."""
    asked: list[float] = []
    monkeypatch.setattr(import_module(MODULE), "reschedule_current", lambda *, delay_ms: asked.append(delay_ms))
    return asked


def deliveries_of(product: Product, job: Job) -> list[Delivery]:
    found = product.studio.deliveries.list_newest(limit=1000)
    return [delivery for delivery in found if delivery.job.job_id == job.id]


def end(product: Product, job: Job) -> Delivery:
    """End a job; its delivery."""
    run_in_transaction(
        product.studio.client, lambda session: stop_job(product.studio, job, Failure("RENDER_FAILED"), session)
    )
    [delivery] = deliveries_of(product, job)
    return delivery


def deliver(product: Product, delivery: Delivery) -> Delivery:
    """One attempt; the delivery after it."""
    from actors import deliver_webhook

    deliver_webhook.fn(delivery.id)
    stored = product.studio.deliveries.load(delivery.id)
    assert stored is not None
    return stored


@pytest.mark.usefixtures("worker")
def test_the_end_of_a_film_is_told_without_a_word_of_it(
    client: Client, drawing: Path, product: Product, receiver: Receiver
) -> None:
    made = new_artwork(client, drawing, story="A fox whispers to the moon.", title="Moonfox")
    job_id = client.post("/generation/jobs", {"artworkId": made["artworkId"]})["jobId"]
    assert [event["status"] for event in client.watch(job_id, patience_s=60)][-1] == "succeeded"
    eventually(lambda: receiver.received)
    told, job = receiver.check(), product.studio.jobs.load(job_id)
    assert job is not None
    assert job.finished_at is not None
    finished_at = job.finished_at.isoformat().replace("+00:00", "Z")
    assert told == {
        "type": "job.succeeded",
        "timestamp": finished_at,
        "data": {
            "jobId": job_id,
            "artworkId": made["artworkId"],
            "kind": "video",
            "status": "succeeded",
            "version": 1,
            "error": None,
            "finishedAt": finished_at,
        },
    }
    eventually(lambda: [one.status for one in deliveries_of(product, job)] == [DeliveryStatus.DELIVERED])
    assert len(receiver.received) == 1


@pytest.mark.usefixtures("receiver")
def test_every_way_of_ending_is_told(product: Product, job: Job) -> None:
    studio = product.studio
    with_failure = Failure("CLIP_NOT_OFFERED", {"field": "seconds", "value": "what a child said"})
    run_in_transaction(studio.client, lambda session: stop_job(studio, job, with_failure, session))
    [failed] = deliveries_of(product, job)
    assert (failed.job.status, failed.job.error) == (JobStatus.FAILED, "CLIP_NOT_OFFERED")
    assert "child" not in str(studio.database["deliveries"].find_one({"_id": failed.id}))

    def again(session: Any) -> Job:
        stored = studio.jobs.load(job.id)
        assert stored is not None
        made = studio.artworks.get(job.owner, job.artwork_id).now(session=session)
        assert made is not None
        queued = studio.jobs.retry(stored, made, request_id="", session=session)
        assert queued is not None
        return queued

    queued = run_in_transaction(studio.client, again)
    run_in_transaction(studio.client, lambda session: end_canceled(studio, queued, session))
    assert [delivery.job.status for delivery in deliveries_of(product, job)] == [JobStatus.CANCELED, JobStatus.FAILED]


def test_an_end_that_was_rolled_back_is_not_told(product: Product, job: Job, receiver: Receiver) -> None:
    def fail(session: Any) -> None:
        stop_job(product.studio, job, Failure("INTERNAL"), session)
        raise LookupError

    with pytest.raises(LookupError):
        run_in_transaction(product.studio.client, fail)
    assert deliveries_of(product, job) == []
    assert product.broker.queues["default"].count_documents({"msg.args": {"$regex": "^msg_"}}) == 0


def test_where_nobody_wants_to_be_told_nothing_is_stored(product: Product, job: Job) -> None:
    run_in_transaction(
        product.studio.client, lambda session: stop_job(product.studio, job, Failure("INTERNAL"), session)
    )
    assert deliveries_of(product, job) == []


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        *((answer, DeliveryStatus.DELIVERED) for answer in (200, 202, 204)),
        *((answer, DeliveryStatus.REFUSED) for answer in (400, 401, 404, 410, 422)),
        *((answer, DeliveryStatus.WAITING) for answer in (302, 408, 409, 425, 429, 500, 503)),
    ],
)
def test_an_answer_says_whether_to_come_again(
    product: Product, job: Job, receiver: Receiver, delays: list[float], *, answer: int, status: DeliveryStatus
) -> None:
    receiver.answers = [answer]
    after = deliver(product, end(product, job))
    assert (after.status, [attempt.status_code for attempt in after.attempts]) == (status, [answer])
    assert len(delays) == (status is DeliveryStatus.WAITING)
    assert len(receiver.received) == 1, "a redirect is not followed"


def test_a_receiver_that_is_too_slow_or_away_is_tried_again(
    product: Product, job: Job, receiver: Receiver, delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    with httpx.Client(timeout=0.2) as impatient:
        monkeypatch.setattr(import_module(MODULE), "_client", lambda: impatient)
        receiver.may_answer.clear()
        after = deliver(product, end(product, job))
        receiver.stop()
        after = deliver(product, after)
    assert [attempt.reason for attempt in after.attempts] == ["ReadTimeout", "ConnectError"]
    assert after.status is DeliveryStatus.WAITING
    assert len(delays) == 2


def test_a_receiver_that_hangs_holds_two_threads_and_no_more(
    product: Product, job: Job, receiver: Receiver, delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    module, waits = import_module(MODULE), list[float]()
    monkeypatch.setattr("actors.waiting.reschedule_current", lambda **asked: waits.append(asked["delay_ms"]))
    delivery = end(product, job)
    receiver.may_answer.clear()
    with ThreadPoolExecutor(module.AT_ONCE) as hanging:
        for _ in range(module.AT_ONCE):
            hanging.submit(module.deliver_webhook.fn, delivery.id)
        eventually(lambda: len(receiver.received) == module.AT_ONCE)
        assert deliver(product, delivery).attempts == [], "it had no turn, and used no attempt"
        let_time_pass(product, "deliveries", delivery.id, "created_at", hours=1)
        deliver(product, delivery)
        let_time_pass(product, "deliveries", delivery.id, "created_at", hours=24)
        assert deliver(product, delivery).status is DeliveryStatus.WAITING, "the workers may have stood still as long"
        product.studio.deliveries.note(delivery, DeliveryStatus.WAITING, status_code=500)
        assert deliver(product, delivery).status is DeliveryStatus.GIVEN_UP
        receiver.may_answer.set()
    assert len(receiver.received) == module.AT_ONCE
    soon, later, latest = waits
    assert 800 <= soon < 60_000 < later < latest, "the longer it waits the longer it may"


def test_waits_grow_and_add_up_to_about_a_day() -> None:
    from actors.deliver_webhook import delay_s

    waits = [delay_s(attempts) for attempts in range(1, 11)]
    assert 4 <= waits[0] <= 6
    assert waits[:7] == sorted(waits[:7])
    assert 0.7 <= sum(waits) / 86_400 <= 1.3


def test_after_a_day_it_is_given_up(product: Product, job: Job, receiver: Receiver, delays: list[float]) -> None:
    receiver.answers = [500]
    delivery = end(product, job)
    let_time_pass(product, "deliveries", delivery.id, "created_at", hours=24.1)
    assert deliver(product, delivery).status is DeliveryStatus.GIVEN_UP
    assert delays == []


def test_what_was_delivered_is_not_sent_again(product: Product, job: Job, receiver: Receiver) -> None:
    delivery = deliver(product, end(product, job))
    assert deliver(product, delivery) == delivery
    assert len(receiver.received) == 1


def test_an_attempt_that_died_before_it_was_noted_is_made_again_under_the_same_id(
    product: Product, job: Job, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actors.deliver_webhook import deliver_webhook

    delivery, note = end(product, job), product.studio.deliveries.note

    def die(*_args: Any, **_more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(product.studio.deliveries, "note", die)
    with pytest.raises(KeyboardInterrupt):
        deliver_webhook.fn(delivery.id)
    monkeypatch.setattr(product.studio.deliveries, "note", note)
    assert deliver(product, delivery).status is DeliveryStatus.DELIVERED
    assert receiver.check(0) == receiver.check(1)
    assert receiver.received[0][0]["webhook-id"] == receiver.received[1][0]["webhook-id"]


@pytest.mark.usefixtures("worker")
def test_a_receiver_that_comes_back_is_told_the_same_as_before(
    product: Product, job: Job, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module(MODULE), "FIRST_DELAY_S", 0.05)
    receiver.answers = [500, 429, 503]
    end(product, job)
    eventually(lambda: deliveries_of(product, job)[0].status is DeliveryStatus.DELIVERED)
    assert len({body for _, body in receiver.received}) == 1
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1
    assert [attempt.status_code for attempt in deliveries_of(product, job)[0].attempts] == [500, 429, 503, 204]
    for number in range(4):
        receiver.check(number)


@pytest.mark.usefixtures("worker")
def test_with_a_client_what_was_to_be_told_about_it_is_erased(
    client: Client, drawing: Path, product: Product, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("actors.erase_client"), "LOOK_AGAIN_MS", 100)
    receiver.answers = [500] * 10
    job_id = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})["jobId"]
    assert [event["status"] for event in client.watch(job_id, patience_s=60)][-1] == "succeeded"
    job = product.studio.jobs.load(job_id)
    assert job is not None
    [delivery] = deliveries_of(product, job)
    # It waits for its second attempt.
    eventually(lambda: product.broker.queues["default"].count_documents({"msg.args": delivery.id, "state": "DELAYED"}))
    receipt = client._api.delete("/api/v1/privacy/data").json()
    eventually(lambda: client.get(f"/api/v1/privacy/receipts/{receipt['receiptId']}")["status"] == "erased")
    assert deliveries_of(product, job) == []
    assert product.broker.queues["default"].count_documents({"msg.args": delivery.id}) == 0


def test_while_the_database_is_away_nothing_is_sent(
    product: Product, job: Job, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = end(product, job)

    def away(_delivery_id: str) -> Any:
        raise AutoReconnect

    waits: list[float] = []
    monkeypatch.setattr("actors.waiting.reschedule_current", lambda **asked: waits.append(asked["delay_ms"]))
    with monkeypatch.context() as patch:
        patch.setattr(product.studio.deliveries, "load", away)
        from actors import deliver_webhook

        deliver_webhook.fn(delivery.id)
    assert waits
    assert receiver.received == []
