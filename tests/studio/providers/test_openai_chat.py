from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from studio.errors import Away, OutcomeUnknown, StudioError
from studio.providers import PaidCall
from studio.providers.chat_questions import schema_of
from studio.providers.chat_seeing import Sight
from studio.providers.chat_writing import Draft
from studio.providers.openai_chat import OpenAIChat
from tests.providers import openai_chat
from tests.providers.conversations import completion
from tests.providers.openai import refusal
from tests.providers.simulator import Reply
from tests.studio import made
from tests.studio.providers.chats import COST, Chat, draft, talking


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    with talking(openai_chat.OpenAIChat(), OpenAIChat, tmp_path, monkeypatch) as chat:
        yield chat


def refine(chat: Chat, call: PaidCall | None = None) -> str:
    return chat.model.refine("狐狸飞走了", title="", language="zh", call=call or PaidCall("k1")).narration


def test_it_is_held_to_a_closed_schema_and_told_to_keep_nothing(chat: Chat) -> None:
    refine(chat)
    (body,) = chat.bodies
    assert body["response_format"]["json_schema"] == {"name": "draft", "strict": True, "schema": schema_of(Draft)}
    assert body["store"] is False
    assert body["max_completion_tokens"] > 0
    assert "temperature" not in body


def test_a_schema_has_no_references_and_no_keywords_that_a_service_may_not_know() -> None:
    assert schema_of(Draft) == {
        "type": "object",
        "properties": {
            "narration": {"type": "string", "description": "at most 3000 characters"},
            "scene": {"type": "string", "description": "at least 1 characters, at most 400 characters"},
        },
        "required": ["narration", "scene"],
        "additionalProperties": False,
    }
    assert "$" not in str(schema_of(Sight))


def test_a_drawing_goes_along_as_a_small_jpeg(chat: Chat, tmp_path: Path) -> None:
    drawing = made.drawing(tmp_path / "drawing.png", (3000, 2000))
    chat.model.read(drawing, story=None, call=PaidCall("k1"))
    picture, text = chat.bodies[0]["messages"][1]["content"]
    url = picture["image_url"]["url"]
    assert len(url) < 1_500_000
    content = base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))
    assert max(Image.open(io.BytesIO(content)).size) == 1280
    assert text["type"] == "text"


@pytest.mark.parametrize(
    "answer",
    [
        completion("gpt-6-luna", draft("狐狸飞走了。"), finish_reason="content_filter"),
        completion("gpt-6-luna", "", refusal="I can't help with that."),
    ],
)
def test_what_the_model_would_not_say_is_rejected_without_a_repair_and_charged(chat: Chat, answer: object) -> None:
    call = PaidCall("k1")
    chat.service.say(Reply(200, answer))
    with pytest.raises(StudioError) as caught:
        refine(chat, call)
    assert (caught.value.symbol, call.micros, len(chat.bodies)) == ("CONTENT_REJECTED", COST, 1)


def test_a_repair_that_is_rejected_is_rejected(chat: Chat) -> None:
    chat.service.say("nonsense", Reply(200, completion("gpt-6-luna", "", refusal="No.")))
    with pytest.raises(StudioError) as caught:
        refine(chat)
    assert caught.value.symbol == "CONTENT_REJECTED"


def test_an_answer_that_became_too_long_is_asked_for_anew_even_where_it_looks_whole(chat: Chat) -> None:
    chat.service.say(Reply(200, completion("gpt-6-luna", draft("狐狸飞走了。"), finish_reason="length")))
    assert refine(chat)
    assert len(chat.bodies) == 2
    assert "断了" in chat.bodies[1]["messages"][-1]["content"]


@pytest.mark.parametrize("body", [b'{"id": "cut off', b"[]", b'{"choices": []}', b'{"choices": [{"message": 3}]}'])
def test_an_answer_without_a_message_was_charged_and_lost(chat: Chat, body: bytes) -> None:
    chat.service.say(Reply(200, body))
    with pytest.raises(OutcomeUnknown):
        refine(chat)
    assert len(chat.bodies) == 1


def test_an_answer_without_a_count_of_tokens_leaves_the_cost_open(chat: Chat) -> None:
    call = PaidCall("k1")
    answer = completion("gpt-6-luna", draft("狐狸飞走了。"))
    del answer["usage"]
    chat.service.say(Reply(200, answer))
    refine(chat, call)
    assert call.micros is None


@pytest.mark.parametrize(
    ("reply", "symbol"),
    [
        (refusal(429, "No credit left.", kind="billing", code="credit_balance_exhausted"), "PROVIDER_QUOTA"),
        (refusal(403, "Not in this country.", kind="invalid_request_error"), "PROVIDER_ACCOUNT"),
        (refusal(400, "Something is wrong.", kind="invalid_request_error"), "PROVIDER_REFUSED"),
        (refusal(404, "It has retired.", kind="invalid_request_error"), "MODEL_UNKNOWN"),
    ],
)
def test_refusals_have_their_symbols(chat: Chat, reply: Reply, symbol: str) -> None:
    chat.service.say(reply)
    with pytest.raises(StudioError) as caught:
        refine(chat)
    assert caught.value.symbol == symbol


def test_an_overloaded_service_is_away(chat: Chat) -> None:
    chat.service.say(refusal(503, "Slow down.", kind="server_error", code="slow_down"))
    with pytest.raises(Away):
        refine(chat)


def test_what_the_service_broke_off_may_have_been_made(chat: Chat) -> None:
    chat.service.say(refusal(500, "It went wrong.", kind="server_error"))
    with pytest.raises(OutcomeUnknown):
        refine(chat)


def test_a_model_that_the_card_does_not_know_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = openai_chat.OpenAIChat()
    with talking(service, OpenAIChat, tmp_path, monkeypatch, OPENAI_LLM_MODEL="gpt-4-turbo") as chat:
        with pytest.raises(StudioError) as caught:
            refine(chat)
        assert caught.value.symbol == "MODEL_UNKNOWN"
        assert caught.value.params["setting"] == "OPENAI_LLM_MODEL"
        assert "gpt-6-luna" in str(caught.value.params["offered"])
        assert chat.bodies == []
