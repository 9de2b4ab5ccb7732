from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from studio.providers import Made
from tests.providers.fal import FalSimulator
from tests.providers.simulator import Fault, Reply
from tests.studio.providers.animators import KEY, Bench, at
from tests.studio.providers.asking import outcome


@pytest.fixture
def simulator() -> FalSimulator:
    return FalSimulator()


@pytest.fixture
def pika(simulator: FalSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with at("pika", simulator, tmp_path, monkeypatch) as bench:
        yield bench


def test_the_key_goes_only_to_the_address_of_the_card(pika: Bench, simulator: FalSimulator) -> None:
    stranger = FalSimulator()
    with stranger.running() as elsewhere:
        simulator.addresses_from = elsewhere
        request_id = pika.submit()
        assert isinstance(pika.look(request_id), Made)
        pika.animator.cancel(request_id)
    assert not stranger.requests


def fault(status: int, kind: str, *, retryable: str = "false") -> Reply:
    detail = [{"loc": ["body"], "msg": "words", "type": kind, "ctx": {}}]
    return Reply(status, {"detail": detail}, {"X-Fal-Retryable": retryable})


@pytest.mark.parametrize(
    ("result", "symbol"),
    [
        (fault(422, "content_policy_violation"), "CONTENT_REJECTED"),
        (fault(422, "image_too_large"), "PROVIDER_REFUSED"),
        (fault(422, "no_media_generated", retryable="true"), "RENDER_FAILED"),
        (fault(500, "internal_server_error"), "RENDER_FAILED"),
        (Reply(504, {"detail": "words", "error_type": "request_timeout"}), "RENDER_FAILED"),
        (Reply(500, {"detail": "words"}), "RENDER_FAILED"),
        (Reply(502, b"<html>"), "RENDER_FAILED"),
        # It says that there was an error, whatever it sends for a result.
        (Reply(200, {"video": {"url": "https://files.example/clip.mp4"}}), "RENDER_FAILED"),
        (Reply(200, {"video": None}), "RENDER_FAILED"),
    ],
)
def test_completed_does_not_mean_success(pika: Bench, simulator: FalSimulator, result: Reply, symbol: str) -> None:
    simulator.failure = result
    simulator.fail("create", Fault.FAILED)
    request_id = pika.submit()
    assert outcome(lambda: pika.look(request_id)) == symbol


@pytest.mark.parametrize("trouble", [Fault.BUSY, Fault.GATEWAY, Fault.DROPPED, Fault.MALFORMED])
def test_a_result_that_cannot_be_fetched_now_is_fetched_later(
    pika: Bench, simulator: FalSimulator, trouble: Fault
) -> None:
    request_id = pika.submit()
    simulator.fail("result", trouble)
    assert outcome(lambda: pika.look(request_id)) in {"away", "not now"}
    assert isinstance(pika.look(request_id), Made)


def test_a_public_deployment_tells_its_address(pika: Bench, simulator: FalSimulator) -> None:
    simulator.is_prompt = False
    address = "https://huaban.example/api/webhook/pika/a.b?x=1&y=2"
    request = msgspec.structs.replace(pika.request(), callback_url=address)
    pika.animator.submit(request, idempotency_key=KEY)
    assert simulator.asked("create")[0].query == {"fal_webhook": [address]}


def test_a_request_that_is_canceled_is_taken_out_of_the_queue(pika: Bench, simulator: FalSimulator) -> None:
    simulator.fail("create", Fault.NEVER)
    request_id = pika.submit()
    pika.animator.cancel(request_id)
    assert simulator.tasks[request_id].is_canceled


@pytest.mark.parametrize("found", [None, 7, "../../secrets", "a/b", ""])
def test_an_id_that_cannot_be_one_leaves_it_open(
    pika: Bench, simulator: FalSimulator, monkeypatch: pytest.MonkeyPatch, found: object
) -> None:
    monkeypatch.setattr(FalSimulator, "_addresses", lambda _self, _task: {"request_id": found})
    assert outcome(pika.submit) == "unknown"
