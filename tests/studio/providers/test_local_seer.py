from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from studio.errors import StudioError
from studio.providers import Reading
from studio.providers.local_seer import LocalSeer
from studio.settings import Settings
from tests.studio import made
from tests.studio.made import FolderStore


@pytest.fixture
def seer(tmp_path: Path) -> LocalSeer:
    return LocalSeer(Settings(), FolderStore(tmp_path).as_store)


@pytest.fixture
def reading(seer: LocalSeer, tmp_path: Path) -> Reading:
    return seer.read(made.drawing(tmp_path / "drawing.png"), story="The ball is my secret friend.")


def test_figures_have_boxes_where_they_were_drawn(reading: Reading) -> None:
    boxes = [region.box for region in reading.regions]
    assert boxes[0] == pytest.approx((0.15, 0.2, 0.3, 0.4), abs=0.02)
    assert boxes[1] == pytest.approx((0.65, 0.55, 0.2, 0.3), abs=0.02)
    assert len(boxes) == 2


def test_colours_have_names_and_shares(reading: Reading) -> None:
    ball, square = np.pi * 0.15 * 0.2, 0.2 * 0.3
    assert [swatch.name["en"] for swatch in reading.palette] == ["red", "blue"]
    assert [swatch.name["zh"] for swatch in reading.palette] == ["红色", "蓝色"]
    assert reading.palette[0].share == pytest.approx(ball / (ball + square), abs=0.03)
    assert reading.coverage == pytest.approx(ball + square, abs=0.01)


def test_regions_are_labelled_by_place_and_colour_in_both_languages(reading: Reading) -> None:
    assert reading.regions[0].label == {"zh": "左边的红色部分", "en": "red part on the left"}
    assert reading.regions[1].label["en"] == "blue part at the lower right"


def test_boxes_are_on_the_upright_picture(seer: LocalSeer, tmp_path: Path) -> None:
    upright = Image.open(made.drawing(tmp_path / "drawing.png"))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    region = seer.read(tmp_path / "turned.jpg", story=None).regions[0]
    assert region.box == pytest.approx((0.15, 0.2, 0.3, 0.4), abs=0.02)


def test_the_story_is_mentioned_and_not_repeated(reading: Reading) -> None:
    assert "a story of 6 words" in reading.summary["en"]
    assert "6 个词" in reading.summary["zh"]
    assert "secret" not in str(reading)


def test_scores_lie_between_0_and_100_and_tell_their_method(reading: Reading) -> None:
    assert set(reading.scores) == {"color_variety", "coverage", "detail", "balance"}
    for score in reading.scores.values():
        assert 0 <= score.value <= 100
        assert score.method["zh"]
        assert score.method["en"]
    assert reading.scores["coverage"].value == round(100 * reading.coverage)


def test_reading_twice_gives_the_same(seer: LocalSeer, tmp_path: Path, reading: Reading) -> None:
    assert seer.read(tmp_path / "drawing.png", story="The ball is my secret friend.") == reading


def test_a_crowded_page_has_at_most_eight_regions(seer: LocalSeer, tmp_path: Path) -> None:
    image = Image.new("RGB", (800, 600), "white")
    pen = ImageDraw.Draw(image)
    for i in range(30):
        x, y = 40 + 130 * (i % 6), 30 + 115 * (i // 6)
        pen.ellipse((x, y, x + 60, y + 60), fill=(40 + 30 * (i % 7), 200 - 25 * (i % 8), 60))
    image.save(tmp_path / "crowd.png")
    assert len(seer.read(tmp_path / "crowd.png", story=None).regions) == 8


def test_an_empty_page_is_described_kindly(seer: LocalSeer, tmp_path: Path) -> None:
    Image.new("RGB", (400, 300), (246, 243, 235)).save(tmp_path / "empty.png")
    reading = seer.read(tmp_path / "empty.png", story=None)
    assert (reading.coverage, reading.palette, reading.regions) == (0, [], [])
    assert reading.summary["zh"]


def test_what_cannot_be_opened_is_unreadable(seer: LocalSeer, tmp_path: Path) -> None:
    (tmp_path / "drawing.png").write_bytes(b"nonsense")
    with pytest.raises(StudioError) as caught:
        seer.read(tmp_path / "drawing.png", story=None)
    assert caught.value.symbol == "IMAGE_UNREADABLE"
