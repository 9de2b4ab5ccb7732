from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app import samples
from studio.providers.interfaces import Heard, PaidCall
from studio.providers.qwen_transcriber import QwenTranscriber
from tests.providers.dashscope_audio import TEXT, DashScopeAudio
from tests.providers.simulator import Fault
from tests.studio import made
from tests.studio.providers.asking import outcome, settings_for

STORY = Path(samples.__file__).parent / "story.ogg"


@pytest.fixture
def dashscope() -> Iterator[DashScopeAudio]:
    simulator = DashScopeAudio()
    with simulator.running():
        yield simulator


def hear(
    simulator: DashScopeAudio, recording: Path = STORY, *, cards: Path = Path("none")
) -> tuple[object, int | None]:
    """What came of it, and what it was said to have cost."""
    transcriber = QwenTranscriber(settings_for(simulator, provider_cards=cards), None)  # type: ignore[arg-type]
    call = PaidCall("call-1")
    return outcome(lambda: transcriber.transcribe(recording, call=call)), call.micros


def test_it_writes_down_what_was_said(dashscope: DashScopeAudio) -> None:
    assert hear(dashscope) == (Heard(TEXT), None)


def test_silence_has_no_words(dashscope: DashScopeAudio, tmp_path: Path) -> None:
    assert hear(dashscope, made.wav(tmp_path / "silence.wav", np.zeros(made.RATE)))[0] == Heard("")


def test_what_it_reports_is_charged_where_the_deployer_knows_the_price(
    dashscope: DashScopeAudio, tmp_path: Path
) -> None:
    (tmp_path / "qwen.toml").write_text("[transcriber.models.qwen3-asr-flash]\nmicros_per_hour = 360_000\n")
    assert hear(dashscope, cards=tmp_path) == (Heard(TEXT), 1300), "13 seconds at 100 micros"


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
        (Fault.REJECTED, "CONTENT_REJECTED"),
        (Fault.UNAUTHORIZED, "PROVIDER_ACCOUNT"),
        (Fault.SPENT, "PROVIDER_QUOTA"),
        (Fault.NO_MODEL, "MODEL_UNKNOWN"),
    ],
)
def test_what_comes_of_a_fault(dashscope: DashScopeAudio, fault: Fault, came_of_it: object) -> None:
    dashscope.fail("chat", fault)
    assert hear(dashscope)[0] == came_of_it
    assert len(dashscope.asked("chat")) == 1, "nothing is repeated here"


def test_every_format_of_browsers_and_phones_is_sent_as_one_that_it_takes(
    dashscope: DashScopeAudio, tmp_path: Path
) -> None:
    voice = made.wav(tmp_path / "voice.wav", made.tone(1.0))
    for ending in ("webm", "m4a", "aac", "ogg", "flac", "mp3", "wav"):
        recording = made.run("-i", voice, tmp_path / f"recorded.{ending}").rename(tmp_path / "recorded")
        assert hear(dashscope, recording)[0] == Heard(TEXT), ending


@pytest.mark.parametrize(("seconds", "came_of_it"), [(230.0, Heard(TEXT)), (240.0, "AUDIO_TOO_LONG")])
def test_the_longest_recording_is_taken_whichever_way_its_bytes_are_counted(
    dashscope: DashScopeAudio, tmp_path: Path, seconds: float, came_of_it: object
) -> None:
    assert hear(dashscope, made.wav(tmp_path / "long.wav", made.tone(seconds)))[0] == came_of_it
