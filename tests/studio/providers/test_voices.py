"""What only the voices of outside services do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from studio.media import sound
from studio.providers import cards
from studio.providers.cards import VoiceModel
from studio.settings import Settings
from tests.providers.dashscope_audio import DashScopeAudio
from tests.studio.providers.hostile import WORDS, changed, text_at
from tests.studio.providers.makers import KEY, VOICES, Bench, at


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with at(VOICES[request.param], tmp_path) as bench:
        yield bench


each = pytest.mark.parametrize("bench", VOICES, indirect=True)
cosyvoice = pytest.mark.parametrize("bench", ["cosyvoice"], indirect=True)


def model_of(bench: Bench) -> VoiceModel:
    offer = cards.load(bench.provider.name, Settings()).voice
    assert offer
    return offer.models[bench.case.request.model]


@each
def test_what_was_spoken_can_be_heard(bench: Bench) -> None:
    assert bench.fetch(bench.buy()) is None
    facts = sound.inspect(bench.target, max_seconds=60)
    assert (facts.mime, facts.silent) == ("audio/mpeg", False)


@each
def test_the_longest_text_that_the_card_offers_is_spoken(bench: Bench) -> None:
    assert bench.submit(text="了" * model_of(bench).text_max_chars) in bench.kept


@each
@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_whatever_is_said_is_spoken_as_it_is_and_changes_nothing_else(bench: Bench, words: str) -> None:
    told = words[: model_of(bench).text_max_chars]
    for number, text in enumerate(("A sun rises.", told)):
        assert bench.submit(key=f"{KEY}{number}", text=text) in bench.kept
    harmless, order = bench.simulator.asked("speech")
    (where,) = changed(harmless, order)
    assert where.rpartition(".")[2] in {"input", "text"}
    assert text_at(order, where) == told


@pytest.mark.parametrize(
    ("bench", "text", "micros"),
    [
        # Eight characters that count double, at 100 micros each.
        ("cosyvoice", "从前有一只小狗。", 1600),
        ("cosyvoice", "dog", 300),
        ("openai-voice", "dog", None),
    ],
    indirect=["bench"],
)
def test_a_price_is_only_told_where_one_is_known(bench: Bench, text: str, micros: int | None) -> None:
    assert bench.provider.estimate(msgspec.structs.replace(bench.case.request, text=text)) == micros


@cosyvoice
def test_what_is_too_large_is_not_fetched(bench: Bench) -> None:
    made = bench.buy()
    bench.provider = bench.another(audio_max_bytes=100)
    assert bench.fetch(made) == "CLIP_UNREADABLE"


@cosyvoice
def test_an_address_that_says_http_is_fetched_by_https(bench: Bench) -> None:
    assert isinstance(bench.simulator, DashScopeAudio)
    bench.simulator.says_http = True
    kept = bench.store.folder / bench.buy().location
    assert kept.read_text().startswith("https://results.example.com/")
