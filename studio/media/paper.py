"""What is paper and what is drawn, in a scan or in a photo with shadows and a piece of the table.

The light on the sheet is a smooth surface, fitted to the pixels that look like paper. Divided by it, paper is close to
white everywhere; what stays coloured, or darker than its own surroundings, is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from studio.media.shapes import Mask, connected, grow, shrink

Pixels = npt.NDArray[np.float32]

SIDE = 400
"""Pixels on the long side of the small copy that is measured."""

_BLOCKS = 20
"""Blocks along the long side, in each of which the local paper light is looked for."""
_COLOURED = 0.16
"""Least difference between the strongest and the weakest channel, relative to paper, that makes a colour."""
_DARKER = 0.80
"""A pixel darker than this part of its surroundings is a stroke; soft shadows stay above."""
_DARK = 0.45
"""A pixel darker than this part of the paper is drawn, whatever surrounds it."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A small copy of a drawing, height × width × RGB from 0 to 1."""

    pixels: Pixels
    light: Pixels
    """The colour that bare paper has, or would have, at every pixel."""
    even: Pixels
    """The pixels as if the paper were white and evenly lit."""
    ink: Mask
    table: Mask
    """What lies around the sheet in a photo. It is neither paper nor drawn."""

    @property
    def coverage(self) -> float:
        """How much of the paper is drawn on, 0 to 1."""
        paper = int((~self.table).sum())
        return float(self.ink.sum() / paper) if paper else 0.0


def read(picture: Image.Image) -> Sheet:
    """Find what is drawn on an upright RGB picture."""
    small = picture.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=None)
    pixels: Pixels = np.asarray(small, np.float32) / np.float32(255)
    light = _light(pixels)
    even: Pixels = pixels / light
    luma = even @ _LUMA
    colour = even.max(axis=2) - even.min(axis=2)
    stroke = luma < _DARKER * _surroundings(luma)
    table = _table(luma, colour)
    ink = ((colour > _COLOURED) | stroke | (luma < _DARK)) & ~grow(table, 3)
    return Sheet(pixels, light, even.clip(0, 1), _without_specks(ink), table)


def tidied(picture: Image.Image) -> Image.Image:
    """The picture as a parent would have scanned it: brighter paper, and less of the table at its edges."""
    sheet = read(picture)
    bright = _brightened(picture, sheet, strength=0.6)
    left, right = _trimmed(sheet.table.mean(axis=0))
    top, bottom = _trimmed(sheet.table.mean(axis=1))
    width, height = picture.size
    return bright.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))


def _trimmed(table: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Where the sheet begins and ends along one side, given how much of each line is table; 0 to 1."""
    most = round(0.12 * len(table))
    start = next((i for i in range(most) if table[i] < 0.2), most)
    end = next((i for i in range(most) if table[-1 - i] < 0.2), most)
    return start / len(table), 1 - end / len(table)


def _brightened(picture: Image.Image, sheet: Sheet, *, strength: float) -> Image.Image:
    """The picture with its paper part of the way to evenly lit white; `strength` from 0 (as it is) to 1."""
    gain = (0.97 / sheet.light.clip(0.3, 0.97)) ** strength
    # A table of exponents per pixel would be slow at full size, and the light is smooth: its gain is enlarged instead.
    planes = [
        np.asarray(Image.fromarray(gain[..., c]).resize(picture.size, Image.Resampling.BILINEAR)) for c in range(3)
    ]
    bright = np.asarray(picture, np.float32) * np.stack(planes, axis=2)
    return Image.fromarray(bright.clip(0, 255).astype(np.uint8))


def _light(pixels: Pixels) -> Pixels:
    """The colour that bare paper has, or would have, at every pixel."""
    luma = pixels @ _LUMA
    colour = pixels.max(axis=2) - pixels.min(axis=2)
    candidates = (luma > 0.55 * np.percentile(luma, 98)) & (colour < 0.30)
    candidates &= _near_commonest(pixels, candidates)
    if candidates.mean() < 0.02:  # Coloured to the edges: there is no paper to measure, so it is taken as white.
        return np.full(pixels.shape, np.float32(0.96))
    terms = _terms(pixels.shape[0], pixels.shape[1])
    light = np.empty_like(pixels)
    for _ in range(4):
        chosen = terms[candidates]
        weights, *_ = np.linalg.lstsq(chosen, pixels[candidates], rcond=None)
        light = (terms @ weights).astype(np.float32).clip(0.15, 1.0)
        candidates = _like_paper(pixels / light)
        if candidates.mean() < 0.02:
            break
    return light


def _near_commonest(pixels: Pixels, candidates: Mask) -> Mask:
    """Candidates whose tone is near the commonest one, which paper is unless a child filled all of it."""
    bins = (pixels * 15.99).astype(np.int32) // 2
    codes = bins[..., 0] * 64 + bins[..., 1] * 8 + bins[..., 2]
    counts = np.bincount(codes[candidates], minlength=512)
    commonest = pixels[candidates & (codes == int(counts.argmax()))]
    if not len(commonest):
        return candidates
    tone = np.median(commonest, axis=0)
    return _like_paper(pixels / np.maximum(tone, 0.1))


def _like_paper(even: Pixels) -> Mask:
    luma = even @ _LUMA
    colour = even.max(axis=2) - even.min(axis=2)
    like: Mask = (luma > 0.75) & (luma < 1.3) & (colour < _COLOURED)
    return like


def _terms(height: int, width: int) -> Pixels:
    """The quadratic terms in which the light is fitted, height × width × 6."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    return np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=2)


def _surroundings(luma: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The brightness of the paper near every pixel: shadows follow it, strokes do not."""
    height, width = luma.shape
    block = max(4, max(height, width) // _BLOCKS)
    rows, columns = -(-height // block), -(-width // block)
    padded = np.pad(luma, ((0, rows * block - height), (0, columns * block - width)), mode="edge")
    blocks = padded.reshape(rows, block, columns, block).swapaxes(1, 2).reshape(rows, columns, -1)
    bright = np.percentile(blocks, 80, axis=2).astype(np.float32)
    # A block that is all ink borrows from its neighbours, or it would count as a shadow.
    padded_bright = np.pad(bright, 1, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded_bright, (3, 3)).reshape(rows, columns, 9)
    borrowed = np.where(bright < 0.6, windows.max(axis=2), bright)
    smooth = Image.fromarray(borrowed).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(smooth, np.float32)


def _table(luma: npt.NDArray[np.float32], colour: npt.NDArray[np.float32]) -> Mask:
    """Dark, grey, even patches along an edge of the photo. A child's dark patches are coloured or hatched."""
    height, width = luma.shape
    dark = shrink((luma < 0.6) & (colour < 0.12), 1)
    labels, shapes = connected(dark)
    table = np.zeros(luma.shape, np.bool_)
    for shape in shapes:
        patch = labels == shape.label
        along = max(int(patch[1].sum()), int(patch[-2].sum()), int(patch[:, 1].sum()), int(patch[:, -2].sum()))
        if along > 0.2 * min(height, width) and float(luma[patch].std()) < 0.06:
            table |= grow(patch, 3)
    return table


def _without_specks(ink: Mask) -> Mask:
    labels, shapes = connected(ink)
    specks = [shape.label for shape in shapes if shape.pixels < 4]
    return ink & ~np.isin(labels, specks)
