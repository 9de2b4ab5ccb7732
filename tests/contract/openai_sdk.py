"""OpenAI's client: chat with structured answers, transcription, images, speech."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import openai
import pytest
from PIL import Image

from tests.contract import samples
from tests.providers.openai_simulator import OpenAISimulator
from tests.providers.simulator import Fault

SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}},
    "required": ["title"],
    "additionalProperties": False,
}


@pytest.fixture
def simulator(started: Callable[[OpenAISimulator], OpenAISimulator]) -> OpenAISimulator:
    return started(OpenAISimulator())


@pytest.fixture
def client(simulator: OpenAISimulator) -> openai.OpenAI:
    return openai.OpenAI(api_key=simulator.key, base_url=simulator.env()["OPENAI_BASE_URL"], max_retries=0)


def chat(client: openai.OpenAI) -> Any:
    return client.chat.completions.create(
        model="gpt-6-luna",
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
        max_completion_tokens=200,
        response_format={"type": "json_schema", "json_schema": {"name": "words", "strict": True, "schema": SCHEMA}},
    )


def transcription(client: openai.OpenAI) -> Any:
    file = ("story.wav", samples.recording(), "audio/wav")
    return client.audio.transcriptions.create(model="gpt-transcribe", file=file, response_format="json")


def paint(client: openai.OpenAI) -> Any:
    return client.images.generate(
        model="gpt-image-2.6-flare", prompt="a fox", n=1, size="1536x1024", output_format="png"
    )


def speech(client: openai.OpenAI) -> Any:
    return client.audio.speech.create(
        model="gpt-4o-mini-tts", voice="coral", input="Once upon a time", response_format="mp3"
    )


CALLS: dict[str, Callable[[openai.OpenAI], Any]] = {
    "chat": chat,
    "transcription": transcription,
    "paint": paint,
    "speech": speech,
}


def test_a_conversation(client: openai.OpenAI) -> None:
    completion = chat(client)
    assert completion.choices[0].finish_reason == "stop"
    assert completion.choices[0].message.content.startswith('{"title"')
    assert completion.choices[0].message.refusal is None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


def test_what_was_said(client: openai.OpenAI) -> None:
    assert transcription(client).text


def test_a_picture(client: openai.OpenAI) -> None:
    answer = paint(client)
    with Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json))) as picture:
        assert picture.size == (1536, 1024)
    assert answer.data[0].url is None
    assert answer.usage.total_tokens


def test_a_voice(client: openai.OpenAI) -> None:
    answer = speech(client)
    assert answer.response.headers["content-type"] == "audio/mpeg"
    assert len(answer.content) > 100


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.BUSY, openai.RateLimitError),
        (Fault.BUSY_WITH_RETRY_AFTER, openai.RateLimitError),
        (Fault.SPENT, openai.RateLimitError),
        (Fault.UNAUTHORIZED, openai.AuthenticationError),
        (Fault.NO_MODEL, openai.NotFoundError),
        (Fault.REJECTED, openai.BadRequestError),
        (Fault.BROKEN, openai.InternalServerError),
        (Fault.GATEWAY, openai.InternalServerError),
        (Fault.DROPPED, openai.APIConnectionError),
        (Fault.LOST, openai.APIConnectionError),
    ],
)
def test_the_client_knows_each_refusal(
    client: openai.OpenAI, simulator: OpenAISimulator, operation: str, fault: Fault, error: type[Exception]
) -> None:
    simulator.fail(operation, fault)
    with pytest.raises(error) as caught:
        CALLS[operation](client)
    assert type(caught.value) is error
    codes = {Fault.SPENT: "insufficient_quota", Fault.NO_MODEL: "model_not_found", Fault.REJECTED: "moderation_blocked"}
    if operation == "chat":
        codes.pop(Fault.REJECTED)
    assert caught.value.code == codes.get(fault, caught.value.code)  # type: ignore[attr-defined]


def test_what_is_not_in_the_interface_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="gpt-image-2.6-flare", prompt="a fox", response_format="b64_json")
    assert caught.value.param == "response_format"


def test_a_retired_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.images.generate(model="dall-e-3", prompt="a fox")


def test_a_wrong_key_is_told(simulator: OpenAISimulator) -> None:
    stranger = openai.OpenAI(api_key="sk-wrong", base_url=simulator.env()["OPENAI_BASE_URL"], max_retries=0)
    for call in CALLS.values():
        with pytest.raises(openai.AuthenticationError):
            call(stranger)


def test_the_client_comes_again_when_the_service_says_so(simulator: OpenAISimulator) -> None:
    patient = openai.OpenAI(api_key=simulator.key, base_url=simulator.env()["OPENAI_BASE_URL"], max_retries=1)
    simulator.fail("paint", Fault.BUSY_WITH_RETRY_AFTER)
    assert paint(patient).data
    assert len(simulator.asked("paint")) == 2
