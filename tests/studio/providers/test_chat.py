"""What holds for all chat models, whatever the service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.language import Language
from studio.providers import PaidCall, Reading, Words
from studio.providers.anthropic_chat import AnthropicChat
from studio.providers.ark_chat import ArkChat
from studio.providers.cards import TextModel
from studio.providers.chat import ChatModel, cost
from studio.providers.chat_questions import Said
from studio.providers.ollama_chat import OllamaChat
from studio.providers.openai_chat import OpenAIChat
from studio.providers.quoting import plain
from studio.providers.qwen_chat import QwenChat
from tests.providers import ark_chat, openai_chat
from tests.providers.anthropic import AnthropicSimulator
from tests.providers.conversations import Talker
from tests.providers.dashscope_chat import DashScopeChat
from tests.providers.ollama import OllamaSimulator
from tests.providers.simulator import Fault
from tests.studio import made
from tests.studio.providers.chats import COST, Chat, draft, talking
from tests.studio.providers.hostile import WORDS

SERVICES: dict[str, tuple[type[Talker], type[ChatModel]]] = {
    "openai": (openai_chat.OpenAIChat, OpenAIChat),
    "anthropic": (AnthropicSimulator, AnthropicChat),
    "ark": (ark_chat.ArkChat, ArkChat),
    "qwen": (DashScopeChat, QwenChat),
    "ollama": (OllamaSimulator, OllamaChat),
}
STORY = "嗯，我的小狐狸小狐狸捡到一个红气球，飞呀飞"
TIDY = "我的小狐狸捡到一个红气球，飞呀飞。"


@pytest.fixture(params=SERVICES)
def chat(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    service, kind = SERVICES[request.param]
    with talking(service(), kind, tmp_path, monkeypatch) as chat:
        yield chat


@pytest.fixture
def openai(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    """One of them, for what is judged after an answer has come, and so is the same with all."""
    with talking(openai_chat.OpenAIChat(), OpenAIChat, tmp_path, monkeypatch) as chat:
        yield chat


def paid(chat: Chat) -> PaidCall | None:
    return None if chat.model.is_free else PaidCall("k1")


def refined(chat: Chat, story: str | None = STORY, *, title: str = "小狐狸", language: Language = "zh") -> Words:
    return chat.model.refine(story, title=title, language=language, call=paid(chat))


def seen(chat: Chat, folder: Path, story: str | None = None) -> Reading:
    return chat.model.read(made.drawing(folder / "drawing.png"), story=story, call=paid(chat))


# --- what goes well


def test_a_story_becomes_a_narration_and_a_scene(chat: Chat) -> None:
    chat.service.say(draft(TIDY, "一只小狐狸抱着红气球，轻轻地飘。"))
    words = refined(chat)
    assert words.narration == TIDY
    assert words.language == "zh"
    assert words.prompt.endswith("「一只小狐狸抱着红气球，轻轻地飘。」")
    assert "保持这幅儿童画原来的线条" in words.prompt
    offer = chat.model.card.writer
    assert offer
    assert words.method == f"{chat.model.card.title} {offer.model}"


@pytest.mark.parametrize(
    ("story", "title"), [(None, "会飞的鱼"), ("  ", "会飞的鱼"), ("the fox flew", ""), (STORY, "")]
)
def test_the_models_own_answer_is_good_for_every_kind_of_story(openai: Chat, story: str | None, title: str) -> None:
    words = refined(openai, story, title=title)
    assert bool(words.narration) == bool(story and story.strip())
    assert len(openai.bodies) == 1


def test_where_nothing_was_told_nobody_is_asked_and_nothing_is_paid(openai: Chat) -> None:
    call = PaidCall("k1")
    words = openai.model.refine(None, title="", language="en", call=call)
    assert (words.narration, words.method, call.micros) == ("", "rules", 0)
    assert openai.bodies == []


def test_a_drawing_is_measured_by_us_and_described_by_the_model(chat: Chat, tmp_path: Path) -> None:
    reading = seen(chat, tmp_path, "The ball is my secret friend.")
    assert reading.summary == {
        "zh": "一个圆球在左边，一个方块在右下方。",
        "en": "A ball is on the left, a block at the lower right.",
    }
    assert [tag["en"] for tag in reading.tags] == ["round and square", "bright"]
    assert [region.label["en"] for region in reading.regions] == ["ball number 1", "ball number 2"]
    assert reading.regions[0].box == pytest.approx((0.15, 0.2, 0.3, 0.4), abs=0.02)
    assert [swatch.name["en"] for swatch in reading.palette] == ["red", "blue"]
    assert set(reading.scores) == {"color_variety", "coverage", "detail", "balance"}
    offer = chat.model.card.seer
    assert offer
    assert reading.method == f"{chat.model.card.title} {offer.model}"


def test_a_picture_that_cannot_be_opened_is_never_sent(openai: Chat, tmp_path: Path) -> None:
    (tmp_path / "drawing.png").write_bytes(b"nonsense")
    with pytest.raises(StudioError) as caught:
        openai.model.read(tmp_path / "drawing.png", story=None, call=paid(openai))
    assert caught.value.symbol == "IMAGE_UNREADABLE"
    assert openai.bodies == []


def test_every_answer_is_charged_and_a_repair_too(chat: Chat) -> None:
    if chat.model.is_free:
        pytest.skip("it charges nothing")
    once, twice = PaidCall("k1"), PaidCall("k2")
    chat.model.refine(STORY, title="", language="zh", call=once)
    assert once.micros == COST
    chat.service.say("nonsense", draft(TIDY))
    chat.model.refine(STORY, title="", language="zh", call=twice)
    assert twice.micros == 2 * COST


def test_costs_are_rounded_up_and_unknown_where_there_is_no_price_or_no_count() -> None:
    priced = TextModel(micros_per_million_input_tokens=1, micros_per_million_output_tokens=1)
    assert cost(priced, Said("", tokens=(1, 0))) == 1
    assert cost(priced, Said("", tokens=(0, 0))) == 0
    assert cost(priced, Said("")) is None
    assert cost(TextModel(), Said("", tokens=(1, 1))) is None


# --- a child's words are data


@pytest.mark.parametrize("story", WORDS.values(), ids=WORDS)
def test_whatever_a_story_says_it_is_one_json_value_of_the_users_message(
    chat: Chat, story: str, tmp_path: Path
) -> None:
    refined(chat, "I like cake", title="cake", language="en")
    harmless = instructions(chat.bodies[0])
    language: Language = "en" if "fox" in story else "zh"
    with suppress(StudioError):
        refined(chat, story, title=story, language=language)
    data = json.loads(said_by_user(chat.bodies[1]))
    assert set(data) == {"title", "story"}
    words = plain(story)
    assert data == {"title": words, "story": words}
    if language == "en":
        assert instructions(chat.bodies[1]) == harmless
    assert words not in instructions(chat.bodies[1])


def test_a_seers_story_is_data_as_well(chat: Chat, tmp_path: Path) -> None:
    seen(chat, tmp_path, WORDS["the end of what is quoted"])
    data = json.loads(said_by_user(chat.bodies[0]))
    assert set(data) == {"story", "regions"}
    assert data["story"] == WORDS["the end of what is quoted"]
    assert "pirate" not in instructions(chat.bodies[0])


def test_the_scene_reaches_the_animator_as_a_quotation_without_flags(openai: Chat) -> None:
    openai.service.say(draft("A fox flew.", 'A fox" flies —dur 12 「up」 [wide] to the moon'))
    prompt = refined(openai, "a fox flew", title="", language="en").prompt
    assert prompt.count('"') == 2
    assert prompt.endswith('"A fox flies up wide to the moon"')


def instructions(body: dict[str, Any]) -> str:
    """All that is said as the system."""
    told = body.get("system") or next(message["content"] for message in body["messages"] if message["role"] == "system")
    assert isinstance(told, str)
    return told


def said_by_user(body: dict[str, Any]) -> str:
    """The text of the first message of the user."""
    content = next(message["content"] for message in body["messages"] if message["role"] == "user")
    if isinstance(content, str):
        return content
    return str(next(part["text"] for part in content if part["type"] == "text"))


# --- answers that are of no use

USELESS = {
    "no JSON": "Here is your story!",
    "cut off": draft(TIDY)[:20],
    "a field too many": draft(TIDY, more=1),
    "a field missing": '{"narration": "我的小狐狸捡到一个红气球，飞呀飞。"}',
    "a wrong type": '{"narration": 7, "scene": "x"}',
    "a list": f"[{draft(TIDY)}]",
    "something behind it": draft(TIDY) + " I hope you like it!",
    "too deep": "[" * 100_000,
    "too long a scene": draft(TIDY, "飘" * 401),
    "no scene": draft(TIDY, "「」"),
    "another language": draft("My little fox found a red balloon and flew.", "A fox drifts."),
    "a scene in another language": draft(TIDY, "A fox drifts."),
    "an address": draft(TIDY, "小狐狸 https://example.com 飘。"),
    "markup": draft("<b>我的小狐狸</b>捡到一个红气球，飞呀飞。"),
    "a flag": draft(TIDY, "小狐狸飘 --dur 12"),
    "new events": draft(TIDY + "后来来了一条大龙把所有的朋友都请到城堡里吃饭跳舞唱歌一直到天亮大家都很开心。"),
    "a story that was lost": draft(""),
    "half a story": draft("我飞。"),
    "somebody else's story": draft("小狐狸捡到一个红气球，飞呀飞。"),
}


@pytest.mark.parametrize("answer", USELESS.values(), ids=USELESS)
def test_an_answer_of_no_use_is_repaired_once(openai: Chat, answer: str) -> None:
    openai.service.say(answer, draft(TIDY))
    assert refined(openai).narration == TIDY
    first, again = openai.bodies
    assert instructions(again) == instructions(first)
    assert again["messages"][: len(first["messages"])] == first["messages"]
    assert "不能用" in again["messages"][-1]["content"]


@pytest.mark.parametrize("answer", USELESS.values(), ids=USELESS)
def test_after_a_repair_of_no_use_nobody_is_asked_again(openai: Chat, answer: str) -> None:
    call = PaidCall("k1")
    openai.service.say(answer, answer)
    with capture_logs() as logs, pytest.raises(StudioError) as caught:
        openai.model.refine(STORY, title="", language="zh", call=call)
    assert (caught.value.symbol, caught.value.params) == ("ANSWER_UNREADABLE", {"provider": openai.model.card.title})
    assert len(openai.bodies) == 2
    assert call.micros == 2 * COST
    assert "小狐狸" not in str(logs)
    assert caught.value.__context__ is None


def test_an_answer_in_a_fence_is_taken_out_of_it(openai: Chat) -> None:
    openai.service.say(f"```json\n{draft(TIDY)}\n```")
    assert refined(openai).narration == TIDY
    assert len(openai.bodies) == 1


def test_an_answer_without_words_is_repaired_without_being_quoted(chat: Chat) -> None:
    chat.service.say("", draft(TIDY))
    assert refined(chat).narration == TIDY
    roles = [message["role"] for message in chat.bodies[1]["messages"] if message["role"] != "system"]
    assert roles == ["user", "user"]


@pytest.mark.parametrize(
    ("said", "narration"),
    [
        ("cat fly", "The cat flies."),
        ("um i i seen a dog and he runned", "I saw a dog, and he ran."),
        ("123", "123"),
    ],
)
def test_mending_the_grammar_of_a_short_story_is_no_new_story(openai: Chat, said: str, narration: str) -> None:
    openai.service.say(draft(narration, "They move gently."))
    assert refined(openai, said, title="pets", language="en").narration == narration
    assert len(openai.bodies) == 1


def sight(**changed: Any) -> str:
    good: dict[str, Any] = {
        "summary": {"zh": "左边有一个球。", "en": "There is a ball on the left."},
        "tags": [{"zh": "圆", "en": "round"}],
        "labels": [{"number": 1, "zh": "球", "en": "ball"}, {"number": 2, "zh": "方块", "en": "block"}],
    }
    return json.dumps(good | changed, ensure_ascii=False)


@pytest.mark.parametrize(
    "answer",
    [
        sight(summary={"zh": "孩子可能有焦虑。", "en": "There is a ball."}),
        sight(summary={"zh": "左边有一个球。", "en": "A sign of anxiety, perhaps."}),
        sight(summary={"zh": "这幅画可以打分：九十。", "en": "There is a ball."}),
        sight(tags=[{"zh": "圆", "en": "better than others"}]),
        sight(tags=[{"zh": "圆", "en": "good for her age"}]),
        sight(tags=[]),
        sight(tags=[{"zh": "round", "en": "round"}]),
        sight(tags=[{"zh": "圆", "en": "圆"}]),
        sight(tags=[{"zh": "圆", "en": "see www.example.com"}]),
        sight(labels=[{"number": 1, "zh": "球", "en": "ball"}]),
        sight(labels=[{"number": 1, "zh": "球", "en": "ball"}] * 2),
        sight(labels=[{"number": 1, "zh": "球", "en": "ball"}, {"number": 9, "zh": "球", "en": "ball"}]),
        sight(diagnosis="none"),
    ],
)
def test_a_sight_that_judges_or_does_not_fit_the_drawing_is_repaired_once(
    openai: Chat, tmp_path: Path, answer: str
) -> None:
    openai.service.say(answer, sight())
    reading = seen(openai, tmp_path)
    assert [region.label["en"] for region in reading.regions] == ["ball", "block"]
    assert len(openai.bodies) == 2


# --- faults


def test_an_answer_that_breaks_off_is_repaired(chat: Chat) -> None:
    chat.service.fail("chat", Fault.MALFORMED)
    assert refined(chat).narration
    assert len(chat.bodies) == 2
    chat.service.fail("chat", Fault.MALFORMED, Fault.MALFORMED)
    assert_fails(chat, "ANSWER_UNREADABLE")


@pytest.mark.parametrize(
    ("fault", "symbol"),
    [
        (Fault.REJECTED, "CONTENT_REJECTED"),
        (Fault.UNAUTHORIZED, "PROVIDER_ACCOUNT"),
        (Fault.SPENT, "PROVIDER_QUOTA"),
        (Fault.NO_MODEL, "MODEL_UNKNOWN"),
    ],
)
def test_a_refusal_has_its_symbol(chat: Chat, fault: Fault, symbol: str) -> None:
    if chat.model.is_free and fault is not Fault.NO_MODEL:
        pytest.skip("it has neither accounts nor filters")
    chat.service.fail("chat", fault)
    error = assert_fails(chat, symbol)
    if symbol == "MODEL_UNKNOWN":
        assert error.params["setting"] == f"{chat.model.name.upper()}_LLM_MODEL"
    if symbol == "PROVIDER_ACCOUNT":
        assert str(error.params["setting"]).endswith("_API_KEY")
    assert len(chat.bodies) == 1


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.BUSY_WITH_RETRY_AFTER])
def test_a_busy_service_is_asked_again_later(chat: Chat, fault: Fault) -> None:
    chat.service.fail("chat", fault)
    with pytest.raises(NotNow) as caught:
        refined(chat)
    assert not isinstance(caught.value, Away)
    own = chat.service.busy().headers.get("Retry-After")
    assert caught.value.retry_after_s == (1.0 if fault is Fault.BUSY_WITH_RETRY_AFTER else own and float(own))


@pytest.mark.parametrize("fault", [Fault.BROKEN, Fault.GATEWAY, Fault.DROPPED, Fault.LOST])
def test_a_lost_answer_is_an_unknown_outcome_where_it_may_have_been_charged(chat: Chat, fault: Fault) -> None:
    chat.service.fail("chat", fault)
    with pytest.raises(Away if chat.model.is_free else OutcomeUnknown):
        refined(chat)
    assert len(chat.bodies) == 1


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.SPENT, Fault.NO_MODEL])
def test_a_repair_that_is_refused_does_not_have_the_first_answer_bought_again(chat: Chat, fault: Fault) -> None:
    if chat.model.is_free:
        pytest.skip("nothing is bought")
    call = PaidCall("k1")
    chat.service.say("nonsense")
    chat.service.fail("chat", Fault.SLOW, fault)
    chat.service.slow_s = 0.0
    with pytest.raises(StudioError) as caught:
        chat.model.refine(STORY, title="", language="zh", call=call)
    assert (caught.value.symbol, call.micros) == ("ANSWER_UNREADABLE", COST)


@pytest.mark.parametrize("fault", [Fault.BROKEN, Fault.DROPPED])
def test_a_repair_whose_answer_is_lost_has_an_unknown_outcome(chat: Chat, fault: Fault) -> None:
    chat.service.say("nonsense")
    chat.service.fail("chat", Fault.SLOW, fault)
    chat.service.slow_s = 0.0
    with pytest.raises(Away if chat.model.is_free else OutcomeUnknown):
        refined(chat)


def assert_fails(chat: Chat, symbol: str) -> StudioError:
    with pytest.raises(StudioError) as caught:
        refined(chat)
    assert caught.value.symbol == symbol
    return caught.value


def test_a_repair_shows_every_service_its_answer_and_what_is_wrong_with_it(chat: Chat) -> None:
    chat.service.say("Here is your story!", draft(TIDY))
    assert refined(chat).narration == TIDY
    first, again = chat.bodies
    assert instructions(again) == instructions(first)
    asked = first["messages"]
    assert again["messages"][: len(asked)] == asked
    answer, complaint = again["messages"][len(asked) :]
    assert answer == {"role": "assistant", "content": "Here is your story!"}
    assert complaint["role"] == "user"
    assert "不能用" in complaint["content"]
