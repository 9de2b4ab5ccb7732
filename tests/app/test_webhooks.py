"""Callbacks as they come in: what is read of them, what they bring about, and that they do so once."""

from __future__ import annotations

import json
import secrets
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.client import Client
from broker import State
from broker.stats import states
from studio.callbacks import token_of
from studio.jobs import Job, JobStatus
from studio.records import new_id
from studio.signatures import sign, stamp
from studio.submissions import Submission, SubmissionState
from tests.app.problems import problem_of
from tests.product import Product, new_artwork, serving_with
from tests.waiting import eventually

KEY = bytes(range(32))
TASKS = "/api/webhook/task_complete"
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def url(product: Product) -> Iterator[str]:
    """A deployment that takes tasks' callbacks."""
    secret = SecretStr(f"whsec_{b64encode(KEY).decode()}")
    with serving_with(product, task_webhook_secrets=(secret,), trusted_proxies=1) as address:
        yield address


@pytest.fixture
def sender(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"X-Forwarded-For": f"192.0.2.{secrets.randbelow(256)}"}) as one:
        yield one


def told(task_id: str, **more: Any) -> bytes:
    return json.dumps({"task_id": task_id, "status": "succeeded", **more}).encode()


def headers_for(body: bytes, *, message_id: str = "") -> dict[str, str]:
    message_id, now = message_id or f"msg_{new_id()}", int(time.time())
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": sign([KEY], message_id, now, body),
    }


def send(sender: httpx.Client, body: bytes, *, message_id: str = "") -> httpx.Response:
    return sender.post(TASKS, content=body, headers=headers_for(body, message_id=message_id))


@pytest.fixture
def waiting(client: Client, drawing: Path, product: Product, worker: object) -> Iterator[Job]:
    """A job whose next look is due in an hour."""
    product.service.behave("later")
    job_id = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})["jobId"]
    eventually(lambda: product.service.calls("looks"))
    job = product.studio.jobs.load(job_id)
    assert job is not None
    eventually(lambda: is_delayed(product, job))
    yield job
    # No worker of a later test looks after it.
    product.studio.database["jobs"].delete_one({"_id": job_id})
    product.broker.flush("default")


def is_delayed(product: Product, job: Job) -> bool:
    from actors.messages import message_id

    name = message_id(job)
    return states(product.broker, "default", [name]).get(name) is State.DELAYED


def call_of(job: Job) -> Submission:
    assert job.submission is not None
    return job.submission


def looks(product: Product, job: Job) -> int:
    """How often it was looked, once no look is under way or due."""
    eventually(lambda: is_delayed(product, job))
    return len(product.service.calls("looks"))


def set_call(product: Product, job: Job, **fields: Any) -> None:
    """As if a job's call had come out otherwise."""
    changed = {f"submissions.0.{name}": value for name, value in fields.items()}
    product.studio.database["jobs"].update_one({"_id": job.id}, {"$set": changed})


def test_a_callback_brings_the_next_look_forward_and_one_that_is_sent_again_does_not(
    waiting: Job, sender: httpx.Client, product: Product
) -> None:
    before = looks(product, waiting)
    for name in (call_of(waiting).id, call_of(waiting).provider_id or "", waiting.id):
        body = told(name)
        message_id = f"msg_{new_id()}"
        for _ in range(3):
            # At another second, and so with another signature.
            answer = send(sender, body, message_id=message_id)
            assert (answer.status_code, answer.json()) == (200, {"received": True})
        before += 1
        eventually(lambda: len(product.service.calls("looks")) >= before)  # noqa: B023
        assert looks(product, waiting) == before


def test_the_film_is_there_at_once_when_it_is_ready(waiting: Job, sender: httpx.Client, product: Product) -> None:
    product.service.behave("")
    send(sender, told(call_of(waiting).id, result={"url": "http://127.0.0.1/not-looked-at"}))
    eventually(lambda: product.studio.jobs.load(waiting.id).status is JobStatus.SUCCEEDED)  # type: ignore[union-attr]


def test_of_two_copies_at_the_same_time_one_has_its_effect(
    waiting: Job, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actors.callbacks import Effect, take
    from studio.callbacks import Callback

    # It waits for its time however often it is brought forward.
    monkeypatch.setattr(product.broker, "bring_forward", lambda _message_id: True)
    for number in range(10):
        callback = Callback("task_complete", f"msg_{number}_{waiting.id}", call_of(waiting).id)
        with ThreadPoolExecutor(4) as pool:
            effects = list(pool.map(take, 4 * [callback]))
        assert sorted(effects) == [Effect.HURRIED, *3 * [Effect.REPEATED]]


def test_a_body_with_its_own_signature_counts_once_per_task_attempt_and_status(
    waiting: Job, sender: httpx.Client, product: Product
) -> None:
    before, name = looks(product, waiting), call_of(waiting).id
    for attempt, is_new in ((1, True), (1, False), (2, True)):
        signature = stamp(KEY, int(time.time()), f"{name}\n{attempt}\nSUCCESS".encode())
        body = told(name, status="SUCCESS", attempt=attempt, result={}, signature=signature)
        assert sender.post(TASKS, content=body).status_code == 200
        before += is_new
        eventually(lambda: len(product.service.calls("looks")) >= before)  # noqa: B023
        assert looks(product, waiting) == before


def test_what_nobody_knows_and_what_has_ended_is_taken_without_effect(
    waiting: Job, sender: httpx.Client, product: Product
) -> None:
    before = looks(product, waiting)
    assert send(sender, told(new_id())).status_code == 200
    product.studio.database["jobs"].update_one({"_id": waiting.id}, {"$set": {"status": "failed", "live": False}})
    assert send(sender, told(waiting.id)).status_code == 200
    assert looks(product, waiting) == before
    stored = product.studio.jobs.load(waiting.id)
    assert stored is not None
    assert stored.status is JobStatus.FAILED, "a callback brings nothing back to life"


def test_a_providers_own_address_needs_no_more_than_itself(
    waiting: Job, sender: httpx.Client, product: Product
) -> None:
    before = looks(product, waiting)
    path = f"/api/webhook/ark/{token_of(product.studio.settings, 'ark', call_of(waiting).id)}"
    for status in ("running", "running", "succeeded"):
        assert sender.post(path, json={"id": "cgt-1", "status": status}).status_code == 200
        eventually(lambda: is_delayed(product, waiting))
    eventually(lambda: looks(product, waiting) == before + 2)
    stored = product.studio.jobs.load(waiting.id)
    assert stored is not None
    assert call_of(stored).hinted_id is None, "its id is known"


@pytest.mark.parametrize("status", ["running", "needs_attention", "canceling"])
def test_a_call_whose_answer_was_lost_learns_under_which_id_it_may_be(
    waiting: Job, sender: httpx.Client, product: Product, status: str
) -> None:
    set_call(product, waiting, state=SubmissionState.SENDING, provider_id=None)
    product.studio.database["jobs"].update_one({"_id": waiting.id}, {"$set": {"status": status, "live": False}})
    path = f"/api/webhook/ark/{token_of(product.studio.settings, 'ark', call_of(waiting).id)}"
    assert sender.post(path, json={"id": "cgt-1", "status": "queued"}).status_code == 200
    stored = product.studio.jobs.load(waiting.id)
    assert stored is not None
    # Where nobody could know what became of it, somebody looks now: a worker may have begun already.
    wanted = {"queued", "running"} if status == "needs_attention" else {status}
    assert stored.status in wanted
    assert stored.submissions[0].hinted_id == "cgt-1"
    assert stored.submissions[0].state is SubmissionState.SENDING, "what a callback says is looked up, not believed"


def test_a_wrong_address_and_a_wrong_signature_are_refused_alike(sender: httpx.Client) -> None:
    body = told("t1")
    late = {**headers_for(body), "webhook-timestamp": str(int(time.time()) - 301)}
    forged = {**headers_for(body), "webhook-signature": "v1,AAAA"}
    answers = [sender.post(TASKS, content=body, headers=headers) for headers in (late, forged)]
    answers += [sender.post("/api/webhook/ark/nobody.knows", json={})]
    said = [problem_of(answer, "WEBHOOK_REFUSED") for answer in answers]
    assert len({json.dumps({**one, "requestId": ""}) for one in said}) == 1
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Signature"}
    problem_of(sender.post("/api/webhook/runway/x", json={}), "NOT_FOUND")


def test_without_a_secret_nothing_is_read(product: Product) -> None:
    with serving_with(product, task_webhook_secrets=()) as url:
        for headers in ({}, headers_for(b"{}")):
            answer = httpx.post(f"{url}{TASKS}", content=b"{}", headers=headers)
            problem_of(answer, "WEBHOOK_NOT_CONFIGURED")


def test_a_header_that_comes_twice_is_no_header(sender: httpx.Client) -> None:
    body = told("t1")
    for name, value in headers_for(body).items():
        headers = [*headers_for(body).items(), (name, value)]
        problem_of(sender.post(TASKS, content=body, headers=headers), "WEBHOOK_MALFORMED")
    problem_of(sender.post(TASKS, content=body, headers={"webhook-id": "msg_1"}), "WEBHOOK_MALFORMED")


def test_a_body_may_be_a_mebibyte_and_not_a_byte_more_however_it_comes(sender: httpx.Client) -> None:
    empty = told("t1", result="")
    largest = told("t1", result="x" * (MEBIBYTE - len(empty)))
    assert len(largest) == MEBIBYTE
    assert send(sender, largest).status_code == 200
    too_large = largest + b" "
    problem_of(send(sender, too_large), "BODY_TOO_LARGE")

    def in_pieces() -> Iterator[bytes]:
        for start in range(0, len(too_large), 65_536):
            yield too_large[start : start + 65_536]

    problem_of(sender.post(TASKS, content=in_pieces(), headers=headers_for(too_large)), "BODY_TOO_LARGE")


@pytest.mark.parametrize("encoding", ["gzip", "identity", ""])
def test_a_body_is_taken_as_it_was_signed_or_not_at_all(sender: httpx.Client, encoding: str) -> None:
    body = told("t1")
    headers = {**headers_for(body), "Content-Encoding": encoding}
    problem_of(sender.post(TASKS, content=body, headers=headers), "WEBHOOK_MALFORMED")


def test_callbacks_need_no_client_and_come_from_wherever_they_come(sender: httpx.Client) -> None:
    body = told("t1")
    headers = {**headers_for(body), "Origin": "https://service.example", "Sec-Fetch-Site": "cross-site"}
    assert sender.post(TASKS, content=body, headers=headers).status_code == 200
    for method in ("GET", "PUT", "DELETE"):
        problem_of(sender.request(method, TASKS), "METHOD_NOT_ALLOWED")


def test_an_address_that_calls_back_too_often_has_to_wait(product: Product) -> None:
    secret = SecretStr(f"whsec_{b64encode(KEY).decode()}")
    changed = {"task_webhook_secrets": (secret,), "limit_callbacks_per_minute": 3, "trusted_proxies": 1}
    with serving_with(product, **changed) as url:
        one, other = (
            httpx.Client(base_url=url, headers={"X-Forwarded-For": f"198.51.100.{number}"}) for number in (1, 2)
        )
        with one, other:
            assert [send(one, told("t1")).status_code for _ in range(3)] == [200] * 3
            problem_of(one.post(TASKS, content=b"", headers={"webhook-id": "x"}), "RATE_LIMITED")
            assert send(other, told("t1")).status_code == 200
