"""Ollama's client: chat with a picture, and answers by schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ollama
import pytest

from tests.contract import samples
from tests.providers.ollama import OllamaSimulator
from tests.providers.simulator import Fault

SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"],
          "additionalProperties": False}  # fmt: skip


@pytest.fixture
def simulator(started: Callable[[OllamaSimulator], OllamaSimulator]) -> OllamaSimulator:
    return started(OllamaSimulator())


@pytest.fixture
def client(simulator: OllamaSimulator) -> ollama.Client:
    return ollama.Client(host=simulator.url)


def chat(client: ollama.Client, model: str = "qwen2.5vl:3b") -> Any:
    return client.chat(
        model=model,
        messages=[
            {"role": "system", "content": "Answer in JSON."},
            {"role": "user", "content": "What is it?", "images": [samples.drawing()]},
        ],
        stream=False,
        format=SCHEMA,
        options={"temperature": 0, "num_predict": 200},
        keep_alive="5m",
    )


def test_a_conversation(client: ollama.Client) -> None:
    answer = chat(client)
    assert answer.message.content.startswith('{"title"')
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert answer.prompt_eval_count > 0 < answer.eval_count


@pytest.mark.parametrize(("fault", "status"), [(Fault.BUSY, 503), (Fault.BROKEN, 500), (Fault.NO_MODEL, 404)])
def test_the_client_knows_each_refusal(
    client: ollama.Client, simulator: OllamaSimulator, fault: Fault, status: int
) -> None:
    simulator.fail("chat", fault)
    with pytest.raises(ollama.ResponseError) as caught:
        chat(client)
    assert caught.value.status_code == status
    assert caught.value.error


def test_a_model_that_was_not_pulled_is_not_found(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        chat(client, model="none")
    assert caught.value.status_code == 404
