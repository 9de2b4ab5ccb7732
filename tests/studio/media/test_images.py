from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from studio.errors import StudioError
from studio.media import images
from tests.studio import made

MOST = 50_000_000


def test_a_film_named_png_is_of_another_kind(tmp_path: Path) -> None:
    disguised = made.clip(tmp_path / "clip.mp4").rename(tmp_path / "drawing.png")
    with pytest.raises(StudioError) as caught:
        images.inspect(disguised, max_pixels=MOST)
    assert (caught.value.symbol, caught.value.params) == ("KIND_MISMATCH", {"kind": "image"})


def test_a_jpeg_named_png_is_taken_as_jpeg(tmp_path: Path) -> None:
    path = made.drawing(tmp_path / "drawing.jpg").rename(tmp_path / "drawing.png")
    assert images.inspect(path, max_pixels=MOST) == images.ImageFacts("JPEG", "image/jpeg", 640, 480)
    assert images.clean(path, tmp_path, max_pixels=MOST).ext == "jpg"


def test_more_pixels_than_allowed_are_refused_by_the_header_alone(tmp_path: Path) -> None:
    bomb = made.png_header(tmp_path / "bomb.png", 40_000, 40_000)
    for look in (images.inspect, lambda path, max_pixels: images.clean(path, tmp_path, max_pixels=max_pixels)):
        with pytest.raises(StudioError) as caught:
            look(bomb, max_pixels=MOST)
        assert caught.value.symbol == "IMAGE_TOO_LARGE"
        assert caught.value.params == {"pixels": 1_600_000_000, "max_pixels": MOST}


def test_exactly_the_allowed_pixels_are_accepted(tmp_path: Path) -> None:
    path = made.drawing(tmp_path / "drawing.png", (100, 80))
    assert images.inspect(path, max_pixels=8_000).width == 100


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_a_truncated_picture_is_unreadable(tmp_path: Path, ending: str) -> None:
    path = made.drawing(tmp_path / f"drawing.{ending}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StudioError) as caught:
        images.clean(path, tmp_path, max_pixels=MOST)
    assert caught.value.symbol == "IMAGE_UNREADABLE"


@pytest.mark.parametrize("content", [b"", b"hello", b"GIF89a\x01\x00\x01\x00", b"\xff\xd8\xff\xe0", b"<svg/>"])
def test_what_is_no_picture_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "drawing.png"
    path.write_bytes(content)
    with pytest.raises(StudioError) as caught:
        images.inspect(path, max_pixels=MOST)
    assert caught.value.symbol == "IMAGE_UNREADABLE"


def test_orientation_is_applied_and_metadata_is_gone(tmp_path: Path) -> None:
    image = Image.new("RGB", (80, 40), "white")
    image.paste((255, 0, 0), (0, 0, 20, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: the left edge belongs on top
    exif[0x010E] = "written by someone"
    exif.get_ifd(0x8825)[2] = (31.0, 14.0, 3.0)
    path = tmp_path / "photo.jpg"
    image.save(path, exif=exif, comment=b"a private remark", xmp=b"<x:xmpmeta>private</x:xmpmeta>")

    clean = images.clean(path, tmp_path, max_pixels=MOST)

    assert (clean.width, clean.height, clean.mime) == (40, 80, "image/jpeg")
    with Image.open(clean.path) as result:
        assert result.getpixel((20, 5)) == pytest.approx((254, 0, 0), abs=6)
        assert result.getpixel((20, 70)) == pytest.approx((255, 255, 255), abs=6)
        assert not result.getexif()
        assert set(result.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert b"private" not in clean.path.read_bytes()
    assert b"someone" not in clean.path.read_bytes()


def test_text_in_a_png_is_gone_and_transparency_stays(tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Author", "someone")
    path = tmp_path / "drawing.png"
    Image.new("RGBA", (20, 20), (10, 20, 30, 40)).save(path, pnginfo=info, dpi=(72, 72))
    clean = images.clean(path, tmp_path, max_pixels=MOST)
    with Image.open(clean.path) as result:
        assert result.info == {}
        assert result.getpixel((3, 3)) == (10, 20, 30, 40)


def test_a_colour_profile_is_applied_and_dropped(tmp_path: Path) -> None:
    path = tmp_path / "profiled.jpg"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (20, 20), (200, 100, 50)).save(path, icc_profile=profile, quality=100)
    clean = images.clean(path, tmp_path, max_pixels=MOST)
    with Image.open(clean.path) as result:
        assert "icc_profile" not in result.info
        assert result.getpixel((5, 5)) == pytest.approx((200, 100, 50), abs=4)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((8, 8), 0x8000, np.uint16)).save(path)
    clean = images.clean(path, tmp_path, max_pixels=MOST)
    with Image.open(clean.path) as result:
        assert result.getpixel((2, 2)) == (128, 128, 128)


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "1", "LA"])
def test_every_colour_mode_becomes_plain(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("drawing.jpg" if mode == "CMYK" else "drawing.png")
    Image.new("RGB", (20, 20), "white").convert(mode).save(path)
    clean = images.clean(path, tmp_path, max_pixels=MOST)
    with Image.open(clean.path) as result:
        assert result.mode in {"RGB", "RGBA"}
        assert result.convert("RGB").getpixel((5, 5)) == pytest.approx((255, 255, 255), abs=3)


def test_the_first_frame_of_an_animation_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "moving.webp"
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    clean = images.clean(path, tmp_path, max_pixels=MOST)
    assert clean.mime == "image/jpeg"
    with Image.open(clean.path) as result:
        assert result.getpixel((5, 5)) == pytest.approx((254, 0, 0), abs=6)
