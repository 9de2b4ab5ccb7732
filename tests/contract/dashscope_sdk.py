"""DashScope's client in both of its generations, and OpenAI's at the compatible mode."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from urllib.request import urlopen

import dashscope
import openai
import pytest
from dashscope.aigc.image_generation import ImageGeneration
from dashscope.audio.http_tts import HttpSpeechSynthesizer
from dashscope.v2 import errors
from PIL import Image

from tests.contract import samples
from tests.providers.dashscope import COMPATIBLE, NATIVE
from tests.providers.dashscope_simulator import DashScopeSimulator
from tests.providers.simulator import Fault

TASK = "paint_later"


@pytest.fixture
def simulator(
    started: Callable[[DashScopeSimulator], DashScopeSimulator], monkeypatch: pytest.MonkeyPatch
) -> DashScopeSimulator:
    simulator = started(DashScopeSimulator())
    monkeypatch.setattr(dashscope, "base_http_api_url", f"{simulator.url}{NATIVE}")
    monkeypatch.setattr(dashscope, "api_key", simulator.key)
    return simulator


@pytest.fixture
def client(simulator: DashScopeSimulator) -> dashscope.Client:
    return dashscope.Client(api_key=simulator.key, base_url=f"{simulator.url}{NATIVE}", max_retries=0)


@pytest.fixture
def compatible(simulator: DashScopeSimulator) -> openai.OpenAI:
    return openai.OpenAI(api_key=simulator.key, base_url=f"{simulator.url}{COMPATIBLE}", max_retries=0)


def size_of(url: str) -> tuple[int, int]:
    with urlopen(url) as answer, Image.open(io.BytesIO(answer.read())) as picture:  # noqa: S310 (our own simulator)
        return picture.size


def z_image() -> Any:
    return dashscope.MultiModalConversation.call(
        model="z-image-turbo",
        messages=[{"role": "user", "content": [{"text": "水彩风格的小猫"}]}],
        size="1280*720",
        prompt_extend=False,
        seed=7,
    )


def test_z_image_answers_at_once(simulator: DashScopeSimulator) -> None:
    answer = z_image()
    assert answer.status_code == 200
    parts = answer.output.choices[0].message.content
    assert size_of(next(part["image"] for part in parts if "image" in part)) == (1280, 720)
    assert answer.usage["width"] == 1280


def test_the_older_wan_is_a_task(simulator: DashScopeSimulator) -> None:
    model, options = "wan2.2-t2i-flash", {"n": 1, "size": "1024*1024", "prompt_extend": False, "watermark": True}
    asked = dashscope.ImageSynthesis.async_call(model=model, prompt="一只小狐狸", **options)
    assert (asked.status_code, asked.output.task_status) == (200, "PENDING")
    made = dashscope.ImageSynthesis.wait(asked)
    assert made.output.task_status == "SUCCEEDED"
    assert size_of(made.output.results[0].url) == (1024, 1024)


def test_the_newer_wan_is_a_task_that_converses(simulator: DashScopeSimulator) -> None:
    messages = [{"role": "user", "content": [{"text": "一只小狐狸"}]}]
    asked = ImageGeneration.async_call(model="wan2.6-t2i", messages=messages, size="1280*1280", n=1)
    assert asked.output.task_status == "PENDING"
    made = ImageGeneration.wait(asked)
    parts = made.output.choices[0].message.content
    assert size_of(next(part["image"] for part in parts if "image" in part)) == (1280, 1280)


def test_the_newer_client_reads_both_shapes(client: dashscope.Client) -> None:
    for model, size in (("wan2.2-t2i-flash", "1024x1024"), ("wan2.6-t2i", "1280x1280")):
        job = client.images.jobs.create(model=model, prompt="a fox", size=size, n=1, watermark=True)
        done = client.images.jobs.wait(job.task_id)
        assert done.succeeded
        assert len(done.image_urls) == 1


def test_a_task_can_be_stopped_before_it_begins(simulator: DashScopeSimulator) -> None:
    simulator.generation_s = 3600.0
    asked = dashscope.ImageSynthesis.async_call(model="wan2.2-t2i-flash", prompt="a fox")
    assert dashscope.ImageSynthesis.cancel(asked).status_code == 200
    assert dashscope.ImageSynthesis.fetch(asked).output.task_status == "CANCELED"
    assert dashscope.ImageSynthesis.cancel(asked).status_code == 400


def test_an_unknown_task_is_unknown_for_good(simulator: DashScopeSimulator) -> None:
    assert dashscope.ImageSynthesis.fetch("none").output.task_status == "UNKNOWN"


@pytest.mark.parametrize(
    ("fault", "code"), [(Fault.REJECTED_LATER, "DataInspectionFailed"), (Fault.FAILED, "InternalError")]
)
def test_a_task_that_fails_says_why(simulator: DashScopeSimulator, fault: Fault, code: str) -> None:
    simulator.fail(TASK, fault)
    made = dashscope.ImageSynthesis.wait(dashscope.ImageSynthesis.async_call(model="wan2.2-t2i-flash", prompt="a fox"))
    assert (made.status_code, made.output.task_status, made.output.code) == (200, "FAILED", code)


def test_a_refusal_may_come_with_success(client: dashscope.Client, simulator: DashScopeSimulator) -> None:
    simulator.fail("paint", Fault.REJECTED_LATER)
    with pytest.raises(errors.ContentFilterError) as caught:
        client.images.generate(model="wan2.6-t2i", prompt="a fox", size="1280x1280")
    assert caught.value.status_code == 200


REFUSALS = [
    (Fault.BUSY, errors.RateLimitError, openai.RateLimitError),
    (Fault.UNAUTHORIZED, errors.AuthenticationError, openai.AuthenticationError),
    (Fault.REJECTED, errors.ContentFilterError, openai.BadRequestError),
    (Fault.SPENT, errors.PermissionDeniedError, openai.BadRequestError),
    (Fault.NO_MODEL, errors.NotFoundError, openai.NotFoundError),
    (Fault.BROKEN, errors.InternalServerError, openai.InternalServerError),
    (Fault.DROPPED, errors.APIConnectionError, openai.APIConnectionError),
]


@pytest.mark.parametrize(("fault", "error"), [(fault, native) for fault, native, _ in REFUSALS])
def test_the_client_knows_each_refusal(
    client: dashscope.Client, simulator: DashScopeSimulator, fault: Fault, error: type[Exception]
) -> None:
    simulator.fail(TASK, fault)
    with pytest.raises(error) as caught:
        client.images.jobs.create(model="wan2.6-t2i", prompt="a fox")
    assert type(caught.value) is error


@pytest.mark.parametrize("status", [(Fault.BUSY, 429), (Fault.UNAUTHORIZED, 401), (Fault.REJECTED, 400)])
def test_the_older_client_is_told_the_status_and_the_code(
    simulator: DashScopeSimulator, status: tuple[Fault, int]
) -> None:
    simulator.fail("paint", status[0])
    answer = z_image()
    assert answer.status_code == status[1]
    assert answer.code
    assert answer.message


def test_a_voice(simulator: DashScopeSimulator) -> None:
    answer = HttpSpeechSynthesizer.call(
        model="cosyvoice-v3-flash", text="从前有一只小狗。", voice="longanyang", audio_format="mp3", sample_rate=24000
    )
    assert answer.status_code == 200
    assert answer.expires_at
    with urlopen(answer.audio_url) as sound:  # noqa: S310 (our own simulator)
        assert len(sound.read()) > 100
    simulator.fail("speech", Fault.UNAUTHORIZED)
    answer = HttpSpeechSynthesizer.call(model="cosyvoice-v3-flash", text="小狗", voice="longanyang", audio_format="mp3")
    assert (answer.status_code, answer.code, answer.audio_url) == (401, "InvalidApiKey", None)


def chat(compatible: openai.OpenAI) -> Any:
    return compatible.chat.completions.create(
        model="qwen-plus",
        messages=[
            {"role": "system", "content": "Answer in JSON."},
            {"role": "user", "content": "What moves?"},
        ],
        response_format={"type": "json_object"},
    )


def test_qwen_converses_as_openai_does(compatible: openai.OpenAI) -> None:
    answer = chat(compatible)
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens


def test_qwen_sees(compatible: openai.OpenAI) -> None:
    answer = compatible.chat.completions.create(
        model="qwen3-vl-plus",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": samples.drawing_url()}},
                    {"type": "text", "text": "What is it?"},
                ],
            }
        ],
    )
    assert answer.choices[0].message.content


def test_qwen_hears(compatible: openai.OpenAI) -> None:
    answer = compatible.chat.completions.create(
        model="qwen3-asr-flash",
        messages=[
            {
                "role": "user",
                "content": [{"type": "input_audio", "input_audio": {"data": samples.recording_url()}}],
            }
        ],
        extra_body={"asr_options": {"enable_itn": True}},
    )
    assert answer.choices[0].message.content


@pytest.mark.parametrize(("fault", "error"), [(fault, other) for fault, _, other in REFUSALS])
def test_openais_client_knows_each_refusal(
    compatible: openai.OpenAI, simulator: DashScopeSimulator, fault: Fault, error: type[Exception]
) -> None:
    simulator.fail("chat", fault)
    with pytest.raises(error) as caught:
        chat(compatible)
    assert type(caught.value) is error
