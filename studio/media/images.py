"""Pictures: what they are, and a clean copy that carries nothing but pixels."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms
from pillow_heif import register_heif_opener

from studio.errors import StudioError
from studio.media.kinds import Family, sniff
from studio.media.scans import count_scans

# Every picture here passes `_opened`, which compares the header's size with a limit of ours before anything is decoded.
# Pillow's own guard would warn about pictures that the settings allow.
Image.MAX_IMAGE_PIXELS = None

# What iPhones take. Of a picture with thumbnails and a depth map, only the picture itself is wanted.
register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)

FORMATS = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "heif": "HEIF"}
"""Pillow's names for the containers that are taken."""
JPEG_QUALITY = 92
MAX_SIDE = 16_384
"""Pixels. No camera makes a longer side, and what comes later would choke on a picture like a thread."""
MAX_SCANS = 100
"""A progressive JPEG has about ten. Each costs a pass over all pixels, and hardly a byte: a small file can hold an
hour's work."""
_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each orientation that EXIF has a number for."""
THUMB_SIDE = 480
THUMB_QUALITY = 82


@dataclass(frozen=True, slots=True)
class CleanImage:
    path: Path
    mime: str
    width: int
    height: int
    ext: str


def clean(path: Path, target_folder: Path, *, max_pixels: int) -> CleanImage:
    """Write an upright sRGB copy without any metadata, and so prove that every pixel decodes.

    Raises StudioError: IMAGE_UNREADABLE, IMAGE_TOO_LARGE, IMAGE_TOO_LONG, MIME_NOT_SUPPORTED for other pictures, or
    KIND_MISMATCH when it is really sound or film.
    """
    with _opened(path, max_pixels=max_pixels) as image:
        is_png = image.format == "PNG"
        with _unreadable_when_broken():
            image.load()
            upright = _plain(_turned(image))
    return _save(upright, target_folder, as_png=is_png)


def thumbnail(path: Path, target: Path, *, max_pixels: int) -> None:
    """Save a small JPEG of a picture, on white where it is transparent. Raises as `clean`."""
    with upright(path, at_least=THUMB_SIDE, max_pixels=max_pixels) as picture:
        picture.thumbnail((THUMB_SIDE, THUMB_SIDE))
        picture.save(target, "JPEG", quality=THUMB_QUALITY)


@contextmanager
def upright(path: Path, *, at_least: int, max_pixels: int) -> Iterator[Image.Image]:
    """The picture as upright RGB on white, decoded no larger than needed for `at_least` pixels on its long side.

    Raises as `clean`.
    """
    with _opened(path, max_pixels=max_pixels) as image:
        with _unreadable_when_broken():
            # A box of the picture's own shape: the decoder fills it both ways, and a square would be the short side's.
            box = [max(1, int(side * at_least / max(image.size))) for side in image.size]
            image.draft(None, (box[0], box[1]))
            image.load()
            picture = _on_white(_plain(_turned(image)))
        yield picture


@contextmanager
def _opened(path: Path, *, max_pixels: int) -> Iterator[Image.Image]:
    name = _format_of(path)
    with _unreadable_when_broken():
        image = Image.open(path, formats=[name])
    with image:
        pixels, side = image.width * image.height, max(image.size)
        if pixels > max_pixels:
            raise StudioError("IMAGE_TOO_LARGE", pixels=pixels, max_pixels=max_pixels)
        if side > MAX_SIDE:
            raise StudioError("IMAGE_TOO_LONG", pixels=side, max_pixels=MAX_SIDE)
        if name == "JPEG" and count_scans(path.read_bytes()) > MAX_SCANS:
            raise StudioError("IMAGE_UNREADABLE")
        yield image


def _format_of(path: Path) -> str:
    """Pillow's name for what the first bytes say. No other of its readers is tried."""
    container = sniff(path)
    if container is None:
        raise StudioError("IMAGE_UNREADABLE")
    if container.family is Family.MEDIA:
        raise StudioError("KIND_MISMATCH", kind="image")
    if container.name not in FORMATS:
        raise StudioError("MIME_NOT_SUPPORTED", mime=f"image/{container.name}")
    return FORMATS[container.name]


@contextmanager
def _unreadable_when_broken() -> Iterator[None]:
    # Pillow's decoders meet broken files with whatever error comes first, down to IndexError.
    try:
        yield
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        RuntimeError,
        struct.error,
        zlib.error,
    ) as error:
        raise StudioError("IMAGE_UNREADABLE") from error


def _turned(image: Image.Image) -> Image.Image:
    """The picture as the camera was held. Tags that are broken say nothing, and go with the others.

    Pillow's own function also writes the tags anew, which fails for many that phones and editors get wrong.
    """
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # noqa: BLE001 (Pillow meets broken tags with whatever error comes first)
        turn = None
    return image if turn is None else image.transpose(turn)


def _plain(image: Image.Image) -> Image.Image:
    """Eight-bit sRGB with or without alpha, and nothing attached."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        image = _eight_bit(image)
    has_alpha = image.has_transparency_data
    plain = _in_srgb(image, profile) if profile else None
    if plain is None:
        plain = image.convert("RGBA" if has_alpha else "RGB")
    elif has_alpha:
        plain.putalpha(image.convert("RGBA").getchannel("A"))
    plain.info.clear()
    plain.getexif().clear()
    return plain


def _eight_bit(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips sixteen bits to white instead of scaling them.
    return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Through the picture's own colour profile; None when the profile is broken or meant for another mode."""
    source = image if image.mode in {"RGB", "CMYK", "L"} else image.convert("RGB")
    try:
        return ImageCms.profileToProfile(
            source, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def _save(image: Image.Image, folder: Path, *, as_png: bool) -> CleanImage:
    # WebP and HEIF become what they would have been elsewhere, because few animation services take them.
    if as_png or image.mode == "RGBA":
        path = folder / "clean.png"
        image.save(path, "PNG", compress_level=5)
        return CleanImage(path, "image/png", image.width, image.height, "png")
    path = folder / "clean.jpg"
    image.save(path, "JPEG", quality=JPEG_QUALITY)
    return CleanImage(path, "image/jpeg", image.width, image.height, "jpg")
