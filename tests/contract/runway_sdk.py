"""Runway's client: image to video, and tasks that are looked at and deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import runwayml

from tests.contract import samples
from tests.providers.runway import RunwaySimulator
from tests.providers.simulator import Fault


@pytest.fixture
def simulator(started: Callable[[RunwaySimulator], RunwaySimulator]) -> RunwaySimulator:
    return started(RunwaySimulator())


@pytest.fixture
def client(simulator: RunwaySimulator) -> runwayml.RunwayML:
    return runwayml.RunwayML(api_key=simulator.key, base_url=simulator.url, max_retries=0)


def create(client: runwayml.RunwayML, model: str = "gen4_turbo") -> Any:
    return client.image_to_video.create(
        model=model,
        prompt_image=[{"uri": samples.drawing_url(), "position": "first"}],
        prompt_text="A fox flies.",
        ratio="1104:832",
        duration=5,
    )


@pytest.mark.parametrize("model", ["gen4_turbo", "gen4.5"])
def test_a_clip_from_its_beginning_to_its_end(
    client: runwayml.RunwayML, simulator: RunwaySimulator, model: str
) -> None:
    simulator.fail("create", Fault.NEVER)
    task_id = create(client, model).id
    assert client.tasks.retrieve(task_id).status == "RUNNING"
    simulator.tasks[task_id].fault = None
    task = client.tasks.retrieve(task_id)
    assert task.status == "SUCCEEDED"
    assert task.output[0].startswith(simulator.url)
    client.tasks.delete(task_id)
    with pytest.raises(runwayml.NotFoundError):
        client.tasks.retrieve(task_id)


def test_the_client_waits_for_a_clip(client: runwayml.RunwayML) -> None:
    assert client.tasks.retrieve(create(client).id).wait_for_task_output().status == "SUCCEEDED"


@pytest.mark.parametrize(("fault", "code"), [(Fault.REJECTED_LATER, "SAFETY.INPUT.TEXT"), (Fault.FAILED, "INTERNAL")])
def test_a_clip_that_fails_says_why(
    client: runwayml.RunwayML, simulator: RunwaySimulator, fault: Fault, code: str
) -> None:
    simulator.fail("create", fault)
    task_id = create(client).id
    task = client.tasks.retrieve(task_id)
    assert (task.status, task.failure_code) == ("FAILED", code)
    with pytest.raises(runwayml.TaskFailedError):
        client.tasks.retrieve(task_id).wait_for_task_output()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.BUSY, runwayml.RateLimitError),
        (Fault.UNAUTHORIZED, runwayml.AuthenticationError),
        (Fault.SPENT, runwayml.BadRequestError),
        (Fault.NO_MODEL, runwayml.BadRequestError),
        (Fault.REJECTED, runwayml.BadRequestError),
        (Fault.BROKEN, runwayml.InternalServerError),
        (Fault.DROPPED, runwayml.APIConnectionError),
    ],
)
def test_the_client_knows_each_refusal(
    client: runwayml.RunwayML, simulator: RunwaySimulator, fault: Fault, error: type[Exception]
) -> None:
    simulator.fail("create", fault)
    with pytest.raises(error) as caught:
        create(client)
    assert type(caught.value) is error


def test_a_wrong_key_is_told(simulator: RunwaySimulator) -> None:
    with pytest.raises(runwayml.AuthenticationError):
        create(runwayml.RunwayML(api_key="wrong", base_url=simulator.url, max_retries=0))
