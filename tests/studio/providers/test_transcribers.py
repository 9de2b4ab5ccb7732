"""What holds for all transcribers that are paid, and what only one of them does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from app import samples
from studio.objects import ObjectStore
from studio.providers import Heard, PaidCall, Pending, Transcriber, cards
from studio.providers.doubao_standard_transcriber import DoubaoStandardTranscriber
from studio.providers.doubao_transcriber import DoubaoTranscriber
from studio.providers.local_transcriber import LocalTranscriber
from studio.providers.openai_transcriber import OpenAITranscriber
from studio.providers.qwen_transcriber import QwenTranscriber
from studio.settings import Settings
from tests.providers import dashscope_audio, doubao, openai_audio
from tests.providers.doubao import DoubaoSimulator, told
from tests.providers.simulator import Fault, Reply, Request, Simulator
from tests.studio import made
from tests.studio.made import FolderStore
from tests.studio.providers import asking
from tests.studio.providers.asking import BUYING, outcome, settings_for

STORY = Path(samples.__file__).parent / "story.ogg"
KEY = "call-1"
LATER = Pending(look_again_s=2.0)
"""What the standard edition answers at first."""
PUBLIC = "https://media.example.com"
"""A bucket that the standard edition can fetch from."""


@dataclass(frozen=True)
class Case:
    """A transcriber, its service, the operation by which it buys, and what it makes of our sample."""

    kind: Callable[[Settings, ObjectStore], Transcriber]
    service: type[Simulator]
    buys: str
    text: str
    micros: int | None
    """By the card as it is; None where no price is known."""
    micros_at_36_cents: int
    """Where an hour costs 0.36."""
    never: frozenset[Fault] = frozenset()
    """Faults that the service has no words for, or nothing that could meet with them."""


DOUBAO_NEVER = frozenset({Fault.REJECTED, Fault.SPENT})
CASES = {
    "openai": Case(OpenAITranscriber, openai_audio.OpenAIAudio, "transcription", openai_audio.TEXT, None, 1300),
    "qwen": Case(QwenTranscriber, dashscope_audio.DashScopeAudio, "chat", dashscope_audio.TEXT, None, 1300),
    "doubao": Case(DoubaoTranscriber, DoubaoSimulator, "flash", doubao.TEXT, None, 1261, DOUBAO_NEVER),
    "doubao-standard": Case(
        DoubaoStandardTranscriber, DoubaoSimulator, "submit", doubao.TEXT, 556, 250, DOUBAO_NEVER | {Fault.TRUNCATED}
    ),
}
FAULTS = [
    pytest.param(name, fault, BUYING[fault], id=f"{name}-{fault}")
    for name, case in CASES.items()
    for fault in BUYING
    if fault not in case.never
]


class Bench(asking.Bench[Transcriber]):
    """One transcriber at its simulator."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.case = CASES[name]
        super().__init__(self.case.kind, self.case.service(), folder)

    def another(self, **changes: object) -> Transcriber:
        return super().another(**{"s3_public_endpoint": PUBLIC, **changes})

    def change_card(self, facts: str) -> None:
        """What a deployer changes of the model's facts."""
        offer = cards.load(self.name, Settings()).transcriber
        assert offer
        toml = f'[transcriber.models."{offer.model}"]\n{facts}\n'
        (self.folder / "cards" / f"{self.name}.toml").write_text(toml, encoding="utf-8")

    def ask(self, recording: Path = STORY, call: PaidCall | None = None) -> object:
        """What comes of one call; it is the same call each time."""
        return outcome(lambda: self.provider.transcribe(recording, call=call or PaidCall(KEY)))

    def hear(self, recording: Path = STORY, call: PaidCall | None = None) -> object:
        """What comes of it in the end."""
        found = self.ask(recording, call)
        return self.ask(recording, call) if isinstance(found, Pending) else found

    @property
    def bought(self) -> int:
        """How often it was asked for something that costs."""
        return len(self.simulator.asked(self.case.buys))


@contextmanager
def at(name: str, folder: Path) -> Iterator[Bench]:
    bench = Bench(name, folder)
    with bench.simulator.running():
        yield bench


@pytest.fixture(params=CASES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with at(request.param, tmp_path) as bench:
        yield bench


@pytest.fixture
def flash(tmp_path: Path) -> Iterator[Bench]:
    with at("doubao", tmp_path) as bench:
        yield bench


@pytest.fixture
def standard(tmp_path: Path) -> Iterator[Bench]:
    with at("doubao-standard", tmp_path) as bench:
        yield bench


# --- what goes well


def test_it_writes_down_what_was_said(bench: Bench) -> None:
    assert bench.hear() == Heard(bench.case.text)
    assert bench.bought == 1


def test_silence_has_no_words(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The standard edition fetches what it hears, which its simulator does not.
    monkeypatch.setattr(DoubaoSimulator, "_words", lambda *_: told("20000003", "silent audio"))
    assert bench.hear(made.wav(tmp_path / "silence.wav", np.zeros(made.RATE))) == Heard("")


# One is sent an MP3, the other a WAV.
@pytest.mark.parametrize("bench", ["openai", "qwen"], indirect=True)
def test_every_format_of_browsers_and_phones_is_sent_as_one_that_it_takes(bench: Bench, tmp_path: Path) -> None:
    voice = made.wav(tmp_path / "voice.wav", made.tone(1.0))
    for ending in ("webm", "m4a", "aac", "ogg", "flac", "mp3", "wav"):
        recording = made.run("-i", voice, tmp_path / f"recorded.{ending}").rename(tmp_path / "recorded")
        assert bench.hear(recording, PaidCall(ending)) == Heard(bench.case.text), ending


def test_what_it_heard_is_charged_once_by_the_cards_price_and_no_price_is_made_up(bench: Bench) -> None:
    call = PaidCall(KEY)
    bench.hear(call=call)
    assert call.micros == bench.case.micros


def test_a_deployer_who_knows_the_price_has_it_charged(bench: Bench) -> None:
    bench.change_card("micros_per_hour = 360_000")
    call = PaidCall(KEY)
    bench.hear(call=call)
    # Coders differ by a few frames in how long the same recording becomes.
    assert call.micros == pytest.approx(bench.case.micros_at_36_cents, abs=10), "100 for each second that it heard"


def test_words_are_words_even_where_it_is_not_told_how_long_they_were(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = bench.simulator.answer

    def answer_without_length(request: Request) -> tuple[Reply | None, Fault | None]:
        reply, fault = answer(request)
        if reply and reply.body:
            reply.body |= dict.fromkeys(reply.body.keys() & {"usage", "audio_info"})
        return reply, fault

    monkeypatch.setattr(bench.simulator, "answer", answer_without_length)
    bench.change_card("micros_per_hour = 360_000")
    call = PaidCall(KEY)
    assert bench.hear(call=call) == Heard(bench.case.text)
    assert call.micros is None


# --- what does not


def test_a_slow_answer_is_an_answer(bench: Bench) -> None:
    bench.simulator.slow_s = 0.1
    bench.simulator.fail(bench.case.buys, Fault.SLOW)
    assert bench.hear() == Heard(bench.case.text)


@pytest.mark.parametrize(("name", "fault", "came_of_it"), FAULTS)
def test_each_fault_of_a_purchase_is_told_for_what_it_is(
    tmp_path: Path, name: str, fault: Fault, came_of_it: str
) -> None:
    with at(name, tmp_path) as bench:
        bench.simulator.fail(bench.case.buys, fault)
        assert bench.ask() == came_of_it
        assert bench.bought == 1, "nothing is repeated here"


def test_a_model_that_the_card_does_not_know_is_not_asked(bench: Bench) -> None:
    settings = settings_for(bench.simulator, s3_public_endpoint=PUBLIC)
    settings._variables[f"{cards.prefix_of(bench.name)}_ASR_MODEL"] = "none"
    bench.provider = bench.kind(settings, bench.store.as_store)
    assert bench.ask() == "MODEL_UNKNOWN"
    assert bench.simulator.requests == []


@pytest.mark.parametrize("limit", ["max_seconds = 3", "max_bytes = 9000"])
def test_a_recording_beyond_the_service_is_not_sent(bench: Bench, limit: str) -> None:
    bench.change_card(limit)
    assert bench.ask() == "AUDIO_TOO_LONG"
    assert bench.simulator.requests == []


def test_what_is_no_recording_is_not_sent(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "story.webm"
    path.write_bytes(b"no sound")
    assert bench.ask(path) == "AUDIO_UNREADABLE"
    assert bench.simulator.requests == []


@pytest.mark.parametrize(("seconds", "came_of_it"), [(230.0, Heard(dashscope_audio.TEXT)), (240.0, "AUDIO_TOO_LONG")])
def test_the_longest_recording_is_taken_by_qwen_whichever_way_its_bytes_are_counted(
    tmp_path: Path, seconds: float, came_of_it: object
) -> None:
    with at("qwen", tmp_path) as qwen:
        assert qwen.ask(made.wav(tmp_path / "long.wav", made.tone(seconds))) == came_of_it


def test_the_local_one_admits_that_it_cannot_tell_the_words(tmp_path: Path) -> None:
    transcriber = LocalTranscriber(Settings(), FolderStore(tmp_path).as_store)
    assert transcriber.transcribe(tmp_path / "story.webm") == Heard(None)


# --- Doubao, both editions


def test_doubao_is_told_nobodys_id_and_the_same_one_of_the_call_on_every_attempt(flash: Bench) -> None:
    flash.ask()
    flash.ask()
    first, second = flash.simulator.asked("flash")
    assert first.json["user"] == {"uid": "huaban"}
    assert first.headers["X-Api-Request-Id"] == second.headers["X-Api-Request-Id"]


@pytest.mark.parametrize(
    ("reply", "came_of_it"),
    [
        (told("20000001", "processing"), "unknown"),
        (told("20000000", "OK"), "unknown"),
        (told("20000000", "OK", {"result": [{"text": "小狗"}, {"text": "飞了。"}]}), Heard("小狗飞了。")),
        (told("45000001", "invalid parameter"), "PROVIDER_REFUSED"),
        (told("45000002", "empty audio"), "AUDIO_UNREADABLE"),
        (told("45000151", "bad audio format"), "AUDIO_UNREADABLE"),
        (told("45999999", "of the caller's making"), "PROVIDER_REFUSED"),
        (told("55999999", "of its own making"), "away"),
        (Reply(200, {"result": {"text": "whose?"}}), "unknown"),
        (Reply(403, {"message": "wrong kind of key"}), "PROVIDER_ACCOUNT"),
        # Of what stands before the service.
        (Reply(503, {"message": "upstream is gone"}), "unknown"),
        (Reply(429, {}), "not now"),
    ],
)
def test_what_comes_of_a_code_of_doubaos(
    flash: Bench, monkeypatch: pytest.MonkeyPatch, reply: Reply, came_of_it: object
) -> None:
    monkeypatch.setattr(DoubaoSimulator, "_words", lambda *_: reply)
    assert flash.ask() == came_of_it


# --- Doubao's standard edition, whose words come later


def test_the_words_come_later_and_the_copy_goes(standard: Bench) -> None:
    standard.simulator.generation_s = 3600
    assert standard.ask() == LATER
    assert standard.ask() == LATER
    (task,) = standard.simulator.tasks.values()
    assert standard.kept == [f"{task.id}.mp3"]
    assert f"/lent/{task.id}.mp3?" in task.asked["audio"]["url"]
    task.ready_at = 0
    assert standard.ask() == Heard(doubao.TEXT)
    assert standard.kept == []
    assert standard.bought == 1


@pytest.mark.parametrize("fault", [fault for fault in BUYING if fault not in CASES["doubao-standard"].never])
def test_whatever_came_of_a_submission_the_same_call_again_brings_the_words_of_one_task(
    standard: Bench, fault: Fault
) -> None:
    standard.simulator.fail("submit", fault)
    standard.ask()
    was_accepted = fault in (Fault.DROPPED, Fault.MALFORMED)
    assert len(standard.simulator.tasks) == was_accepted
    assert standard.hear() == Heard(doubao.TEXT)
    assert len(standard.simulator.tasks) == 1


@pytest.mark.parametrize(
    ("fault", "came_of_it"),
    [
        (Fault.SLOW, Heard(doubao.TEXT)),
        (Fault.BUSY, LATER),
        (Fault.BUSY_WITH_RETRY_AFTER, Pending(look_again_s=1.0)),
        (Fault.BROKEN, LATER),
        (Fault.GATEWAY, LATER),
        (Fault.DROPPED, LATER),
        (Fault.LOST, LATER),
        (Fault.MALFORMED, LATER),
        (Fault.TRUNCATED, LATER),
        (Fault.UNAUTHORIZED, "unknown"),
        (Fault.NO_MODEL, "unknown"),
    ],
)
def test_a_question_without_an_answer_never_says_that_nothing_was_accepted(
    standard: Bench, fault: Fault, came_of_it: object
) -> None:
    assert standard.ask() == LATER
    standard.simulator.fail("query", fault)
    assert standard.ask() == came_of_it
    assert standard.hear() == Heard(doubao.TEXT)
    assert len(standard.simulator.tasks) == 1


def test_a_task_that_is_there_already_is_not_bought_again(standard: Bench) -> None:
    standard.ask()
    for name in standard.kept:
        standard.store.delete(f"lent/{name}")
    assert standard.ask() == Heard(doubao.TEXT), "the worker died between taking back the copy and storing the words"
    assert standard.bought == 2
    assert len(standard.simulator.tasks) == 1


def test_a_submission_that_makes_no_sense_is_refused_and_its_copy_goes(
    standard: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DoubaoSimulator, "_invalid_body", lambda *_: told("45000001", "invalid parameter"))
    assert standard.ask() == "PROVIDER_REFUSED"
    assert standard.kept == []


def test_a_recording_that_it_cannot_read_is_told(standard: Bench) -> None:
    standard.simulator.fail("submit", Fault.FAILED)
    assert standard.hear() == "AUDIO_UNREADABLE"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://media.example.com",
        "http://127.0.0.1:9000",
        "https://127.0.0.1:9000",
        "https://10.0.0.3",
        "https://[::1]:9000",
        "https://localhost:9000",
        "https://minio",
        "https://minio.local",
        "",
    ],
)
def test_a_bucket_that_the_service_cannot_reach_is_told_at_the_start(standard: Bench, endpoint: str) -> None:
    with pytest.raises(ValueError, match="needs a S3_PUBLIC_ENDPOINT that is https and public"):
        standard.another(s3_public_endpoint=endpoint)
