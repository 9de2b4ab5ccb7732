from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from studio.media import clips, film, stage, titles
from tests.studio import made

LIMITS = film.Limits(max_pixels=50_000_000, max_seconds=180)
Samples = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def nothing(_fraction: float) -> None:
    pass


def render(
    folder: Path, *, voice: Path | None = None, title: str = "我的红气球", size: tuple[int, int] = (320, 240)
) -> Path:
    target = folder / "film.mp4"
    drawing = made.drawing(folder / "drawing.png", size)
    film.make(drawing, voice, target, title=title, airborne=False, limits=LIMITS, progress=nothing)
    return target


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.wav(tmp_path_factory.mktemp("voice") / "voice.wav", made.tone(3.5))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, voice: Path) -> Path:
    """A film with a voice."""
    return render(tmp_path_factory.mktemp("told"), voice=voice)


@pytest.fixture(scope="module")
def untold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small film without a voice."""
    with small_frames():
        return render(tmp_path_factory.mktemp("untold"))


@contextmanager
def small_frames() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "LANDSCAPE", (320, 180))
        yield


def sound_of(path: Path) -> Samples:
    with av.open(str(path)) as media:
        return np.concatenate([frame.to_ndarray().mean(axis=0) for frame in media.decode(audio=0)])


def frames_of(path: Path, *, every: int) -> list[Image.Image]:
    with av.open(str(path)) as media:
        return [
            Image.fromarray(frame.to_ndarray(format="rgb24"))
            for number, frame in enumerate(media.decode(video=0))
            if number % every == 0
        ]


def test_the_film_is_what_every_player_plays(told: Path) -> None:
    with av.open(str(told)) as media:
        picture, sound = media.streams.video[0], media.streams.audio[0]
        assert (picture.codec_context.name, picture.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert picture.average_rate == 25
        assert (sound.codec_context.name, sound.codec_context.sample_rate, sound.codec_context.channels) == (
            "aac",
            48000,
            2,
        )
    content = told.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    facts = clips.inspect(told)
    assert (facts.width, facts.height) == (1280, 720)


def test_the_film_lasts_as_long_as_card_voice_and_tail(told: Path) -> None:
    assert clips.inspect(told).seconds == pytest.approx(film.TITLE_S + 3.5 + film.TAIL_S, abs=0.1)


def test_the_voice_is_heard_after_the_title(told: Path, voice: Path) -> None:
    heard = sound_of(told)
    with av.open(str(voice)) as media:
        spoken = np.concatenate([frame.to_ndarray()[0] for frame in media.decode(audio=0)])
    step = 480
    loud = np.abs(heard[: len(heard) // step * step]).reshape(-1, step).max(axis=1)
    step = 160
    said = np.abs(spoken[: len(spoken) // step * step].astype(np.float32)).reshape(-1, step).max(axis=1)
    start = round(film.TITLE_S * 100)
    part = loud[start : start + len(said)]
    assert np.corrcoef(part, said[: len(part)])[0, 1] > 0.8
    assert part.max() > 0.05


def test_every_frame_carries_the_mark(told: Path) -> None:
    mark, (left, top) = titles.mark((1280, 720))
    letters = np.asarray(mark.getchannel("R")) * (np.asarray(mark.getchannel("A")) > 200) > 200
    pill = (np.asarray(mark.getchannel("A")) > 60) & ~letters
    for frame in frames_of(told, every=10):
        corner = np.asarray(frame.crop((left, top, left + mark.width, top + mark.height)).convert("L"), np.float32)
        assert corner[letters].mean() > corner[pill].mean() + 35


def test_the_metadata_says_that_an_ai_made_it_and_nothing_else(told: Path) -> None:
    with av.open(str(told)) as media:
        tags = {
            name: value for name, value in media.metadata.items() if not name.endswith(("brand", "brands", "version"))
        }
    assert tags == {"comment": film.COMMENT}
    assert str(told.parent).encode() not in told.read_bytes()


def test_the_picture_moves(told: Path) -> None:
    frames = [np.asarray(frame.convert("L"), np.float32) for frame in frames_of(told, every=25)]
    for before, after in pairwise(frames):
        assert np.abs(before - after).mean() > 0.3


def test_without_a_voice_soft_music_plays_for_five_seconds(untold: Path) -> None:
    assert clips.inspect(untold).seconds == pytest.approx(film.SHORTEST_S, abs=0.1)
    assert 0.01 < float(np.abs(sound_of(untold)).max()) < 0.5


def test_a_silent_recording_counts_as_none_and_the_same_film_has_the_same_bytes(tmp_path: Path, untold: Path) -> None:
    silent = made.wav(tmp_path / "silent.wav", np.zeros(made.RATE * 9))
    with small_frames():
        assert render(tmp_path, voice=silent).read_bytes() == untold.read_bytes()


@pytest.mark.parametrize(
    ("size", "frame"),
    [((1600, 1200), (1280, 720)), ((1200, 1600), (832, 1108)), ((1000, 1000), (960, 960)), ((300, 2000), (720, 1280))],
)
def test_the_frame_follows_the_drawing(size: tuple[int, int], frame: tuple[int, int]) -> None:
    assert stage.frame_size(*size) == frame
