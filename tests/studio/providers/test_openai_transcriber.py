from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app import samples
from studio.providers.interfaces import Heard, PaidCall
from studio.providers.openai_transcriber import OpenAITranscriber
from tests.providers.openai_audio import TEXT, OpenAIAudio
from tests.providers.simulator import Fault
from tests.studio import made
from tests.studio.providers.asking import outcome, settings_for

STORY = Path(samples.__file__).parent / "story.ogg"


@pytest.fixture
def openai() -> Iterator[OpenAIAudio]:
    simulator = OpenAIAudio()
    with simulator.running():
        yield simulator


def hear(simulator: OpenAIAudio, recording: Path = STORY, *, cards: Path = Path("none")) -> tuple[object, int | None]:
    """What came of it, and what it was said to have cost."""
    transcriber = OpenAITranscriber(settings_for(simulator, provider_cards=cards), None)  # type: ignore[arg-type]
    call = PaidCall("call-1")
    return outcome(lambda: transcriber.transcribe(recording, call=call)), call.micros


def test_it_writes_down_what_was_said(openai: OpenAIAudio) -> None:
    assert hear(openai) == (Heard(TEXT), None)


def test_silence_has_no_words(openai: OpenAIAudio, tmp_path: Path) -> None:
    assert hear(openai, made.wav(tmp_path / "silence.wav", np.zeros(made.RATE)))[0] == Heard("")


def test_what_it_reports_is_charged_where_the_deployer_knows_the_price(openai: OpenAIAudio, tmp_path: Path) -> None:
    (tmp_path / "openai.toml").write_text("[transcriber.models.gpt-transcribe]\nmicros_per_hour = 360_000\n")
    assert hear(openai, cards=tmp_path) == (Heard(TEXT), 1300), "13 seconds at 100 micros"


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
def test_what_comes_of_a_fault(openai: OpenAIAudio, fault: Fault, came_of_it: object) -> None:
    openai.fail("transcription", fault)
    assert hear(openai)[0] == came_of_it
    assert len(openai.asked("transcription")) == 1, "nothing is repeated here"


def test_every_format_of_browsers_and_phones_is_sent_as_one_that_it_takes(openai: OpenAIAudio, tmp_path: Path) -> None:
    voice = made.wav(tmp_path / "voice.wav", made.tone(1.0))
    for ending in ("webm", "m4a", "aac", "ogg", "flac", "mp3", "wav"):
        recording = made.run("-i", voice, tmp_path / f"recorded.{ending}").rename(tmp_path / "recorded")
        assert hear(openai, recording)[0] == Heard(TEXT), ending
