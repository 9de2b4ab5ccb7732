"""fal's client: the queue in which Pika stands. Its host is a constant of the client's module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fal_client
import pytest
from fal_client import client as internals

from tests.contract import samples
from tests.providers.fal import FalSimulator
from tests.providers.simulator import Fault

APPLICATION = "fal-ai/pika/v2.2/image-to-video"


@pytest.fixture
def simulator(started: Callable[[FalSimulator], FalSimulator], monkeypatch: pytest.MonkeyPatch) -> FalSimulator:
    simulator = started(FalSimulator())
    monkeypatch.setattr(internals, "QUEUE_URL_FORMAT", f"{simulator.url}/")
    # It would send up to ten times what is answered with 429 or 503.
    monkeypatch.setattr(internals, "MAX_ATTEMPTS", 1)
    return simulator


@pytest.fixture
def client(simulator: FalSimulator) -> fal_client.SyncClient:
    return fal_client.SyncClient(key=simulator.key)


def submit(client: fal_client.SyncClient) -> Any:
    arguments = {
        "image_url": samples.drawing_url(),
        "prompt": "A fox flies.",
        "negative_prompt": "",
        "resolution": "720p",
        "duration": "5",
        "seed": 7,
    }
    return client.submit(APPLICATION, arguments, webhook_url="https://huaban.example/hook?token=1")


def test_a_clip_from_its_beginning_to_its_end(client: fal_client.SyncClient, simulator: FalSimulator) -> None:
    simulator.fail("create", Fault.NEVER)
    handle = submit(client)
    assert isinstance(handle.status(), fal_client.InProgress)
    simulator.tasks[handle.request_id].fault = None
    assert isinstance(handle.status(with_logs=True), fal_client.Completed)
    assert handle.get()["video"]["url"].startswith(simulator.url)


def test_a_clip_is_found_by_its_id(client: fal_client.SyncClient) -> None:
    request_id = submit(client).request_id
    assert isinstance(client.status(APPLICATION, request_id), fal_client.Completed)
    assert client.result(APPLICATION, request_id)["video"]["content_type"] == "video/mp4"


def test_the_client_waits_for_a_clip(client: fal_client.SyncClient) -> None:
    made = client.subscribe(APPLICATION, {"image_url": samples.drawing_url(), "prompt": "A fox flies."})
    assert made["video"]["file_name"].endswith(".mp4")


def test_a_clip_can_be_stopped(client: fal_client.SyncClient, simulator: FalSimulator) -> None:
    simulator.fail("create", Fault.NEVER)
    handle = submit(client)
    handle.cancel()
    status = handle.status()
    assert isinstance(status, fal_client.Completed)
    assert status.error_type == "request_cancelled"
    with pytest.raises(fal_client.FalClientHTTPError):
        handle.cancel()


@pytest.mark.parametrize(("fault", "status"), [(Fault.REJECTED_LATER, 422), (Fault.FAILED, 503)])
def test_a_clip_that_fails_is_completed_with_an_error(
    client: fal_client.SyncClient, simulator: FalSimulator, fault: Fault, status: int
) -> None:
    simulator.fail("create", fault)
    handle = submit(client)
    completed = handle.status()
    assert isinstance(completed, fal_client.Completed)
    assert completed.error
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        handle.get()
    assert caught.value.status_code == status


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.BUSY, 429),
        (Fault.UNAUTHORIZED, 401),
        (Fault.SPENT, 403),
        (Fault.NO_MODEL, 404),
        (Fault.REJECTED, 422),
        (Fault.BROKEN, 503),
    ],
)
def test_the_client_knows_each_refusal(
    client: fal_client.SyncClient, simulator: FalSimulator, fault: Fault, status: int
) -> None:
    simulator.fail("create", fault)
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        submit(client)
    assert caught.value.status_code == status


def test_a_wrong_key_is_told(simulator: FalSimulator) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        submit(fal_client.SyncClient(key="wrong:wrong"))
    assert caught.value.status_code == 401
