"""The voices of outside services, which all answer at once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from studio.errors import NotNow, StudioError
from studio.media import sound
from studio.providers.cosyvoice_voice import CosyVoice
from studio.providers.interfaces import Made, SpeechRequest
from studio.providers.openai_voice import OpenAIVoice
from studio.providers.voices import PaidVoice
from tests.providers.dashscope_audio import DashScopeAudio
from tests.providers.openai_audio import OpenAIAudio
from tests.providers.simulator import Fault, Simulator
from tests.studio.made import FolderStore
from tests.studio.providers.asking import outcome, settings_for
from tests.studio.providers.hostile import WORDS, changed, text_at

KEY = "0199aa00000000000000000000000001"
FOLDER = "clients/somebody/artworks/one/render/v1/"
COSY = SpeechRequest(
    folder=FOLDER, text="从前有一只小狗。", language="zh", model="cosyvoice-v3-flash", voice="longanyang"
)
OPENAI = SpeechRequest(folder=FOLDER, text="There was a dog.", language="en", model="gpt-4o-mini-tts", voice="coral")


class Bench:
    """One voice at its simulator."""

    def __init__(self, simulator: Simulator, kind: type[PaidVoice], request: SpeechRequest, folder: Path) -> None:
        self.simulator = simulator
        self.request = request
        self.folder = folder
        self.store = FolderStore(folder / "bucket")
        self.cards = folder / "cards"
        self.kind = kind
        self.voice = self.made()

    def made(self, **changes: Any) -> PaidVoice:
        settings = settings_for(self.simulator, provider_cards=self.cards, **changes)
        return self.kind(settings, self.store.as_store)

    def submit(self, **changes: Any) -> object:
        request = msgspec.structs.replace(self.request, **changes)
        return outcome(lambda: self.voice.submit(request, idempotency_key=KEY))

    def look(self) -> Made:
        found = self.voice.look(f"{KEY}{self.kind.ending}", self.request, progress=print)
        assert isinstance(found, Made)
        return found

    def fetch(self) -> object:
        return outcome(lambda: self.voice.fetch(self.look(), self.folder / "voice"))


def bench_of(name: str, folder: Path) -> Bench:
    if name == "openai":
        return Bench(OpenAIAudio(), OpenAIVoice, OPENAI, folder)
    return Bench(DashScopeAudio(), CosyVoice, COSY, folder)


@pytest.fixture(params=["cosyvoice", "openai"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made = bench_of(request.param, tmp_path)
    with made.simulator.running():
        made.voice = made.made()
        yield made


@pytest.fixture
def cosyvoice(tmp_path: Path) -> Iterator[Bench]:
    made = bench_of("cosyvoice", tmp_path)
    with made.simulator.running():
        made.voice = made.made()
        yield made


def test_what_was_spoken_can_be_heard(bench: Bench) -> None:
    assert bench.submit() == f"{KEY}{bench.kind.ending}"
    assert bench.fetch() is None
    facts = sound.inspect(bench.folder / "voice", max_seconds=60)
    assert (facts.mime, facts.silent) == ("audio/mpeg", False)


def test_a_call_that_is_made_again_after_it_was_kept_buys_nothing(bench: Bench) -> None:
    assert bench.submit() == bench.submit()
    assert len(bench.simulator.asked("speech")) == 1


def test_what_was_kept_is_found_again_and_what_was_lost_stays_unknown(bench: Bench) -> None:
    def reconcile(age_s: float) -> object:
        return outcome(lambda: bench.voice.reconcile(bench.request, idempotency_key=KEY, age_s=age_s))

    assert reconcile(1) == "not now", "it may be on its way"
    assert reconcile(3600) == "unknown"
    bench.submit()
    assert reconcile(1) == f"{KEY}{bench.kind.ending}"
    bench.voice.forget(bench.look())
    bench.voice.forget(bench.look())
    assert list(bench.store.folder.rglob("*.*")) == []
    assert bench.fetch() == "CLIP_GONE"


@pytest.mark.parametrize(
    ("fault", "came_of_it"),
    [
        (Fault.SLOW, None),
        (Fault.BUSY, "not now"),
        (Fault.BUSY_WITH_RETRY_AFTER, "not now"),
        (Fault.BROKEN, "away"),
        (Fault.GATEWAY, "unknown"),
        (Fault.DROPPED, "unknown"),
        (Fault.LOST, "unknown"),
        (Fault.MALFORMED, "unknown"),
        (Fault.TRUNCATED, "unknown"),
        (Fault.REJECTED, "CONTENT_REJECTED"),
        (Fault.UNAUTHORIZED, "PROVIDER_ACCOUNT"),
        (Fault.SPENT, "PROVIDER_QUOTA"),
        (Fault.NO_MODEL, "MODEL_UNKNOWN"),
    ],
)
def test_what_comes_of_a_fault(bench: Bench, fault: Fault, came_of_it: object) -> None:
    bench.simulator.fail("speech", fault)
    assert bench.submit() == came_of_it or f"{KEY}{bench.kind.ending}"
    assert len(bench.simulator.asked("speech")) == 1, "nothing is repeated here"
    assert bool(list(bench.store.folder.rglob("*.*"))) == (came_of_it is None)


@pytest.mark.parametrize(
    ("changes", "refusal", "named"),
    [
        ({"model": "nobody"}, "MODEL_UNKNOWN", "nobody"),
        ({"voice": "nobody"}, "CLIP_NOT_OFFERED", "nobody"),
        ({"text": "了" * 5000}, "CLIP_NOT_OFFERED", "5000"),
    ],
)
def test_what_the_card_does_not_offer_is_refused_before_it_is_paid(
    bench: Bench, changes: dict[str, str], refusal: str, named: str
) -> None:
    with pytest.raises(StudioError) as caught:
        bench.voice.submit(msgspec.structs.replace(bench.request, **changes), idempotency_key=KEY)
    assert caught.value.symbol == refusal
    assert named in caught.value.params.values()
    assert bench.simulator.requests == []


def test_the_longest_text_that_the_card_offers_is_spoken(bench: Bench) -> None:
    longest = bench.voice._model(bench.request).text_max_chars
    assert bench.submit(text="了" * longest) == f"{KEY}{bench.kind.ending}"


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_whatever_is_said_is_spoken_as_it_is_and_changes_nothing_else(bench: Bench, words: str) -> None:
    told = words[: bench.voice._model(bench.request).text_max_chars]
    for number, text in enumerate(("A sun rises.", told)):
        request = msgspec.structs.replace(bench.request, text=text)
        assert isinstance(outcome(lambda: bench.voice.submit(request, idempotency_key=f"{KEY}{number}")), str)  # noqa: B023
    harmless, order = bench.simulator.asked("speech")
    (where,) = changed(harmless, order)
    assert where.rpartition(".")[2] in {"input", "text"}
    assert text_at(order, where) == told


def test_while_the_bucket_is_away_nothing_is_bought(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.store, "head", away)
    assert bench.submit() == "not now"
    assert bench.simulator.requests == []


def test_what_was_bought_and_cannot_be_kept_is_never_bought_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.store, "upload", away)
    assert bench.submit() == "unknown"


def away(*_arguments: object, **_options: object) -> None:
    raise NotNow("the bucket is away")


def test_a_price_is_only_told_where_one_is_known(tmp_path: Path) -> None:
    assert bench_of("openai", tmp_path).voice.estimate(OPENAI) is None
    cosyvoice = bench_of("cosyvoice", tmp_path).voice
    assert cosyvoice.estimate(COSY) == 1600, "eight characters that count double, at 100 micros each"
    assert cosyvoice.estimate(msgspec.structs.replace(COSY, text="dog")) == 300


@pytest.mark.parametrize(
    ("fault", "came_of_it"),
    [
        (Fault.EXPIRED, "CLIP_GONE"),
        (Fault.TRUNCATED, "away"),
        (Fault.BROKEN, "away"),
        (Fault.DROPPED, "away"),
        (Fault.MALFORMED, "CLIP_UNREADABLE"),
    ],
)
def test_what_comes_of_a_fault_while_it_is_fetched(cosyvoice: Bench, fault: Fault, came_of_it: object) -> None:
    cosyvoice.submit()
    cosyvoice.simulator.fail("speech_result", fault)
    assert cosyvoice.fetch() == came_of_it
    assert cosyvoice.fetch() is None, "it is kept there, and can be fetched later"
    assert len(cosyvoice.simulator.asked("speech")) == 1


def test_what_is_too_large_is_not_fetched(cosyvoice: Bench) -> None:
    cosyvoice.submit()
    cosyvoice.voice = cosyvoice.made(audio_max_bytes=100)
    assert cosyvoice.fetch() == "CLIP_UNREADABLE"


def test_an_address_that_says_http_is_fetched_by_https(cosyvoice: Bench) -> None:
    assert isinstance(cosyvoice.simulator, DashScopeAudio)
    cosyvoice.simulator.says_http = True
    cosyvoice.submit()
    kept = cosyvoice.folder / "kept"
    shutil.copy(cosyvoice.store.folder / cosyvoice.look().location, kept)
    assert kept.read_text().startswith("https://results.example.com/")
