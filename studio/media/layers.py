"""Taking a drawing apart: the figures that stand free on the paper, and the paper as it would be without them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from studio.media.paper import Pixels, Sheet
from studio.media.shapes import Labels, Mask, Shape, connected, filled, grow, shrink

MOST_FIGURES = 6
_SMALLEST, _LARGEST = 0.002, 0.45
"""Shares of the sheet between which a figure is worth moving."""
_CLEAR_RING = 0.9
"""A figure stands free when this part of the ring around it is bare paper."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A cut-out of the drawing. `left` and `top` say where it lies, in pixels of the picture it was cut from."""

    image: Image.Image
    left: int
    top: int
    share: float
    """Of the sheet, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Layers:
    background: Image.Image
    """The sheet with the figures taken off and the paper closed behind them."""
    figures: list[Figure]
    """Largest first. Empty when nothing stands free; the background is then the whole drawing."""


def separate(picture: Image.Image, sheet: Sheet) -> Layers:
    """Cut the figures of `sheet` out of the upright `picture` it was read from."""
    masks = _free_figures(sheet)
    if not masks:
        return Layers(picture, [])
    # Cut-outs take a rim of paper with them, and what is closed behind them is a little wider than their rim.
    rim = max(2, max(sheet.ink.shape) // 130)
    everything = np.logical_or.reduce([grow(mask, rim + 1) for mask in masks])
    background = _close(picture, sheet, everything)
    return Layers(background, [_cut(picture, grow(mask, rim)) for mask in masks])


def _free_figures(sheet: Sheet) -> list[Mask]:
    """Silhouettes, largest first. Strokes are gathered over wide gaps first, which keeps a sun and its rays together.

    What this ties to the edge of the sheet is looked at again with narrower gaps: a fox just above the grass.
    """
    taken = np.zeros(sheet.ink.shape, np.bool_)
    figures: list[Mask] = []
    for gap in (75, 130, 400):
        reach = max(1, max(sheet.ink.shape) // gap)
        labels, shapes = connected(grow(sheet.ink, reach))
        for shape in shapes:
            mask = _silhouette(sheet, labels, shape, reach)
            if mask is None or (mask & taken).any() or not _stands_free(mask, sheet, labels, shape):
                continue
            taken |= mask
            figures.append(mask)
    return sorted(figures, key=lambda mask: -int(mask.sum()))[:MOST_FIGURES]


def _silhouette(sheet: Sheet, labels: Labels, shape: Shape, reach: int) -> Mask | None:
    """The shape without its holes, at its drawn size; None when it is too small, too large or cut by the edge."""
    height, width = sheet.ink.shape
    if shape.left <= 1 or shape.top <= 1 or shape.right >= width - 1 or shape.bottom >= height - 1:
        return None
    mask = shrink(filled(labels == shape.label), reach)
    return mask if _SMALLEST <= float(mask.mean()) <= _LARGEST else None


def _stands_free(mask: Mask, sheet: Sheet, labels: Labels, shape: Shape) -> bool:
    near = grow(mask, max(4, max(mask.shape) // 40))
    ring = near & ~grow(mask, 2)
    # What hangs on to the ring must be paper; small things inside the silhouette travel with it.
    foreign = (sheet.ink | sheet.table) & (labels != shape.label)
    return bool(ring.any()) and float((~foreign[ring]).mean()) >= _CLEAR_RING


def _cut(picture: Image.Image, mask: Mask) -> Figure:
    ratio = picture.width / mask.shape[1]
    alpha = _scaled(mask, picture.size, softness=ratio * 1.2)
    box = alpha.getbbox() or (0, 0, *picture.size)
    image = picture.crop(box)
    image.putalpha(alpha.crop(box))
    return Figure(image, box[0], box[1], float(mask.mean()))


def _close(picture: Image.Image, sheet: Sheet, holes: Mask) -> Image.Image:
    """Paint the paper's light over the holes, with grain, so that no smooth patch tells where a figure was."""
    known = ~grow(sheet.ink, 2) & ~sheet.table & ~holes
    patch = Image.fromarray((_spread(sheet.pixels, known) * 255).clip(0, 255).astype(np.uint8))
    smooth = np.asarray(patch.resize(picture.size, Image.Resampling.BICUBIC), np.float32)
    grainy = smooth + _grain(picture, known)
    ratio = picture.width / holes.shape[1]
    closed = picture.copy()
    closed.paste(
        Image.fromarray(grainy.clip(0, 255).astype(np.uint8)), mask=_scaled(holes, picture.size, softness=ratio)
    )
    return closed


def _spread(pixels: Pixels, known: Mask) -> Pixels:
    """Carry the known pixels into the unknown ones, from near to far."""
    result = pixels.copy()
    missing = ~known
    for radius in (3, 8, 20, 50, 120):
        weight = _blurred(known.astype(np.float32), radius)
        colour = np.stack([_blurred(pixels[..., c] * known, radius) for c in range(3)], axis=2)
        reached = missing & (weight > 0.05)
        result[reached] = colour[reached] / weight[reached][:, None]
        missing &= ~reached
    if missing.any() and known.any():
        result[missing] = pixels[known].mean(axis=0)
    softened = np.stack([_blurred(result[..., c], 4) for c in range(3)], axis=2)
    return np.where(known[..., None], pixels, softened)


def _blurred(values: npt.NDArray[np.float32], radius: int) -> npt.NDArray[np.float32]:
    """Means over squares of this radius, through sums of rows and columns: Pillow blurs no floating-point pixels."""
    padded = np.pad(values.astype(np.float64), radius, mode="edge")
    width = 2 * radius + 1
    for axis in (0, 1):
        sums = np.cumsum(np.insert(padded, 0, 0, axis=axis), axis=axis)
        after, before = (np.take(sums, indices, axis=axis) for indices in _ends(sums.shape[axis], width))
        padded = (after - before) / width
    return padded.astype(np.float32)


def _ends(length: int, width: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return np.arange(width, length), np.arange(length - width)


def _grain(picture: Image.Image, known: Mask) -> npt.NDArray[np.float32]:
    """Noise as strong as the paper's own, height × width × 1."""
    grey = picture.convert("L")
    rough = np.asarray(grey, np.float32) - np.asarray(grey.filter(ImageFilter.BoxBlur(2)), np.float32)
    paper = np.asarray(Image.fromarray(known).resize(picture.size, Image.Resampling.NEAREST))
    strength = min(6.0, float(rough[paper].std())) if paper.any() else 0.0
    noise = np.random.default_rng(7).normal(0, strength, (picture.height, picture.width, 1))
    return noise.astype(np.float32)


def _scaled(mask: Mask, size: tuple[int, int], *, softness: float) -> Image.Image:
    image = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    return image.filter(ImageFilter.BoxBlur(softness))
