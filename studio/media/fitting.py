"""A drawing as a service takes it: upright, on white, in its limits of size and shape. Nothing is cut off."""

from __future__ import annotations

import io
import math
from pathlib import Path

from PIL import Image

from studio.errors import StudioError
from studio.media import images
from studio.providers.cards import PictureLimits

BEST_SIDE = 2048
"""Pixels of the longer side that are worth sending: no model looks at more."""
_AS_GOOD = 0.9
"""Of that side. Half of the 4032 pixels that phones take is a sixth of the work of all of them."""
_QUALITIES = (92, 85, 75, 60)
_MARGIN = 1.005
"""Shapes are kept this far inside of a limit that a service may mean strictly."""


def fit(drawing: Path, limits: PictureLimits, *, max_pixels: int = 50_000_000) -> bytes:
    """A JPEG of the drawing that keeps to the limits: scaled, and padded with the white of its paper.

    Raises StudioError: IMAGE_UNREADABLE and what else makes a picture none, PROVIDER_REFUSED where nothing fits.
    """
    side = min(BEST_SIDE, limits.most_side)
    with images.upright(drawing, at_least=round(side * _AS_GOOD), max_pixels=max_pixels) as picture:
        fitted = _scaled(_padded(picture, limits), limits, side)
    while True:
        for quality in _QUALITIES:
            content = _jpeg(fitted, quality)
            if len(content) <= limits.max_bytes:
                return content
        smaller = (fitted.width * 3 // 4, fitted.height * 3 // 4)
        if min(smaller) < max(limits.least_side, 16):
            raise StudioError("PROVIDER_REFUSED")
        fitted = fitted.resize(smaller, Image.Resampling.LANCZOS)


def _padded(picture: Image.Image, limits: PictureLimits) -> Image.Image:
    """On a sheet of white that is neither too narrow nor too wide."""
    width, height = picture.size
    width = max(width, math.ceil(height * limits.least_ratio * _MARGIN))
    height = max(height, math.ceil(width / limits.most_ratio * _MARGIN))
    if (width, height) == picture.size:
        return picture
    sheet = Image.new("RGB", (width, height), "white")
    sheet.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    return sheet


def _scaled(picture: Image.Image, limits: PictureLimits, side: int) -> Image.Image:
    """Neither too large nor too small."""
    scale = min(1.0, side / max(picture.size))
    scale = max(scale, limits.least_side / min(picture.size))
    if scale == 1.0:
        return picture
    size = tuple(min(limits.most_side, max(limits.least_side, round(length * scale))) for length in picture.size)
    return picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
