from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from studio.errors import NotNow, StudioError
from studio.media import sound
from tests.studio import made

FORMATS = {
    "webm": ("audio/webm", ["-c:a", "libopus"]),
    "m4a": ("audio/mp4", ["-c:a", "aac"]),
    "mp3": ("audio/mpeg", ["-c:a", "libmp3lame"]),
    "ogg": ("audio/ogg", ["-c:a", "libopus"]),
    "flac": ("audio/flac", ["-ac", "2", "-sample_fmt", "s32"]),
    "wav": ("audio/wav", ["-c:a", "pcm_s24le"]),
}


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    return made.wav(tmp_path / "voice.wav", made.tone(2.0))


def symbol(path: Path, *, max_seconds: float = 180) -> str:
    with pytest.raises(StudioError) as caught:
        sound.inspect(path, max_seconds=max_seconds)
    return caught.value.symbol


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_tells_its_length_by_decoding(tmp_path: Path, voice: Path, ending: str) -> None:
    mime, options = FORMATS[ending]
    path = made.run("-i", voice, *options, tmp_path / f"story.{ending}").rename(tmp_path / "upload.bin")
    facts = sound.inspect(path, max_seconds=180)
    assert (facts.mime, facts.ext, facts.silent) == (mime, ending, False)
    assert facts.seconds == pytest.approx(2.0, abs=0.15)


def test_webm_without_a_length_in_its_header_is_measured(tmp_path: Path, voice: Path) -> None:
    streamed = tmp_path / "streamed.webm"
    made.run("-i", voice, "-c:a", "libopus", "-live", "1", "-f", "webm", streamed)
    import av

    with av.open(str(streamed)) as media:
        assert media.duration is None
    assert sound.inspect(streamed, max_seconds=180).seconds == pytest.approx(2.0, abs=0.15)


def test_a_recording_of_nothing_is_silent(tmp_path: Path) -> None:
    hiss = np.random.default_rng(1).normal(0, 0.0001, made.RATE)
    assert sound.inspect(made.wav(tmp_path / "hiss.wav", hiss), max_seconds=180).silent


def test_a_quiet_child_is_not_silent(tmp_path: Path) -> None:
    assert not sound.inspect(made.wav(tmp_path / "quiet.wav", made.tone(1, level=0.01)), max_seconds=180).silent


def test_a_recording_without_samples_is_silent_and_not_unreadable(tmp_path: Path) -> None:
    facts = sound.inspect(made.wav(tmp_path / "empty.wav", np.zeros(0)), max_seconds=180)
    assert (facts.seconds, facts.silent) == (0.0, True)


def test_a_film_is_not_a_recording(tmp_path: Path) -> None:
    assert symbol(made.clip(tmp_path / "clip.mp4").rename(tmp_path / "story.m4a")) == "KIND_MISMATCH"
    assert symbol(made.clip(tmp_path / "clip.webm").rename(tmp_path / "story.ogg")) == "KIND_MISMATCH"


def test_a_cover_picture_does_not_make_a_song_a_film(tmp_path: Path, voice: Path) -> None:
    cover = made.drawing(tmp_path / "cover.png", (32, 32))
    song = tmp_path / "song.mp3"
    made.run("-i", voice, "-i", cover, "-map", "0", "-map", "1", "-c:v", "png", "-disposition:v", "attached_pic", song)
    assert not sound.inspect(song, max_seconds=180).silent


def test_a_picture_named_mp3_is_of_another_kind(tmp_path: Path) -> None:
    assert symbol(made.drawing(tmp_path / "drawing.png").rename(tmp_path / "story.mp3")) == "KIND_MISMATCH"


@pytest.mark.parametrize("content", [b"", b"Once upon a time", b"#EXTM3U\nfile:///etc/passwd", b"fLaC", b"OggS" * 50])
def test_what_is_no_sound_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "story.mp3"
    path.write_bytes(content)
    assert symbol(path) == "AUDIO_UNREADABLE"


def test_too_long_a_recording_is_refused_with_its_length(voice: Path) -> None:
    with pytest.raises(StudioError) as caught:
        sound.inspect(voice, max_seconds=1)
    assert caught.value.symbol == "AUDIO_TOO_LONG"
    assert caught.value.params == {"seconds": 2, "max_seconds": 1}


@pytest.mark.parametrize("ending", [*FORMATS, "aac"])
@pytest.mark.parametrize("mime", ["audio/wav", "audio/mpeg", "audio/mp4"])
def test_every_format_becomes_every_format_that_is_sent(tmp_path: Path, voice: Path, ending: str, mime: str) -> None:
    _, options = FORMATS.get(ending, ("", []))
    path = made.run("-i", voice, *options, tmp_path / f"story.{ending}").rename(tmp_path / "story.bin")
    facts = sound.inspect(sound.transcoded(path, tmp_path / "sent", mime=mime), max_seconds=180)
    assert (facts.mime, facts.silent) == (mime, False)
    assert facts.seconds == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("mime", ["audio/wav", "audio/mpeg", "audio/mp4"])
def test_what_is_sent_tells_nothing_but_the_story(tmp_path: Path, voice: Path, mime: str) -> None:
    tags = ["-metadata", "title=Mia", "-metadata", "comment=48.2,16.4"]
    path = made.run("-i", voice, *tags, tmp_path / "story.mp3")
    sent = sound.transcoded(path, tmp_path / "sent", mime=mime).read_bytes()
    assert b"Mia" in path.read_bytes()
    assert b"Mia" not in sent
    assert b"48.2" not in sent


@pytest.mark.parametrize("content", [b"", b"Once upon a time", b"#EXTM3U\nfile:///etc/passwd"])
def test_what_is_no_sound_cannot_be_sent(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "story.mp3"
    path.write_bytes(content)
    with pytest.raises(StudioError) as caught:
        sound.transcoded(path, tmp_path / "sent", mime="audio/wav")
    assert caught.value.symbol == "AUDIO_UNREADABLE"


def test_a_machine_without_room_says_nothing_about_the_recording(
    tmp_path: Path, voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound, "TRANSCODE_S", 0.0)
    with pytest.raises(NotNow):
        sound.transcoded(voice, tmp_path / "sent", mime="audio/wav")
