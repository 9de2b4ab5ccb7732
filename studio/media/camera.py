"""Where the camera looks: views of a plate, moves between them, and how many of them a story gets."""

from __future__ import annotations

import math
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels of the plate."""

CROSSFADE_S = 0.6
_SHORT_STORY_S = 18.0
_LONGEST_FILM_OF_SHOTS = 24


@dataclass(frozen=True, slots=True)
class View:
    """What fills the frame: a centre and a width in pixels of the plate. The height follows from the frame."""

    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class Shot:
    """One move, from `start` seconds for `seconds`; neighbours overlap by the crossfade."""

    start: float
    seconds: float
    opening: View
    closing: View

    def at(self, time: float) -> View:
        """The view at a time of the film, eased at both ends."""
        done = min(1.0, max(0.0, (time - self.start) / self.seconds))
        eased = (1 - math.cos(math.pi * done)) / 2
        # Widths change by equal factors in equal times, which is what a steady zoom looks like.
        return View(
            self.opening.x + (self.closing.x - self.opening.x) * eased,
            self.opening.y + (self.closing.y - self.opening.y) * eased,
            self.opening.width * (self.closing.width / self.opening.width) ** eased,
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to look at: the plate's size, the sheet on it, and what matters on the sheet, main thing first."""

    plate: tuple[int, int]
    sheet: Box
    focuses: tuple[Box, ...]

    @property
    def aspect(self) -> float:
        return self.plate[0] / self.plate[1]

    @property
    def whole(self) -> View:
        return View(self.plate[0] / 2, self.plate[1] / 2, self.plate[0])

    @property
    def cover_width(self) -> float:
        """The widest view that shows nothing but the sheet."""
        left, top, right, bottom = self.sheet
        return min(right - left, (bottom - top) * self.aspect)

    def view_of(self, box: Box, *, tight: float, loose: float) -> View:
        """A view around a box, its width within these fractions of the cover width, never off the sheet."""
        left, top, right, bottom = box
        wanted = 1.35 * max(right - left, (bottom - top) * self.aspect)
        width = min(max(wanted, tight * self.cover_width), loose * self.cover_width)
        return self._on_sheet((left + right) / 2, top + (bottom - top) * 0.46, width)

    def along(self, focus: Box, *, zoom: float) -> tuple[View, View]:
        """The two ends of a pan over the sheet, along the axis with more room, at the height of the focus."""
        left, top, right, bottom = self.sheet
        width = zoom * self.cover_width
        x, y = (focus[0] + focus[2]) / 2, (focus[1] + focus[3]) / 2
        if (right - left) - width >= (bottom - top) - width / self.aspect:
            return self._on_sheet(left, y, width), self._on_sheet(right, y, width)
        return self._on_sheet(x, bottom, width), self._on_sheet(x, top, width)

    def _on_sheet(self, x: float, y: float, width: float) -> View:
        left, top, right, bottom = self.sheet
        half, half_height = width / 2, width / self.aspect / 2
        return View(min(max(x, left + half), right - half), min(max(y, top + half_height), bottom - half_height), width)


def plan(scene: Scene, *, start: float, end: float) -> list[Shot]:
    """The moves between two times of the film: in on the main figure, across, and back to the whole drawing."""
    count = shots_for(end - start)
    moves = _moves(scene, count)
    length = (end - start + CROSSFADE_S * (count - 1)) / count
    return [
        Shot(start + i * (length - CROSSFADE_S), length, opening, closing) for i, (opening, closing) in enumerate(moves)
    ]


def shots_for(seconds: float) -> int:
    """One shot for about four seconds of a short story, for about seven of a long one."""
    if seconds <= _SHORT_STORY_S:
        return max(1, min(4, round(seconds / 4.2)))
    return min(_LONGEST_FILM_OF_SHOTS, round(seconds / 7) + 2)


def _moves(scene: Scene, count: int) -> list[tuple[View, View]]:
    main, *others = scene.focuses
    push_in = (scene.view_of(main, tight=0.94, loose=0.98), scene.view_of(main, tight=0.52, loose=0.70))
    reveal = (scene.view_of(main, tight=0.58, loose=0.74), scene.whole)
    if count == 1:
        return [(scene.whole, scene.view_of(main, tight=0.80, loose=0.88))]
    middle = [scene.along(main, zoom=0.66)]
    middle += [
        (scene.view_of(other, tight=0.62, loose=0.82), scene.view_of(other, tight=0.48, loose=0.66)) for other in others
    ]
    middle.append(scene.along(main, zoom=0.66)[::-1])
    return [push_in, *(middle[i % len(middle)] for i in range(count - 2)), reveal]
