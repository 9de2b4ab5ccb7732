"""What the pages of a report are drawn with: one interface for pictures and for print, and text that fits its place.

Lengths are in the page's own unit, a pixel or a point; x grows to the right, y downwards. Text stands on its y.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from PIL import Image

from studio.media import titles

Point = tuple[float, float]
Align = Literal["left", "middle", "right"]

PAPER = "#fffdf7"
INK = "#35302a"
SOFT = "#6d6459"
LINE = "#dfd5c0"
WASH = "#f7f2e6"
ACCENT = "#b3432c"
"""The colours of the web page on light paper."""

_MEASURED_AT = 100
"""Font size at which text is measured, so that rounding to whole pixels does not matter."""


class Pen(Protocol):
    def line(self, points: Sequence[Point], color: str, width: float, *, is_dashed: bool = False) -> None:
        """A line through these points."""

    def area(self, points: Sequence[Point], color: str, *, opacity: float = 1.0) -> None:
        """A filled polygon."""

    def box(self, corner: Point, size: Point, color: str, *, radius: float = 0.0) -> None:
        """A filled box from its left top corner."""

    def dot(self, centre: Point, radius: float, color: str) -> None:
        """A filled circle."""

    def text(
        self, at: Point, words: str, size: float, color: str = INK, *, align: Align = "left", is_bold: bool = False
    ) -> None:
        """One line of text, of letters that the font has: what people wrote goes through `titles.readable`."""

    def picture(self, image: Image.Image, corner: Point, size: Point, *, name: str) -> None:
        """A picture from its left top corner; `name` is for those who cannot see it."""


def width_of(words: str, size: float) -> float:
    return titles.font(_MEASURED_AT).getlength(words) * size / _MEASURED_AT


def lines_of(words: str, width: float, size: float) -> list[str]:
    """The words in lines no wider than `width`."""
    return titles.wrap(words, width * _MEASURED_AT / size, _MEASURED_AT)


def cut(words: str, width: float, size: float) -> str:
    """The words, or as much of their beginning as fits."""
    if width_of(words, size) <= width:
        return words
    while words and width_of(f"{words}…", size) > width:
        words = words[:-1]
    return f"{words.rstrip()}…"


def starts_at(x: float, width: float, align: Align) -> float:
    """Where a text of this width begins."""
    return x - {"left": 0.0, "middle": width / 2, "right": width}[align]
