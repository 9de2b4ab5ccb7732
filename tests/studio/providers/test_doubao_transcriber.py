from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app import samples
from studio.errors import NotNow
from studio.providers.doubao_transcriber import DoubaoTranscriber
from studio.providers.interfaces import Heard, PaidCall
from tests.providers.doubao import TEXT, DoubaoSimulator, told
from tests.providers.simulator import Fault, Reply
from tests.studio import made
from tests.studio.providers.asking import outcome, settings_for

STORY = Path(samples.__file__).parent / "story.ogg"


@pytest.fixture
def doubao() -> Iterator[DoubaoSimulator]:
    simulator = DoubaoSimulator()
    with simulator.running():
        yield simulator


def transcriber(simulator: DoubaoSimulator, **changes: str) -> DoubaoTranscriber:
    settings = settings_for(simulator)
    settings._variables.update(changes)
    return DoubaoTranscriber(settings, None)  # type: ignore[arg-type]  # it keeps nothing in the bucket


def hear(simulator: DoubaoSimulator, recording: Path = STORY) -> object:
    return outcome(lambda: transcriber(simulator).transcribe(recording, call=PaidCall("call-1")))


def test_it_writes_down_what_was_said(doubao: DoubaoSimulator) -> None:
    assert hear(doubao) == Heard(TEXT)
    (sent,) = doubao.asked("flash")
    assert sent.json["user"] == {"uid": "huaban"}, "nobody's id goes out"


def test_silence_has_no_words(doubao: DoubaoSimulator, tmp_path: Path) -> None:
    assert hear(doubao, made.wav(tmp_path / "silence.wav", np.zeros(made.RATE))) == Heard("")


def test_a_call_has_one_id_on_every_attempt(doubao: DoubaoSimulator) -> None:
    hear(doubao)
    hear(doubao)
    assert len({request.headers["X-Api-Request-Id"] for request in doubao.asked("flash")}) == 1


def test_no_price_is_made_up(doubao: DoubaoSimulator) -> None:
    call = PaidCall("call-1")
    transcriber(doubao).transcribe(STORY, call=call)
    assert call.micros is None


@pytest.mark.parametrize(
    ("fault", "came_of_it"),
    [
        (Fault.SLOW, Heard(TEXT)),
        (Fault.BUSY, "not now"),
        (Fault.BUSY_WITH_RETRY_AFTER, "not now"),
        (Fault.BROKEN, "unknown"),
        (Fault.GATEWAY, "unknown"),
        (Fault.DROPPED, "unknown"),
        (Fault.LOST, "unknown"),
        (Fault.MALFORMED, "unknown"),
        (Fault.TRUNCATED, "unknown"),
        (Fault.UNAUTHORIZED, "PROVIDER_ACCOUNT"),
        (Fault.NO_MODEL, "MODEL_UNKNOWN"),
    ],
)
def test_what_comes_of_a_fault(doubao: DoubaoSimulator, fault: Fault, came_of_it: object) -> None:
    doubao.fail("flash", fault)
    assert hear(doubao) == came_of_it
    assert len(doubao.asked("flash")) == 1, "nothing is repeated here"


@pytest.mark.parametrize(
    ("reply", "came_of_it"),
    [
        (told("20000003", "silent audio"), Heard("")),
        (told("20000001", "processing"), "unknown"),
        (told("20000000", "OK"), "unknown"),
        (told("20000000", "OK", {"result": [{"text": "小狗"}, {"text": "飞了。"}]}), Heard("小狗飞了。")),
        (told("45000001", "invalid parameter"), "PROVIDER_REFUSED"),
        (told("45000002", "empty audio"), "AUDIO_UNREADABLE"),
        (told("45000151", "bad audio format"), "AUDIO_UNREADABLE"),
        (told("45999999", "of the caller's making"), "PROVIDER_REFUSED"),
        (told("55999999", "of its own making"), "unknown"),
        (Reply(200, {"result": {"text": "whose?"}}), "unknown"),
        (Reply(403, {"message": "wrong kind of key"}), "PROVIDER_ACCOUNT"),
        # Of what stands before the service.
        (Reply(503, {"message": "upstream is gone"}), "unknown"),
        (Reply(429, {}), "not now"),
    ],
)
def test_what_comes_of_a_code(
    doubao: DoubaoSimulator, monkeypatch: pytest.MonkeyPatch, reply: Reply, came_of_it: object
) -> None:
    monkeypatch.setattr(DoubaoSimulator, "_words", lambda *_: reply)
    assert hear(doubao) == came_of_it


def test_it_says_when_to_come_again(doubao: DoubaoSimulator) -> None:
    doubao.fail("flash", Fault.BUSY_WITH_RETRY_AFTER)
    with pytest.raises(NotNow) as caught:
        transcriber(doubao).transcribe(STORY, call=PaidCall("call-1"))
    assert caught.value.retry_after_s == 1.0


def test_a_model_that_the_card_does_not_know_is_not_asked(doubao: DoubaoSimulator) -> None:
    came_of_it = outcome(
        lambda: transcriber(doubao, DOUBAO_ASR_MODEL="volc.none").transcribe(STORY, call=PaidCall("call-1"))
    )
    assert came_of_it == "MODEL_UNKNOWN"
    assert doubao.requests == []


def test_a_recording_beyond_the_service_is_refused_with_what_it_takes(
    doubao: DoubaoSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = tmp_path / "cards"
    cards.mkdir()
    (cards / "doubao.toml").write_text('[transcriber.models."volc.bigasr.auc_turbo"]\nmax_seconds = 3\n')
    settings = settings_for(doubao, provider_cards=cards)
    asked = DoubaoTranscriber(settings, None)  # type: ignore[arg-type]
    assert outcome(lambda: asked.transcribe(STORY, call=PaidCall("call-1"))) == "AUDIO_TOO_LONG"
    (cards / "small").mkdir()
    (cards / "small" / "doubao.toml").write_text('[transcriber.models."volc.bigasr.auc_turbo"]\nmax_bytes = 9000\n')
    asked = DoubaoTranscriber(settings_for(doubao, provider_cards=cards / "small"), None)  # type: ignore[arg-type]
    assert outcome(lambda: asked.transcribe(STORY, call=PaidCall("call-1"))) == "AUDIO_TOO_LONG"
    assert doubao.requests == []


def test_what_is_no_recording_is_not_sent(doubao: DoubaoSimulator, tmp_path: Path) -> None:
    path = tmp_path / "story.webm"
    path.write_bytes(b"no sound")
    assert hear(doubao, path) == "AUDIO_UNREADABLE"
    assert doubao.requests == []
