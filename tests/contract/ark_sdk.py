"""Volcengine Ark's client: video tasks, chat, images."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from volcenginesdkarkruntime import Ark, _exceptions

from tests.contract import samples
from tests.providers.ark_simulator import ArkSimulator
from tests.providers.simulator import Fault

CLIP = "doubao-seedance-1-0-pro-250528"


@pytest.fixture
def simulator(started: Callable[[ArkSimulator], ArkSimulator]) -> ArkSimulator:
    return started(ArkSimulator())


@pytest.fixture
def client(simulator: ArkSimulator) -> Ark:
    return Ark(api_key=simulator.key, base_url=simulator.env()["ARK_BASE_URL"], max_retries=0)


def create(client: Ark) -> Any:
    return client.content_generation.tasks.create(
        model=CLIP,
        content=[
            {"type": "text", "text": "小狗跑过草地"},
            {"type": "image_url", "role": "first_frame", "image_url": {"url": samples.drawing_url()}},
        ],
        resolution="480p",
        ratio="adaptive",
        duration=5,
        seed=11,
        watermark=True,
        execution_expires_after=3600,
        safety_identifier="0193a1b2c3d4e5f6",
    )


def chat(client: Ark) -> Any:
    return client.chat.completions.create(
        model="doubao-seed-2-0-lite-260428",
        messages=[
            {"role": "system", "content": "Answer in JSON."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": samples.drawing_url(), "detail": "low"}},
                ],
            },
        ],
        max_tokens=500,
    )


def paint(client: Ark) -> Any:
    return client.images.generate(
        model="doubao-seedream-5-0-260128",
        prompt="一只小狐狸",
        size="2048x2048",
        response_format="b64_json",
        sequential_image_generation="disabled",
        watermark=True,
    )


CALLS: dict[str, Callable[[Ark], Any]] = {"create": create, "chat": chat, "paint": paint}


def test_a_clip_from_its_beginning_to_its_end(client: Ark, simulator: ArkSimulator) -> None:
    simulator.fail("create", Fault.NEVER)
    task_id = create(client).id
    assert client.content_generation.tasks.get(task_id=task_id).status == "running"
    simulator.tasks[task_id].fault = None
    task = client.content_generation.tasks.get(task_id=task_id)
    assert task.status == "succeeded"
    assert task.content.video_url.startswith(simulator.url)
    assert (task.seed, task.ratio, task.duration, task.resolution) == (11, "4:3", 5, "480p")
    assert task.usage.completion_tokens == task.usage.total_tokens > 0
    client.content_generation.tasks.delete(task_id=task_id)
    with pytest.raises(_exceptions.ArkNotFoundError):
        client.content_generation.tasks.get(task_id=task_id)


def test_a_clip_is_found_in_the_list(client: Ark) -> None:
    first, second = create(client).id, create(client).id
    listed = client.content_generation.tasks.list(page_num=1, page_size=10, status="succeeded", task_ids=[first])
    assert [item.id for item in listed.items] == [first]
    assert listed.total == 1
    everything = client.content_generation.tasks.list(page_size=50)
    assert {item.id for item in everything.items} == {first, second}
    assert everything.items[0].seed == 11


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Fault.REJECTED_LATER, "OutputVideoSensitiveContentDetected"), (Fault.FAILED, "InternalServiceError")],
)
def test_a_clip_that_fails_says_why(client: Ark, simulator: ArkSimulator, fault: Fault, code: str) -> None:
    simulator.fail("create", fault)
    task = client.content_generation.tasks.get(task_id=create(client).id)
    assert (task.status, task.error.code) == ("failed", code)


def test_a_conversation(client: Ark) -> None:
    answer = chat(client)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_picture(client: Ark) -> None:
    answer = paint(client)
    with Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json))) as picture:
        assert answer.data[0].size == f"{picture.width}x{picture.height}" == "2048x2048"
    assert answer.usage.generated_images == 1


def test_a_picture_that_fails_in_an_answer_that_does_not(client: Ark, simulator: ArkSimulator) -> None:
    simulator.fail("paint", Fault.REJECTED_LATER)
    answer = paint(client)
    assert answer.data[0].error["code"] == "OutputImageSensitiveContentDetected"
    assert answer.usage.generated_images == 0


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.BUSY, _exceptions.ArkRateLimitError),
        (Fault.UNAUTHORIZED, _exceptions.ArkAuthenticationError),
        (Fault.SPENT, _exceptions.ArkPermissionDeniedError),
        (Fault.NO_MODEL, _exceptions.ArkNotFoundError),
        (Fault.REJECTED, _exceptions.ArkBadRequestError),
        (Fault.BROKEN, _exceptions.ArkInternalServerError),
        (Fault.DROPPED, _exceptions.ArkAPIConnectionError),
    ],
)
def test_the_client_knows_each_refusal(
    client: Ark, simulator: ArkSimulator, operation: str, fault: Fault, error: type[Exception]
) -> None:
    simulator.fail(operation, fault)
    with pytest.raises(error) as caught:
        CALLS[operation](client)
    assert type(caught.value) is error
    if fault is Fault.REJECTED:
        assert "Sensitive" in caught.value.code  # type: ignore[attr-defined]


def test_fields_of_another_model_are_refused(client: Ark) -> None:
    with pytest.raises(_exceptions.ArkBadRequestError) as caught:
        client.content_generation.tasks.create(
            model=CLIP, content=[{"type": "text", "text": "小狗"}], generate_audio=True
        )
    assert caught.value.code.startswith("InvalidParameter")


def test_a_wrong_key_is_told(simulator: ArkSimulator) -> None:
    stranger = Ark(api_key="wrong", base_url=simulator.env()["ARK_BASE_URL"], max_retries=0)
    for call in CALLS.values():
        with pytest.raises(_exceptions.ArkAuthenticationError):
            call(stranger)
