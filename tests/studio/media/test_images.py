from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from studio.errors import StudioError
from studio.media import images
from studio.media.scans import count_scans
from tests.studio import made

MOST = 50_000_000


def test_a_film_named_png_is_of_another_kind(tmp_path: Path) -> None:
    disguised = made.clip(tmp_path / "clip.mp4").rename(tmp_path / "drawing.png")
    with pytest.raises(StudioError) as caught:
        images.clean(disguised, tmp_path, max_pixels=MOST)
    assert (caught.value.symbol, caught.value.params) == ("KIND_MISMATCH", {"kind": "image"})


def test_a_jpeg_named_png_is_taken_as_jpeg(tmp_path: Path) -> None:
    path = made.drawing(tmp_path / "drawing.jpg").rename(tmp_path / "drawing.png")
    clean = images.clean(path, tmp_path, max_pixels=MOST)
    assert (clean.mime, clean.ext, clean.width, clean.height) == ("image/jpeg", "jpg", 640, 480)


def test_more_pixels_than_allowed_are_refused_by_the_header_alone(tmp_path: Path) -> None:
    bomb = made.png_header(tmp_path / "bomb.png", 40_000, 40_000)
    with pytest.raises(StudioError) as caught:
        images.clean(bomb, tmp_path, max_pixels=MOST)
    assert caught.value.symbol == "IMAGE_TOO_LARGE"
    assert caught.value.params == {"pixels": 1_600_000_000, "max_pixels": MOST}


@pytest.mark.parametrize(("width", "height"), [(50_000, 20), (20, 50_000)])
def test_a_picture_like_a_thread_is_refused(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "thread.png"
    Image.new("1", (width, height)).save(path)
    with pytest.raises(StudioError) as caught:
        images.clean(path, tmp_path, max_pixels=MOST)
    assert (caught.value.symbol, caught.value.params["pixels"]) == ("IMAGE_TOO_LONG", 50_000)


def test_a_picture_that_unpacks_to_megabytes_of_text_is_refused(tmp_path: Path) -> None:
    path = made.drawing(tmp_path / "drawing.png")
    head, rest = path.read_bytes()[:33], path.read_bytes()[33:]
    body = b"zTXt" + b"Comment\0\0" + zlib.compress(bytes(5_000_000))
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(head + chunk + rest)
    with pytest.raises(StudioError, match="IMAGE_UNREADABLE"):
        images.clean(path, tmp_path, max_pixels=MOST)


def test_a_jpeg_of_endless_scans_is_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.effect_noise((64, 64), 50).save(path, progressive=True)
    whole = path.read_bytes()
    assert 5 < count_scans(whole) < 20
    last = whole[whole.rindex(b"\xff\xda") : -2]
    path.write_bytes(whole[:-2] + 1_000 * last + whole[-2:])
    assert count_scans(path.read_bytes()) > 1_000
    with pytest.raises(StudioError, match="IMAGE_UNREADABLE"):
        images.clean(path, tmp_path, max_pixels=MOST)


def test_what_a_phone_puts_behind_a_photo_or_into_its_header_counts_as_no_scans(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    small = io.BytesIO()
    Image.effect_noise((32, 32), 50).save(small, "JPEG", progressive=True)
    exif = Image.Exif()
    exif[0x927C] = 200 * b"\xff\xda"
    Image.new("RGB", (64, 64)).save(path, exif=exif, comment=small.getvalue())
    moving = 1_000 * b"\xff\xda\x00\x02"
    path.write_bytes(path.read_bytes() + moving)
    assert count_scans(path.read_bytes()) == 1
    clean = images.clean(path, tmp_path, max_pixels=MOST)
    assert moving not in clean.path.read_bytes()


def test_exactly_the_allowed_pixels_are_accepted(tmp_path: Path) -> None:
    path = made.drawing(tmp_path / "drawing.png", (100, 80))
    assert images.clean(path, tmp_path, max_pixels=8_000).width == 100


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_a_truncated_picture_is_unreadable(tmp_path: Path, ending: str) -> None:
    path = made.drawing(tmp_path / f"drawing.{ending}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StudioError) as caught:
        images.clean(path, tmp_path, max_pixels=MOST)
    assert caught.value.symbol == "IMAGE_UNREADABLE"


@pytest.mark.parametrize("content", [b"", b"\0", b"hello", b"\xff\xd8\xff\xe0", b"<svg/>", b"%PDF-1.7", b"PK\3\4"])
def test_what_is_no_picture_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "drawing.png"
    path.write_bytes(content)
    with pytest.raises(StudioError) as caught:
        images.clean(path, tmp_path, max_pixels=MOST)
    assert caught.value.symbol == "IMAGE_UNREADABLE"


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (b"GIF89a\x01\x00\x01\x00/*", "image/gif"),
        (b"BM", "image/bmp"),
        (b"II*\x00", "image/tiff"),
        (b"\0\0\0\x1cftypavif", "image/avif"),
        (b"\0\0\0\x1cftyphevc", "image/heif-sequence"),
        (b"\0\0\0\x1cftypmsf1", "image/heif-sequence"),
    ],
)
def test_a_picture_of_a_format_that_is_not_taken_is_named(tmp_path: Path, content: bytes, mime: str) -> None:
    path = tmp_path / "drawing.png"
    path.write_bytes(content)
    with pytest.raises(StudioError) as caught:
        images.clean(path, tmp_path, max_pixels=MOST)
    assert (caught.value.symbol, caught.value.params) == ("MIME_NOT_SUPPORTED", {"mime": mime})


@pytest.mark.parametrize("behind", [b"PK\3\4 a whole archive", b"%PDF-1.7", b"<script>alert(1)</script>"])
@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_of_a_picture_that_is_something_else_too_only_the_picture_is_kept(
    tmp_path: Path, behind: bytes, ending: str
) -> None:
    path = made.drawing(tmp_path / f"drawing.{ending}")
    path.write_bytes(path.read_bytes() + behind)
    assert behind not in images.clean(path, tmp_path, max_pixels=MOST).path.read_bytes()


def iphone_photo(path: Path, *, orientation: int = 6) -> Path:
    """A HEIC with the red corner at the top left of how it is stored, and with all that a phone writes down."""
    image = Image.new("RGB", (400, 300), "#205020")
    image.paste("#d03030", (0, 0, 100, 75))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "PhoneMaker"
    exif.get_ifd(0x8825).update({1: "N", 2: (31.0, 13.0, 49.0), 3: "E", 4: (121.0, 28.0, 25.0)})
    image.save(path, "HEIF", exif=exif.tobytes(), quality=90)
    return path


@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    [(1, (400, 300), (10, 10)), (3, (400, 300), (390, 290)), (6, (300, 400), (290, 10)), (8, (300, 400), (10, 390))],
)
def test_an_iphones_photo_becomes_an_upright_jpeg_that_says_nothing_about_its_maker(
    tmp_path: Path, orientation: int, size: tuple[int, int], corner: tuple[int, int]
) -> None:
    path = iphone_photo(tmp_path / "photo.heic", orientation=orientation)
    assert b"PhoneMaker" in path.read_bytes()
    clean = images.clean(path, tmp_path, max_pixels=MOST)
    assert (clean.mime, clean.ext, (clean.width, clean.height)) == ("image/jpeg", "jpg", size)
    assert b"PhoneMaker" not in clean.path.read_bytes()
    assert b"Exif" not in clean.path.read_bytes()
    with Image.open(clean.path) as result:
        assert result.size == size
        assert result.getpixel(corner) == pytest.approx((208, 48, 48), abs=12)
        assert not result.getexif()


@pytest.mark.parametrize("length", [12, 40, 400, 700, -50])
def test_a_heic_that_was_cut_short_is_unreadable(tmp_path: Path, length: int) -> None:
    path = iphone_photo(tmp_path / "photo.heic")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(StudioError, match="IMAGE_UNREADABLE"):
        images.clean(path, tmp_path, max_pixels=MOST)


def test_a_heic_has_its_limits_too(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="IMAGE_TOO_LARGE"):
        images.clean(iphone_photo(tmp_path / "photo.heic"), tmp_path, max_pixels=100_000)


def test_a_thumbnail_is_small_and_upright_and_white_where_nothing_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "drawing.png"
    image = Image.new("RGBA", (2_000, 1_000))
    image.paste("#d03030", (0, 0, 500, 500))
    image.save(path)
    images.thumbnail(path, tmp_path / "small.jpg", max_pixels=MOST)
    with Image.open(tmp_path / "small.jpg") as result:
        assert (result.format, result.size) == ("JPEG", (480, 240))
        assert result.getpixel((400, 200)) == pytest.approx((255, 255, 255), abs=3)
        assert result.getpixel((20, 20)) == pytest.approx((208, 48, 48), abs=12)


def test_a_thumbnail_is_never_larger_than_its_picture(tmp_path: Path) -> None:
    images.thumbnail(made.drawing(tmp_path / "a.png", (60, 40)), tmp_path / "small.jpg", max_pixels=MOST)
    with Image.open(tmp_path / "small.jpg") as result:
        assert result.size == (60, 40)


@pytest.mark.parametrize(
    ("size", "decoded"), [((1000, 750), (500, 375)), ((750, 1000), (375, 500)), ((980, 1), (980, 1))]
)
def test_a_photo_is_decoded_no_larger_than_its_long_side_is_needed(
    tmp_path: Path, size: tuple[int, int], decoded: tuple[int, int]
) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", size).save(path)
    with images.upright(path, at_least=480, max_pixels=MOST) as picture:
        assert picture.size == decoded


def test_a_photo_whose_tags_are_broken_is_taken_all_the_same(tmp_path: Path) -> None:
    """A text where the resolution belongs, and so nothing that Pillow could write anew."""
    path = tmp_path / "photo.jpg"
    turned = b"\x12\x01" + struct.pack("<HIH", 3, 1, 6) + b"\0\0"
    broken = b"\x1a\x01" + struct.pack("<HI", 2, 3) + b"no\0\0"
    tags = b"II*\0\x08\0\0\0\x02\0" + turned + broken + bytes(4)
    Image.new("RGB", (60, 40)).save(path, exif=b"Exif\0\0" + tags)

    result = images.clean(path, tmp_path, max_pixels=10_000)

    assert (result.width, result.height) == (40, 60)


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
