"""The pen that draws on a picture, larger than needed and then scaled down, because Pillow's edges are not smooth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from PIL import Image, ImageDraw

from studio.media.titles import font
from studio.report_pages.pen import INK, WASH, Align, Point, starts_at, width_of

_SCALE = 3
_DASH = 9.0


class PicturePen:
    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._large = Image.new("RGB", (width * _SCALE, height * _SCALE), WASH)
        self._draw = ImageDraw.Draw(self._large, "RGBA")

    def finished(self) -> Image.Image:
        return self._large.resize(self._size, Image.Resampling.BOX)

    def line(self, points: Sequence[Point], color: str, width: float, *, is_dashed: bool = False) -> None:
        thick = max(1, round(width * _SCALE))
        for piece in _dashes(points) if is_dashed else [points]:
            self._draw.line([_scaled(point) for point in piece], color, thick, joint="curve")

    def area(self, points: Sequence[Point], color: str, *, opacity: float = 1.0) -> None:
        self._draw.polygon([_scaled(point) for point in points], f"{color}{round(255 * opacity):02x}")

    def box(self, corner: Point, size: Point, color: str, *, radius: float = 0.0) -> None:
        (left, top), (right, bottom) = _scaled(corner), _scaled((corner[0] + size[0], corner[1] + size[1]))
        if right - left >= 1 and bottom - top >= 1:
            self._draw.rounded_rectangle((left, top, right - 1, bottom - 1), radius * _SCALE, color)

    def dot(self, centre: Point, radius: float, color: str) -> None:
        x, y = _scaled(centre)
        self._draw.ellipse((x - radius * _SCALE, y - radius * _SCALE, x + radius * _SCALE, y + radius * _SCALE), color)

    def text(
        self, at: Point, words: str, size: float, color: str = INK, *, align: Align = "left", is_bold: bool = False
    ) -> None:
        x, y = _scaled((starts_at(at[0], width_of(words, size), align), at[1]))
        thick = max(1, round(size * _SCALE / 60)) if is_bold else 0
        self._draw.text((x, y), words, color, font(round(size * _SCALE)), anchor="ls", stroke_width=thick)

    def picture(self, image: Image.Image, corner: Point, size: Point, *, name: str) -> None:
        (left, top), (width, height) = _scaled(corner), _scaled(size)
        self._large.paste(image.resize((round(width), round(height))), (round(left), round(top)))


def _scaled(point: Point) -> Point:
    return point[0] * _SCALE, point[1] * _SCALE


def _dashes(points: Sequence[Point]) -> list[list[Point]]:
    dashes = []
    for (x0, y0), (x1, y1) in pairwise(points):
        length = math.dist((x0, y0), (x1, y1))
        steps = max(1, round(length / _DASH))
        for step in range(0, steps, 2):
            a, b = step / steps, (step + 1) / steps
            dashes.append([(x0 + a * (x1 - x0), y0 + a * (y1 - y0)), (x0 + b * (x1 - x0), y0 + b * (y1 - y0))])
    return dashes
