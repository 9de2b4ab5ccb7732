from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.errors import Away, OutcomeUnknown, StudioError
from studio.providers import PaidCall
from studio.providers.anthropic_chat import AnthropicChat
from studio.providers.chat_questions import schema_of
from studio.providers.chat_writing import Draft
from tests.providers.anthropic import AnthropicSimulator, message, refusal
from tests.providers.simulator import Reply
from tests.studio import made
from tests.studio.providers.chats import COST, Chat, draft, talking

MODEL = "claude-haiku-5-5"


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    with talking(AnthropicSimulator(), AnthropicChat, tmp_path, monkeypatch) as chat:
        yield chat


def refine(chat: Chat, call: PaidCall | None = None) -> str:
    return chat.model.refine("狐狸飞走了", title="", language="zh", call=call or PaidCall("k1")).narration


def test_it_names_its_version_sends_one_key_and_no_parameter_of_sampling(chat: Chat) -> None:
    refine(chat)
    (request,) = chat.service.asked("chat")
    assert request.headers["anthropic-version"] == "2026-10-21"
    assert request.headers["Authorization"] == "Bearer sk-ant-test"
    assert request.headers["x-api-key"] is None
    assert not {"temperature", "top_p", "top_k"} & set(request.json)
    assert request.json["output_config"] == {"format": {"type": "json_schema", "schema": schema_of(Draft)}}


def test_a_picture_is_sent_as_plain_base64_before_the_words(chat: Chat, tmp_path: Path) -> None:
    chat.model.read(made.drawing(tmp_path / "drawing.png"), story=None, call=PaidCall("k1"))
    picture, text = chat.bodies[0]["messages"][0]["content"]
    assert picture["source"]["media_type"] == "image/jpeg"
    assert not picture["source"]["data"].startswith("data:")
    assert text["type"] == "text"


def test_a_refusal_is_a_success_that_says_so_and_is_charged(chat: Chat) -> None:
    call = PaidCall("k1")
    chat.service.say(Reply(200, message(MODEL, draft("狐狸飞走了。"), stop_reason="refusal")))
    with pytest.raises(StudioError) as caught:
        refine(chat, call)
    assert (caught.value.symbol, call.micros, len(chat.bodies)) == ("CONTENT_REJECTED", COST, 1)


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded"])
def test_an_answer_that_became_too_long_is_asked_for_anew(chat: Chat, reason: str) -> None:
    chat.service.say(Reply(200, message(MODEL, draft("狐狸飞走了。")[:15], stop_reason=reason)))
    assert refine(chat)
    assert len(chat.bodies) == 2


def test_thoughts_and_unknown_blocks_are_passed_over(chat: Chat) -> None:
    answer: dict[str, Any] = message(MODEL, draft("狐狸飞走了。"))
    answer["content"] = [{"type": "thinking", "thinking": "hm"}, {"type": "new", "x": 1}, *answer["content"]]
    chat.service.say(Reply(200, answer))
    assert refine(chat) == "狐狸飞走了。"


def test_an_answer_that_is_none_was_charged_and_lost(chat: Chat) -> None:
    chat.service.say(Reply(200, b'{"type": "mess'))
    with pytest.raises(OutcomeUnknown):
        refine(chat)


@pytest.mark.parametrize(
    ("reply", "symbol"),
    [
        (refusal(429, "rate_limit_error", "Your tier's cap."), "PROVIDER_QUOTA"),
        (
            refusal(429, "rate_limit_error", "A cap.", error_code="contract_spend_limit_reached", retry_after="9"),
            "PROVIDER_QUOTA",
        ),
        (refusal(402, "billing_error", "No money."), "PROVIDER_QUOTA"),
        (refusal(403, "permission_error", "Not yours."), "PROVIDER_ACCOUNT"),
        (refusal(413, "request_too_large", "Too large."), "PROVIDER_REFUSED"),
        (refusal(400, "invalid_request_error", "Wrong."), "PROVIDER_REFUSED"),
    ],
)
def test_refusals_have_their_symbols(chat: Chat, reply: Reply, symbol: str) -> None:
    chat.service.say(reply)
    with pytest.raises(StudioError) as caught:
        refine(chat)
    assert caught.value.symbol == symbol


def test_an_overloaded_service_is_away(chat: Chat) -> None:
    chat.service.say(refusal(529, "overloaded_error", "Not now."))
    with pytest.raises(Away):
        refine(chat)


@pytest.mark.parametrize(("status", "kind"), [(500, "api_error"), (504, "timeout_error")])
def test_what_the_service_broke_off_may_have_been_made(chat: Chat, status: int, kind: str) -> None:
    chat.service.say(refusal(status, kind, "It went wrong."))
    with pytest.raises(OutcomeUnknown):
        refine(chat)
