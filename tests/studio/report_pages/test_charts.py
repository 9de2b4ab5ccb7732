from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from PIL import Image

from studio.language import Text
from studio.report_pages import charts
from studio.report_pages.charts import Bar
from studio.report_pages.pen import Point
from studio.reports import Ability, ColourUse, Period
from tests.studio import works as made


class Notes:
    """A pen that draws nothing and notes what it was asked for."""

    def __init__(self) -> None:
        self.lines: list[tuple[Sequence[Point], bool]] = []
        self.areas: list[Sequence[Point]] = []
        self.boxes: list[tuple[Point, Point]] = []
        self.dots: list[Point] = []
        self.texts: list[str] = []

    def line(self, points: Sequence[Point], color: str, width: float, *, is_dashed: bool = False) -> None:
        self.lines.append((points, is_dashed))

    def area(self, points: Sequence[Point], color: str, *, opacity: float = 1.0) -> None:
        self.areas.append(points)

    def box(self, corner: Point, size: Point, color: str, *, radius: float = 0.0) -> None:
        self.boxes.append((corner, size))

    def dot(self, centre: Point, radius: float, color: str) -> None:
        self.dots.append(centre)

    def text(self, at: Point, words: str, size: float, color: str = "", **how: Any) -> None:
        self.texts.append(words)

    def picture(self, image: Image.Image, corner: Point, size: Point, *, name: str) -> None:
        raise AssertionError("charts have no pictures")


def radar(*values: int | None, earlier: int | None = None) -> Notes:
    abilities = [Ability(f"a{i}", Text("甲", "A"), Text("", ""), value, [], earlier) for i, value in enumerate(values)]
    notes = Notes()
    charts.radar(notes, abilities, "en", centre=(0, 0), radius=100, text=10)
    return notes


def test_a_value_lies_on_its_axis() -> None:
    assert radar(50, 100, 0, 100).dots == [pytest.approx(point) for point in ((0, -50), (100, 0), (0, 0), (-100, 0))]


def test_what_has_no_value_has_no_point_and_the_shape_stays_open() -> None:
    open_one, closed = radar(50, None, 50, 50), radar(50, 50, 50, 50)

    assert len(open_one.dots) == 3
    assert not open_one.areas
    assert "A –" in open_one.texts
    assert len(closed.areas) == 1


def test_the_period_before_is_dashed() -> None:
    def dashed(notes: Notes) -> int:
        return sum(1 for _, is_dashed in notes.lines if is_dashed)

    assert dashed(radar(50, 50, 50)) == 0
    assert dashed(radar(50, 50, 50, earlier=30)) == 3


def test_bars_are_as_high_as_their_counts_and_one_work_is_no_tower() -> None:
    notes = Notes()
    charts.bars(notes, [Bar("a", 0), Bar("b", 1), Bar("c", 2)], corner=(0, 0), size=(300, 132), text=10)

    heights = [height for _, (_, height) in notes.boxes]
    assert heights == [pytest.approx(25), pytest.approx(50)]


def test_every_colour_is_named_below_the_band() -> None:
    uses = [ColourUse(Text("红色", "red"), "#d03030", 0.6, []), ColourUse(Text("蓝色", "blue"), "#3050c0", 0.2, [])]
    notes = Notes()
    charts.colours(notes, uses, "en", corner=(0, 0), width=200, text=10)

    assert notes.texts == ["red 60%", "blue 20%"]
    assert [size[0] for _, size in notes.boxes] == [pytest.approx(150), pytest.approx(50)]


def test_a_month_has_a_bar_for_each_day_and_room_for_some_numbers() -> None:
    (month,) = made.report([], period=Period.MONTH).periods

    bars = charts.bars_of_days(month, "en")

    assert len(bars) == 30
    assert [bar.label for bar in bars if bar.label] == ["1", "5", "10", "15", "20", "25", "30"]
    assert [bar.label for bar in charts.bars_of_days(made.report([]).periods[0], "zh")] == list("一二三四五六日")
