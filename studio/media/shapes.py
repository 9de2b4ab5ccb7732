"""Connected shapes in small black-and-white masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Shape:
    """One connected shape: its number in the labels, its pixels, and its box with exclusive right and bottom edges."""

    label: int
    pixels: int
    left: int
    top: int
    right: int
    bottom: int

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)


def grow(mask: Mask, radius: int) -> Mask:
    """Every pixel within a square of this radius around the mask."""
    return _filtered(mask, ImageFilter.MaxFilter, radius)


def shrink(mask: Mask, radius: int) -> Mask:
    return _filtered(mask, ImageFilter.MinFilter, radius)


def _filtered(mask: Mask, kind: type[ImageFilter.MaxFilter | ImageFilter.MinFilter], radius: int) -> Mask:
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    # Pillow's rank filters cost the square of their size, and a square window is a row of small ones.
    while radius > 0:
        step = min(radius, 2)
        image = image.filter(kind(2 * step + 1))
        radius -= step
    return np.asarray(image) > 127


def connected(mask: Mask) -> tuple[Labels, list[Shape]]:
    """Number the shapes of a mask, touching corners included; zero is the ground. Larger shapes come first."""
    runs = _runs(mask)
    if not len(runs):
        return np.zeros(mask.shape, np.int32), []
    roots = _joined(runs, mask.shape[0])
    _, numbers = np.unique(roots, return_inverse=True)
    labels = np.zeros(mask.shape, np.int32)
    for (row, start, end), number in zip(runs.tolist(), numbers.tolist(), strict=True):
        labels[row, start:end] = number + 1
    shapes = [_shape(runs[numbers == number], number + 1) for number in range(int(numbers.max()) + 1)]
    return labels, sorted(shapes, key=lambda shape: (-shape.pixels, shape.label))


def filled(mask: Mask) -> Mask:
    """The mask with its holes: all that is not ground connected to the edge of the picture."""
    around = np.pad(~mask, 1, constant_values=True)
    labels, _ = connected(around)
    outside = labels == labels[0, 0]
    holes_and_shapes: Mask = ~outside[1:-1, 1:-1]
    return holes_and_shapes


def _runs(mask: Mask) -> npt.NDArray[np.int64]:
    """Rows of (row, first column, column past the last), top to bottom, left to right."""
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    return np.stack([rows, starts, ends], axis=1)


def _joined(runs: npt.NDArray[np.int64], height: int) -> npt.NDArray[np.int64]:
    """Union-find over runs that touch a run of the row above."""
    parents = list(range(len(runs)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    first_of_row = np.searchsorted(runs[:, 0], np.arange(height + 1)).tolist()
    spans = runs[:, 1:].tolist()
    for row in range(1, height):
        above, above_end = first_of_row[row - 1], first_of_row[row]
        for run in range(first_of_row[row], first_of_row[row + 1]):
            start, end = spans[run]
            while above < above_end and spans[above][1] < start:
                above += 1
            touching = above
            while touching < above_end and spans[touching][0] <= end:
                parents[root(touching)] = root(run)
                touching += 1
    return np.array([root(run) for run in range(len(runs))])


def _shape(runs: npt.NDArray[np.int64], label: int) -> Shape:
    return Shape(
        label,
        pixels=int((runs[:, 2] - runs[:, 1]).sum()),
        left=int(runs[:, 1].min()),
        top=int(runs[:, 0].min()),
        right=int(runs[:, 2].max()),
        bottom=int(runs[:, 0].max()) + 1,
    )
