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
from PIL import Image, ImageCms, ImageOps

from studio.errors import StudioError
from studio.media.kinds import Family, sniff

# Every picture here passes `_opened`, which compares the header's size with a limit of ours before anything is decoded.
# Pillow's own guard would warn about pictures that the settings allow.
Image.MAX_IMAGE_PIXELS = None

FORMATS = ("JPEG", "PNG", "WEBP")
JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """`format` is Pillow's name; width and height are as stored, before any EXIF orientation."""

    format: str
    mime: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class CleanImage:
    path: Path
    mime: str
    width: int
    height: int
    ext: str


def inspect(path: Path, *, max_pixels: int) -> ImageFacts:
    """The facts of a picture, from its header alone.

    Raises StudioError: IMAGE_UNREADABLE, IMAGE_TOO_LARGE, or KIND_MISMATCH when it is really sound or film.
    """
    with _opened(path, max_pixels=max_pixels) as image:
        name = _public_format(image)
        return ImageFacts(name, Image.MIME[name], image.width, image.height)


def clean(path: Path, target_folder: Path, *, max_pixels: int) -> CleanImage:
    """Write an upright sRGB copy without any metadata, and so prove that every pixel decodes. Raises as `inspect`."""
    with _opened(path, max_pixels=max_pixels) as image:
        name = _public_format(image)
        with _unreadable_when_broken():
            image.load()
            upright = _plain(ImageOps.exif_transpose(image))
    return _save(upright, name, target_folder)


@contextmanager
def upright(path: Path, *, at_least: int, max_pixels: int) -> Iterator[Image.Image]:
    """The picture as upright RGB on white, decoded no larger than needed for `at_least` pixels on its long side.

    Raises as `inspect`.
    """
    with _opened(path, max_pixels=max_pixels) as image:
        with _unreadable_when_broken():
            image.draft(None, (at_least, at_least))
            image.load()
            picture = _on_white(_plain(ImageOps.exif_transpose(image)))
        yield picture


@contextmanager
def _opened(path: Path, *, max_pixels: int) -> Iterator[Image.Image]:
    container = sniff(path)
    if container is not None and container.family is Family.MEDIA:
        raise StudioError("KIND_MISMATCH", kind="image")
    with _unreadable_when_broken():
        image = Image.open(path, formats=FORMATS)
    with image:
        pixels = image.width * image.height
        if pixels > max_pixels:
            raise StudioError("IMAGE_TOO_LARGE", pixels=pixels, max_pixels=max_pixels)
        yield image


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
        struct.error,
        zlib.error,
    ) as error:
        raise StudioError("IMAGE_UNREADABLE") from error


def _public_format(image: Image.Image) -> str:
    # An iPhone's MPO is a JPEG with more pictures behind it, and every reader of JPEG shows the first.
    return "JPEG" if image.format == "MPO" else str(image.format)


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


def _save(image: Image.Image, name: str, folder: Path) -> CleanImage:
    # WebP becomes what it would have been elsewhere, because few animation services take WebP.
    if name == "PNG" or image.mode == "RGBA":
        path = folder / "clean.png"
        image.save(path, "PNG", compress_level=5)
        return CleanImage(path, "image/png", image.width, image.height, "png")
    path = folder / "clean.jpg"
    image.save(path, "JPEG", quality=JPEG_QUALITY)
    return CleanImage(path, "image/jpeg", image.width, image.height, "jpg")
