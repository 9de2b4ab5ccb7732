from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import pytest

from app import samples
from studio.errors import StudioError
from studio.media import clips, ffmpeg, telling
from studio.media.film import COMMENT
from studio.media.telling import tell

VOICE = Path(samples.__file__).parent / "story.ogg"


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of pictures without sound, with frames that refer to later ones."""
    path = tmp_path_factory.mktemp("clip") / "silent.mp4"
    pictures = ["-f", "lavfi", "-i", "testsrc=size=320x180:rate=24:duration=2"]
    ffmpeg.run([*pictures, "-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p", str(path)], timeout_s=60)
    return path


def seconds_of(path: Path) -> float:
    with av.open(str(path)) as media:
        return max(frame.time or 0.0 for frame in media.decode(video=0))


def seconds_of_sound(path: Path) -> float:
    with av.open(str(path)) as media:
        return float(sum(frame.samples / frame.sample_rate for frame in media.decode(audio=0)))


def test_a_silent_clip_is_shown_until_its_story_is_told(silent: Path, tmp_path: Path) -> None:
    film = tell(silent, VOICE, tmp_path / "film.mp4")
    voice_s = seconds_of_sound(VOICE)
    facts = clips.inspect(film)
    assert facts.has_audio
    assert facts.seconds >= voice_s + 1
    assert facts.seconds <= voice_s + 1.5 + 2, "not much longer than the story, and no part of a round is cut off"
    with av.open(str(film)) as media:
        times = [frame.time or 0.0 for frame in media.decode(video=0)]
    assert times == sorted(times)
    assert max(after - before for before, after in pairwise(times)) < 0.1, "no gap between rounds"


def test_a_heavy_clip_rests_on_its_drawing_until_its_story_is_told(
    silent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tell(silent, VOICE, tmp_path / "whole.mp4")
    monkeypatch.setattr(telling, "MOST_BYTES", 2 * silent.stat().st_size)
    film = tell(silent, VOICE, tmp_path / "film.mp4")
    with av.open(str(film)) as media:
        pictures = media.streams.video[0]
        assert pictures.duration
        assert pictures.time_base
        told_s = telling.VOICE_AT_S + seconds_of_sound(VOICE) + telling.TAIL_S
        assert float(pictures.duration * pictures.time_base) == pytest.approx(told_s, abs=0.01)
        shown = list(media.decode(video=0))
    with av.open(str(silent)) as media:
        drawing, *others = media.decode(video=0)
    assert len(shown) == 2 * (1 + len(others)) + 1
    assert (shown[-1].to_ndarray() == drawing.to_ndarray()).all()
    assert shown[-1].time == pytest.approx(4.0, abs=0.1)
    assert film.stat().st_size < whole.stat().st_size


@pytest.mark.parametrize("times", [0.1, 3])
def test_pictures_and_voice_lie_side_by_side(silent: Path, tmp_path: Path, times: float) -> None:
    """What is played together is near together in the file: nobody has to hold or fetch the one to get to the other."""
    story = tmp_path / "story.wav"
    ffmpeg.run(["-f", "lavfi", "-i", f"sine=duration={2 * times}", str(story)], timeout_s=60)
    film = tell(silent, story, tmp_path / "film.mp4")
    with av.open(str(film)) as media:
        packets = sorted(media.demux(), key=lambda packet: packet.pos or 0)
        told = [
            (packet.stream.type, float(packet.dts * packet.time_base)) for packet in packets if packet.dts is not None
        ]
    last = {kind: max(at for other, at in told if other == kind) for kind, _ in told}
    reached = dict.fromkeys(last, 0.0)
    for kind, at in told:
        reached[kind] = at
        if all(reached[other] < last[other] for other in last):
            assert abs(reached["video"] - reached["audio"]) < 0.6
    assert last["video"] >= 2 * times + 0.9


def test_every_clip_says_that_an_ai_made_it(silent: Path, tmp_path: Path) -> None:
    film = tell(silent, None, tmp_path / "film.mp4")
    with av.open(str(film)) as media:
        assert media.metadata["comment"] == COMMENT
    assert seconds_of(film) == pytest.approx(seconds_of(silent))


def test_a_film_that_is_told_already_stays_as_it_is(silent: Path, tmp_path: Path) -> None:
    film = tell(silent, VOICE, tmp_path / "film.mp4")
    assert tell(film, VOICE, tmp_path / "again.mp4") == film


def test_a_clip_keeps_a_sound_of_its_own(silent: Path, tmp_path: Path) -> None:
    loud = tmp_path / "loud.mp4"
    tone = ["-f", "lavfi", "-i", "sine=frequency=440:duration=2"]
    ffmpeg.run(["-i", str(silent), *tone, "-c:v", "copy", "-c:a", "aac", str(loud)], timeout_s=60)
    film = tell(loud, VOICE, tmp_path / "film.mp4")
    assert clips.inspect(film).has_audio
    assert seconds_of(film) == pytest.approx(seconds_of(loud))


def test_a_clip_that_is_none_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0\0\0\x20ftypisom" + bytes(200))
    with pytest.raises(StudioError, match="CLIP_UNREADABLE"):
        tell(broken, None, tmp_path / "film.mp4")
