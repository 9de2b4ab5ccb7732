"""The colours of a drawing, as people name them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from studio.language import Language
from studio.media import paper
from studio.media.paper import Pixels
from studio.media.shapes import Mask, shrink

NAMES: tuple[dict[Language, str], ...] = (
    {"zh": "黑色", "en": "black"},
    {"zh": "灰色", "en": "grey"},
    {"zh": "棕色", "en": "brown"},
    {"zh": "红色", "en": "red"},
    {"zh": "橙色", "en": "orange"},
    {"zh": "黄色", "en": "yellow"},
    {"zh": "绿色", "en": "green"},
    {"zh": "青色", "en": "teal"},
    {"zh": "天蓝色", "en": "sky blue"},
    {"zh": "蓝色", "en": "blue"},
    {"zh": "紫色", "en": "purple"},
    {"zh": "粉色", "en": "pink"},
)
_BLACK, _GREY, _BROWN, _RED, _ORANGE, _YELLOW, _GREEN, _TEAL, _SKY, _BLUE, _PURPLE, _PINK = range(12)

EDGES = {_BLACK, _GREY}
"""Kinds that also turn up where the colours of strokes mix; no patch is made of them."""

_CLEAR = 0.4
"""Distance from white at which a single pixel shows its own colour, and not that of a stroke's edge."""

# Upper ends of the hues, in degrees. Red closes the circle.
_HUES = (
    (14, _RED),
    (41, _ORANGE),
    (68, _YELLOW),
    (165, _GREEN),
    (190, _TEAL),
    (216, _SKY),
    (244, _BLUE),
    (305, _PURPLE),
    (340, _PINK),
    (361, _RED),
)


@dataclass(frozen=True, slots=True)
class Colour:
    """One named colour of a drawing; `share` is of the drawn area."""

    index: int
    color: str
    share: float


def classify(even: Pixels) -> npt.NDArray[np.int8]:
    """The index in NAMES of every pixel of an evenly lit picture."""
    high, low = even.max(axis=-1), even.min(axis=-1)
    spread = high - low
    saturation = spread / np.maximum(high, 1e-3)
    hue = _hue(even, high, spread)
    bounds = np.array([end for end, _ in _HUES])
    kinds = np.array([kind for _, kind in _HUES], np.int8)
    result: npt.NDArray[np.int8] = kinds[np.searchsorted(bounds, hue, side="right").clip(0, len(kinds) - 1)]
    warm = (hue < 45) | (hue > 345)
    result[warm & (high < 0.66) & (saturation > 0.25) & ((hue > 12) & (hue < 45) | (high < 0.42))] = _BROWN
    result[((hue > 325) | (hue < 16)) & (saturation < 0.52) & (high > 0.78)] = _PINK
    grey = saturation < 0.16
    result[grey] = _GREY
    result[(high < 0.26) | (grey & (high < 0.40))] = _BLACK
    return result


def _hue(even: Pixels, high: npt.NDArray[np.float32], spread: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Degrees around the colour circle, 0 for red."""
    red, green, blue = even[..., 0], even[..., 1], even[..., 2]
    safe = np.maximum(spread, 1e-6)
    sixth = np.where(
        high == red,
        ((green - blue) / safe) % 6,
        np.where(high == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    return np.asarray(sixth * 60, np.float32)


def leading(even: Pixels, where: Mask, *, least_share: float = 0.02) -> list[Colour]:
    """The named colours of the pixels in `where`, the commonest first."""
    clear = where & (shrink(where, 1) | (even.min(axis=2) < 1 - _CLEAR))
    pixels = even[clear if clear.any() else where]
    if not len(pixels):
        return []
    kinds = classify(pixels)
    counts = np.bincount(kinds, minlength=len(NAMES))
    found = [
        Colour(int(index), _hex(_pure(pixels[kinds == index])), float(counts[index] / len(pixels)))
        for index in np.argsort(-counts, kind="stable")
        if counts[index] and counts[index] / len(pixels) >= least_share
    ]
    return found or [Colour(int(counts.argmax()), _hex(np.median(pixels, axis=0)), 1.0)]


def accents(drawing: Image.Image) -> list[str]:
    """Up to five colours of a drawing as #rrggbb, for ornaments."""
    sheet = paper.read(drawing)
    return [colour.color for colour in leading(sheet.even, sheet.ink, least_share=0.03)[:5]]


def _pure(pixels: Pixels) -> npt.NDArray[np.float32]:
    """The median of the darker half: edges of strokes are mixed with paper and would wash the colour out."""
    luma = pixels.sum(axis=1)
    return np.asarray(np.median(pixels[luma <= np.median(luma)], axis=0), np.float32)


def _hex(colour: npt.NDArray[np.float32]) -> str:
    red, green, blue = (round(float(value) * 255) for value in colour.clip(0, 1))
    return f"#{red:02x}{green:02x}{blue:02x}"
