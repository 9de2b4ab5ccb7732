from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.providers import PaidCall
from studio.providers.ark_chat import ArkChat
from tests.providers import ark_chat
from tests.providers.ark import error
from tests.providers.conversations import completion
from tests.providers.simulator import Reply
from tests.studio import made
from tests.studio.providers.asking import outcome
from tests.studio.providers.chats import Chat, draft, talking

THINKING = "doubao-seed-2-0-lite-260428"


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    with talking(ark_chat.ArkChat(), ArkChat, tmp_path, monkeypatch) as chat:
        yield chat


def test_a_model_that_thinks_is_told_not_to(chat: Chat) -> None:
    chat.refine()
    assert chat.bodies[0]["thinking"] == {"type": "disabled"}


@pytest.mark.parametrize("setting", ["ARK_LLM_MODEL", "ARK_VISION_MODEL"])
def test_a_model_that_does_not_think_is_told_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    older = {"ARK_LLM_MODEL": "doubao-1-5-pro-256k-250115", "ARK_VISION_MODEL": "doubao-1-5-vision-pro-32k-250115"}
    with talking(ark_chat.ArkChat(), ArkChat, tmp_path, monkeypatch, **{setting: older[setting]}) as chat:
        if setting == "ARK_LLM_MODEL":
            chat.refine()
        else:
            chat.model.read(made.drawing(tmp_path / "drawing.png"), story=None, call=PaidCall("k1"))
        assert "thinking" not in chat.bodies[0]


def test_a_model_that_cannot_be_held_to_json_is_asked_for_it_in_words(chat: Chat) -> None:
    chat.refine()
    (body,) = chat.bodies
    assert "response_format" not in body
    assert '"additionalProperties":false' in body["messages"][0]["content"]
    assert {message["role"] for message in body["messages"]} == {"system", "user"}


def test_an_answer_that_was_filtered_is_rejected(chat: Chat) -> None:
    chat.service.say(Reply(200, completion(THINKING, draft("狐狸飞走了。"), finish_reason="content_filter")))
    assert outcome(chat.refine) == "CONTENT_REJECTED"


@pytest.mark.parametrize(
    ("reply", "came_of_it"),
    [
        (error(400, "InputTextSensitiveContentDetected.PolicyViolation", "It is not let through."), "CONTENT_REJECTED"),
        (error(400, "OutputTextRiskDetection", "It is not let through."), "CONTENT_REJECTED"),
        (error(404, "ModelNotOpen", "It was not opened."), "MODEL_UNKNOWN"),
        (error(429, "SetLimitExceeded", "Your own limit."), "PROVIDER_QUOTA"),
        (error(429, "QuotaExceeded", "The free trial is exhausted."), "PROVIDER_QUOTA"),
        (error(400, "InvalidParameter", "Something is wrong."), "PROVIDER_REFUSED"),
        # A check that could not be made.
        (error(400, "ContentSecurityDetectionError", "The check failed."), "not now"),
    ],
)
def test_each_refusal_is_told_for_what_it_is(chat: Chat, reply: Reply, came_of_it: str) -> None:
    chat.service.say(reply)
    assert outcome(chat.refine) == came_of_it
