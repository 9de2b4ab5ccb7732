from __future__ import annotations

from pathlib import Path

import av
import pytest

from studio.errors import StudioError
from studio.media import clips, sound, tags
from tests.studio import made

TONE = ("-f", "lavfi", "-i", "sine=frequency=440:duration=2")
FILM = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=2")
TAGS = (
    *("-metadata", "location=+31.2304+121.4737/", "-metadata", "title=SECRET", "-metadata", "artist=SECRET"),
    *("-metadata", "comment=SECRET", "-metadata:s:a:0", "title=SECRET"),
)
TOLD = (b"SECRET", b"+31.2304", b"Lavf6", b"PNG")


def seconds_of(path: Path) -> float:
    return sound.inspect(path, max_seconds=180).seconds


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("story.webm", "libopus"),
        ("story.mka", "aac"),
        ("story.ogg", "libopus"),
        ("story.ogg", "libvorbis"),
        ("story.ogg", "flac"),
        ("story.m4a", "aac"),
        ("story.m4a", "alac"),
        ("story.mov", "pcm_s16le"),
        ("story.mp3", "libmp3lame"),
        ("story.wav", "pcm_s16le"),
        ("story.flac", "flac"),
        ("story.aac", "aac"),
    ],
)
def test_a_recording_keeps_its_sound_and_loses_its_tags(tmp_path: Path, name: str, codec: str) -> None:
    told = made.run(*TONE, *TAGS, "-c:a", codec, tmp_path / name)
    clean = tags.strip_recording(told, tmp_path / "clean")
    before, after = (sound.inspect(path, max_seconds=180) for path in (told, clean))
    assert after == before
    assert after.seconds == pytest.approx(2.0, abs=0.1)
    assert not any(word in clean.read_bytes() for word in TOLD)


def test_the_same_recording_gives_the_same_bytes(tmp_path: Path) -> None:
    told = made.run(*TONE, *TAGS, "-c:a", "libopus", tmp_path / "story.webm")
    once, twice = (tags.strip_recording(told, tmp_path / name) for name in ("once", "twice"))
    assert once.read_bytes() == twice.read_bytes()


@pytest.mark.parametrize("name", ["story.mp3", "story.m4a", "story.flac"])
def test_a_cover_is_gone(tmp_path: Path, name: str) -> None:
    cover = made.drawing(tmp_path / "cover.png", (64, 64))
    maps = ("-map", "0:a", "-map", "1:v", "-c:v", "png", "-disposition:v", "attached_pic")
    told = made.run(*TONE, "-i", cover, *maps, *TAGS, tmp_path / name)
    assert b"PNG" in told.read_bytes()
    clean = tags.strip_recording(told, tmp_path / "clean")
    assert not any(word in clean.read_bytes() for word in TOLD)
    with av.open(str(clean)) as media:
        assert [track.type for track in media.streams] == ["audio"]
    assert seconds_of(clean) == seconds_of(told)


def test_tags_behind_the_sound_are_gone_too(tmp_path: Path) -> None:
    told = made.run(*TONE, *TAGS, "-write_id3v1", "1", tmp_path / "story.mp3")
    assert told.read_bytes()[-128:].startswith(b"TAG")
    clean = tags.strip_recording(told, tmp_path / "clean")
    assert not any(word in clean.read_bytes() for word in TOLD)


def test_a_recording_without_a_length_in_its_header_gets_one(tmp_path: Path) -> None:
    live = made.run(*TONE, "-c:a", "libopus", "-live", "1", tmp_path / "story.webm")
    clean = tags.strip_recording(live, tmp_path / "clean")
    with av.open(str(live)) as before, av.open(str(clean)) as after:
        assert before.duration is None
        assert after.duration == pytest.approx(2_000_000, abs=100_000)


def test_a_recording_broken_off_in_the_middle_keeps_what_there_is(tmp_path: Path) -> None:
    whole = made.run(*TONE, *TAGS, "-c:a", "libopus", tmp_path / "story.webm")
    cut = tmp_path / "cut.webm"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    clean = tags.strip_recording(cut, tmp_path / "clean")
    assert seconds_of(clean) == pytest.approx(seconds_of(cut), abs=0.05) != 0


def test_an_empty_recording_is_silent(tmp_path: Path) -> None:
    facts = sound.inspect(tags.write_empty_recording(tmp_path / "empty"), max_seconds=180)
    assert (facts.mime, facts.seconds, facts.silent) == ("audio/wav", 0.0, True)


@pytest.mark.parametrize("name", ["film.mp4", "film.mov", "film.webm", "film.mkv"])
def test_a_film_keeps_picture_and_sound_and_loses_its_tags(tmp_path: Path, name: str) -> None:
    quick = ("-movflags", "use_metadata_tags", "-metadata", "com.apple.quicktime.model=SECRET")
    told = made.run(*FILM, *TONE, *TAGS, *(quick if name.endswith(("mp4", "mov")) else ()), tmp_path / name)
    assert b"SECRET" in told.read_bytes()
    clean = tags.strip_film(told, tmp_path / "clean")
    before, after = clips.inspect(told), clips.inspect(clean)
    assert after == before
    assert after.has_audio
    assert not any(word in clean.read_bytes() for word in TOLD)


def test_a_film_without_sound_is_taken(tmp_path: Path) -> None:
    clean = tags.strip_film(made.run(*FILM, tmp_path / "film.mp4"), tmp_path / "clean")
    assert not clips.inspect(clean).has_audio


def test_a_film_stays_upright(tmp_path: Path) -> None:
    film = made.run(*FILM, tmp_path / "film.mp4")
    turned = made.run("-display_rotation", "90", "-i", film, "-c", "copy", tmp_path / "turned.mp4")
    with av.open(str(tags.strip_film(turned, tmp_path / "clean"))) as media:
        assert next(media.decode(video=0)).rotation == 90


def test_a_phone_films_track_of_places_is_gone(tmp_path: Path) -> None:
    captions = tmp_path / "places.srt"
    captions.write_text("1\n00:00:00,000 --> 00:00:02,000\nSECRET\n")
    told = made.run(*FILM, *TONE, "-i", captions, "-c:s", "mov_text", tmp_path / "film.mp4")
    assert b"SECRET" in told.read_bytes()
    clean = tags.strip_film(told, tmp_path / "clean")
    assert b"SECRET" not in clean.read_bytes()


def test_what_cannot_be_copied_is_unreadable(tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.write_bytes(b"OggS" + 2_000 * b"noise")
    with pytest.raises(StudioError, match="AUDIO_UNREADABLE"):
        tags.strip_recording(noise, tmp_path / "clean")
    noise.write_bytes(b"scribble")
    with pytest.raises(StudioError, match="VIDEO_UNREADABLE"):
        tags.strip_film(noise, tmp_path / "clean")
