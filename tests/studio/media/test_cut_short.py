"""A file that was cut anywhere gets a verdict: facts, or an error that people can read. Never any other exception."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from studio.errors import StudioError
from studio.media import clips, images, sound
from tests.studio import made


def judge(path: Path, look: Callable[[Path], object]) -> None:
    """Look at copies cut at seeded places, most of them near the beginning, where the headers are."""
    whole = path.read_bytes()
    places = random.Random(1)  # noqa: S311 (a seed, no secret)
    cut = path.with_name("cut")
    for _ in range(60):
        length = int(len(whole) * places.random() ** 3)
        cut.write_bytes(whole[:length])
        with suppress(StudioError):
            look(cut)


@pytest.mark.parametrize("ending", ["webm", "m4a", "mp3", "ogg", "flac", "wav"])
def test_a_recording(tmp_path: Path, ending: str) -> None:
    voice = made.wav(tmp_path / "voice.wav", made.tone(0.5))
    # With the index in front, so that a cut leaves tracks that are announced and not described.
    options = ["-movflags", "+faststart"] if ending == "m4a" else []
    path = voice if ending == "wav" else made.run("-i", voice, *options, tmp_path / f"story.{ending}")
    judge(path, lambda cut: sound.inspect(cut, max_seconds=180))


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_a_picture(tmp_path: Path, ending: str) -> None:
    from PIL import Image

    drawing = made.drawing(tmp_path / "drawing.png")
    path = tmp_path / f"picture.{ending}"
    with Image.open(drawing) as picture:
        picture.save(path)
    judge(path, lambda cut: images.clean(cut, tmp_path, max_pixels=50_000_000))


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_a_clip(tmp_path: Path, ending: str) -> None:
    film = made.clip(tmp_path / "film.mp4", seconds=0.5)
    options = ["-movflags", "+faststart", "-c", "copy"] if ending == "mp4" else ["-deadline", "realtime"]
    path = made.run("-i", film, *options, tmp_path / f"whole.{ending}")
    judge(path, lambda cut: clips.inspect(cut, unreadable="VIDEO_UNREADABLE"))
