"""Anthropic's client: messages with a picture, and answers by schema."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from tests.contract import samples
from tests.providers.anthropic import AnthropicSimulator
from tests.providers.simulator import Fault

SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}},
    "required": ["title"],
    "additionalProperties": False,
}


@pytest.fixture
def simulator(started: Callable[[AnthropicSimulator], AnthropicSimulator]) -> AnthropicSimulator:
    return started(AnthropicSimulator())


@pytest.fixture
def client(simulator: AnthropicSimulator) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key=simulator.key, base_url=simulator.url, max_retries=0)


def chat(client: anthropic.Anthropic, model: str = "claude-haiku-5-5") -> Any:
    picture = base64.b64encode(samples.drawing()).decode()
    return client.messages.create(
        model=model,
        max_tokens=300,
        system="Answer in JSON.",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": picture}},
                    {"type": "text", "text": "What is it?"},
                ],
            }
        ],
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
    )


def test_a_conversation(client: anthropic.Anthropic) -> None:
    answer = chat(client)
    assert answer.stop_reason == "end_turn"
    assert answer.content[0].text.startswith('{"title"')
    assert answer.usage.input_tokens > 0 < answer.usage.output_tokens


def test_a_refusal_of_the_models_is_an_answer(client: anthropic.Anthropic, simulator: AnthropicSimulator) -> None:
    simulator.fail("chat", Fault.REJECTED)
    answer = chat(client)
    assert (answer.stop_reason, answer.content) == ("refusal", [])


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.BUSY, anthropic.RateLimitError),
        (Fault.SPENT, anthropic.RateLimitError),
        (Fault.UNAUTHORIZED, anthropic.AuthenticationError),
        (Fault.NO_MODEL, anthropic.NotFoundError),
        (Fault.BROKEN, anthropic.InternalServerError),
        (Fault.DROPPED, anthropic.APIConnectionError),
    ],
)
def test_the_client_knows_each_refusal(
    client: anthropic.Anthropic, simulator: AnthropicSimulator, fault: Fault, error: type[Exception]
) -> None:
    simulator.fail("chat", fault)
    with pytest.raises(error):
        chat(client)


def test_a_retired_model_is_not_found(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError):
        chat(client, model="claude-2")


def test_what_is_not_in_the_interface_is_refused(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(
            model="claude-haiku-5-5", max_tokens=10, messages=[{"role": "assistant", "content": "x"}]
        )


def test_a_wrong_key_is_told(simulator: AnthropicSimulator) -> None:
    with pytest.raises(anthropic.AuthenticationError):
        chat(anthropic.Anthropic(api_key="wrong", base_url=simulator.url, max_retries=0))
