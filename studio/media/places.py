"""The parts of a drawing that an eye would pick out, as boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio.media import palette
from studio.media.palette import Colour
from studio.media.paper import Sheet
from studio.media.shapes import Mask, connected, grow

MOST = 8
_LEAST_SHARE = 0.0012
"""Of the picture; less is a dot or a fold."""
_SPREAD = 0.6
"""A box this large, as a part of the picture, is a scene and not a figure."""
_SAME = 0.7
"""Boxes that share this part of their union show one thing."""


@dataclass(frozen=True, slots=True)
class Place:
    """`box` is left, top, width and height, and `share` the drawn area, in fractions of the picture."""

    box: tuple[float, float, float, float]
    colour: Colour
    share: float


def find(sheet: Sheet) -> list[Place]:
    """Up to eight places, the largest first: connected shapes, then patches of one colour inside crowded ones."""
    shapes = _shapes(sheet.ink)
    kinds = palette.classify(sheet.even)
    patches: list[Mask] = []
    for shape in shapes:
        for kind in np.unique(kinds[shape]).tolist():
            patch = shape & (kinds == kind)
            if kind not in palette.EDGES and _LEAST_SHARE < patch.mean() < 0.75 * shape.mean():
                patches += [part for part in _parts(patch, gap=2) if _is_solid(part)]
    chosen: list[Mask] = []
    for mask in [*shapes, *sorted(patches, key=lambda mask: -int(mask.sum()))]:
        if len(chosen) < MOST and not any(_shows_the_same(mask, other) for other in chosen):
            chosen.append(mask)
    return [_place(sheet, mask) for mask in chosen]


def _shapes(ink: Mask) -> list[Mask]:
    """Connected shapes. One that spreads over the page is looked at again with less tolerance for gaps."""
    found: list[Mask] = []
    pending = [ink]
    for gap in (4, 2, 1):
        parts = [part for mask in pending for part in _parts(mask, gap=gap)]
        pending = [part for part in parts if _box_share(part) > _SPREAD]
        found += [part for part in parts if _box_share(part) <= _SPREAD]
    return sorted(found + pending, key=lambda mask: -int(mask.sum()))


def _parts(mask: Mask, *, gap: int) -> list[Mask]:
    """The parts of a mask that lie further apart than the gap, the largest first."""
    labels, shapes = connected(grow(mask, gap))
    parts = [mask & (labels == shape.label) for shape in shapes[: 3 * MOST]]
    large = [part for part in parts if part.mean() >= _LEAST_SHARE]
    return sorted(large, key=lambda part: -int(part.sum()))[:MOST]


def _shows_the_same(mask: Mask, other: Mask) -> bool:
    """Boxes that nearly coincide; a small patch inside a large shape is something of its own."""
    a, b = _box(mask), _box(other)
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    if across <= 0 or down <= 0:
        return False
    together = across * down
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - together
    return together / union > _SAME


def _is_solid(mask: Mask) -> bool:
    """A patch, not the scattered pixels of a line that changes its tone."""
    left, top, right, bottom = _box(mask)
    return int(mask.sum()) > 0.2 * (right - left) * (bottom - top)


def _box_share(mask: Mask) -> float:
    left, top, right, bottom = _box(mask)
    return (right - left) * (bottom - top) / mask.size


def _box(mask: Mask) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _place(sheet: Sheet, mask: Mask) -> Place:
    height, width = mask.shape
    left, top, right, bottom = _box(mask)
    box = (
        round(left / width, 4),
        round(top / height, 4),
        round((right - left) / width, 4),
        round((bottom - top) / height, 4),
    )
    return Place(box, palette.leading(sheet.even, mask)[0], float(mask.mean()))
