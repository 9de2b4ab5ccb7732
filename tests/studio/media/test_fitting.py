from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from studio.errors import StudioError
from studio.media.fitting import fit
from studio.providers.cards import PictureLimits


def drawing_of(folder: Path, width: int, height: int) -> Path:
    path = folder / "drawing.png"
    Image.effect_noise((width, height), 80).convert("RGB").save(path)
    return path


@pytest.mark.parametrize("size", [(40, 30), (3000, 400), (400, 3000), (2500, 2500), (120, 1000)])
def test_a_fitted_drawing_keeps_to_every_limit(tmp_path: Path, size: tuple[int, int]) -> None:
    limits = PictureLimits(max_bytes=400_000, least_side=300, most_side=6000, least_ratio=0.4, most_ratio=2.5)
    content = fit(drawing_of(tmp_path, *size), limits)
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "JPEG"
    assert len(content) <= 400_000
    assert min(picture.size) >= 300
    assert max(picture.size) <= 6000
    assert 0.4 < picture.width / picture.height < 2.5


def test_nothing_of_the_drawing_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "line.png"
    picture = Image.new("RGB", (1000, 100), "white")
    picture.paste("red", (0, 0, 40, 100))
    picture.paste("blue", (960, 0, 1000, 100))
    picture.save(path)
    limits = PictureLimits(max_bytes=1_000_000, least_side=300, least_ratio=0.5, most_ratio=2.0)
    fitted = Image.open(io.BytesIO(fit(path, limits))).convert("RGB")
    middle = fitted.height // 2
    left, right = fitted.getpixel((5, middle)), fitted.getpixel((fitted.width - 5, middle))
    assert isinstance(left, tuple)
    assert isinstance(right, tuple)
    assert left[0] > 200 > left[2]
    assert right[2] > 200 > right[0]


def test_a_drawing_that_fits_in_no_way_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="PROVIDER_REFUSED"):
        fit(drawing_of(tmp_path, 400, 400), PictureLimits(max_bytes=100, least_side=300))


def test_of_a_photo_no_more_is_decoded_than_is_about_as_large_as_wanted(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (1000, 750)).save(path)
    content = fit(path, PictureLimits(max_bytes=400_000, least_side=300, most_side=504))
    assert Image.open(io.BytesIO(content)).size == (500, 375)
