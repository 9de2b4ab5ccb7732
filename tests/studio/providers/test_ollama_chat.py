from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.errors import Away, StudioError
from studio.providers import PaidCall
from studio.providers.ollama_chat import OllamaChat
from studio.settings import Settings
from tests.providers.ollama import OllamaSimulator, answered
from tests.providers.simulator import Fault, Reply
from tests.studio import made
from tests.studio.made import FolderStore
from tests.studio.providers.asking import outcome
from tests.studio.providers.chats import Chat, close, draft, talking


@pytest.fixture
def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    with talking(OllamaSimulator(), OllamaChat, tmp_path, monkeypatch) as chat:
        yield chat


def test_it_is_free_and_may_be_asked_again(chat: Chat) -> None:
    assert chat.model.is_free
    assert chat.model.repeats_safely


def test_it_is_held_to_the_schema_and_told_it_too_and_its_answer_is_bounded(chat: Chat) -> None:
    chat.refine()
    (body,) = chat.bodies
    assert body["stream"] is False
    assert body["format"]["additionalProperties"] is False
    assert '"additionalProperties":false' in body["messages"][0]["content"]
    assert body["options"]["num_predict"] > 0


def test_a_picture_is_sent_as_plain_base64(chat: Chat, tmp_path: Path) -> None:
    chat.model.read(made.drawing(tmp_path / "drawing.png"), story=None, call=PaidCall("k1"))
    (picture,) = chat.bodies[0]["messages"][1]["images"]
    assert not picture.startswith("data:")


def test_any_model_that_was_pulled_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with talking(OllamaSimulator(), OllamaChat, tmp_path, monkeypatch, OLLAMA_LLM_MODEL="llama3.2") as chat:
        words = chat.model.refine("狐狸飞走了", title="", language="zh", call=PaidCall("k1"))
        assert words.method == "Ollama llama3.2"
        assert isinstance(chat.bodies[0]["format"], dict)


def test_a_model_that_was_not_pulled_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with talking(OllamaSimulator(), OllamaChat, tmp_path, monkeypatch, OLLAMA_LLM_MODEL="mistral") as chat:
        with pytest.raises(StudioError) as caught:
            chat.refine()
        assert caught.value.symbol == "MODEL_UNKNOWN"
        assert caught.value.params["setting"] == "OLLAMA_LLM_MODEL"


def test_an_answer_that_became_too_long_is_asked_for_anew(chat: Chat) -> None:
    chat.service.say(Reply(200, answered("qwen2.5:0.5b", draft("狐狸飞走了。")[:15], done_reason="length")))
    assert chat.refine()
    assert len(chat.bodies) == 2


def test_an_answer_that_is_none_is_asked_for_again_later(chat: Chat) -> None:
    chat.service.say(Reply(200, b'{"model": "cut off'))
    assert outcome(chat.refine) == "away"


def test_a_repair_that_cannot_be_had_now_is_no_failure(chat: Chat) -> None:
    chat.service.say("nonsense")
    chat.service.slow_s = 0.0
    chat.service.fail("chat", Fault.SLOW, Fault.BROKEN)
    assert outcome(chat.refine) == "away"


def test_where_nobody_listens_it_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = OllamaSimulator()
    with service.running() as url:
        monkeypatch.setenv("OLLAMA_BASE_URL", url)
    model = OllamaChat(Settings(), FolderStore(tmp_path).as_store)
    with pytest.raises(Away):
        model.refine("狐狸飞走了", title="", language="zh", call=PaidCall("k1"))
    close(model)
