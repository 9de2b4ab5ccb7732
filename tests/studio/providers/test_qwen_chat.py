from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.providers import PaidCall, cards
from studio.providers.qwen_chat import QwenChat
from studio.settings import Settings
from tests.providers.dashscope_chat import DashScopeChat
from tests.providers.simulator import Reply
from tests.studio import made
from tests.studio.made import FolderStore
from tests.studio.providers.chats import Chat, close, talking


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    with talking(DashScopeChat(), QwenChat, tmp_path, monkeypatch) as chat:
        yield chat


def refine(chat: Chat) -> str:
    return chat.model.refine("狐狸飞走了", title="", language="zh", call=PaidCall("k1")).narration


def refused(status: int, code: str, message: str = "No.") -> Reply:
    return Reply(status, {"error": {"message": message, "type": code, "param": None, "code": code}})


def test_writers_are_held_to_a_schema_and_seers_are_asked_in_words(chat: Chat, tmp_path: Path) -> None:
    refine(chat)
    chat.model.read(made.drawing(tmp_path / "drawing.png"), story=None, call=PaidCall("k1"))
    writer, seer = chat.bodies
    assert writer["response_format"]["type"] == "json_schema"
    assert "response_format" not in seer
    assert '"additionalProperties":false' in seer["messages"][0]["content"]


def test_a_model_that_is_only_held_to_json_reads_the_word_and_the_schema(chat: Chat, tmp_path: Path) -> None:
    changed = '[seer.models.qwen3-vl-plus]\ntraits = ["json_object"]\n'
    (tmp_path / "qwen.toml").write_text(changed, encoding="utf-8")
    cards._text.cache_clear()
    model = QwenChat(Settings(provider_cards=tmp_path), FolderStore(tmp_path).as_store)
    model.read(made.drawing(tmp_path / "drawing.png"), story=None, call=PaidCall("k1"))
    close(model)
    (body,) = chat.bodies
    assert body["response_format"] == {"type": "json_object"}
    assert "json" in body["messages"][0]["content"]
    assert '"additionalProperties":false' in body["messages"][0]["content"]


@pytest.mark.parametrize(
    ("reply", "symbol"),
    [
        (refused(400, "data_inspection_failed"), "CONTENT_REJECTED"),
        (refused(403, "access_denied"), "PROVIDER_ACCOUNT"),
        (refused(429, "insufficient_quota", "The free quota is exhausted."), "PROVIDER_QUOTA"),
        (refused(400, "invalid_parameter_error"), "PROVIDER_REFUSED"),
        (Reply(200, {"code": "DataInspectionFailed", "message": "No.", "request_id": "r1"}), "CONTENT_REJECTED"),
        (Reply(200, {"code": "InvalidParameter", "message": "No.", "request_id": "r1"}), "PROVIDER_REFUSED"),
        (Reply(404, {"code": "NotFound", "message": "No.", "request_id": "r1"}), "MODEL_UNKNOWN"),
    ],
)
def test_refusals_have_their_symbols_in_both_dialects(chat: Chat, reply: Reply, symbol: str) -> None:
    chat.service.say(reply)
    with pytest.raises(StudioError) as caught:
        refine(chat)
    assert caught.value.symbol == symbol


@pytest.mark.parametrize(
    ("reply", "family"),
    [
        (Reply(200, {"code": "ServiceUnavailable", "message": "No.", "request_id": "r1"}), Away),
        # It broke in the middle, perhaps; what waited for the model gave up, and the model may not have; what is not
        # known may be anything.
        (Reply(200, {"code": "InternalError.Algo", "message": "No.", "request_id": "r1"}), OutcomeUnknown),
        (Reply(200, {"code": "RequestTimeOut", "message": "No.", "request_id": "r1"}), OutcomeUnknown),
        (Reply(200, {"code": "Novelty", "message": "No.", "request_id": "r1"}), OutcomeUnknown),
        (Reply(504, {"code": "GatewayTimeout", "message": "No.", "request_id": "r1"}), OutcomeUnknown),
    ],
)
def test_only_what_surely_was_not_accepted_is_asked_again(chat: Chat, reply: Reply, family: type[Exception]) -> None:
    chat.service.say(reply)
    with pytest.raises(family):
        refine(chat)


def test_tokens_of_a_minute_come_again(chat: Chat) -> None:
    chat.service.say(refused(429, "insufficient_quota", "Allocated quota exceeded."))
    with pytest.raises(NotNow) as caught:
        refine(chat)
    assert caught.value.retry_after_s == 30.0
