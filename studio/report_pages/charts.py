"""The charts of a report, drawn with any pen: the radar, bars of works, and the colours that were used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from studio.language import Language
from studio.report_pages import words
from studio.report_pages.pen import ACCENT, INK, LINE, SOFT, Pen, Point, width_of
from studio.reports import Ability, ColourUse, Period, PeriodReport

_RINGS = (25, 50, 75, 100)
_LEAST_SCALE = 4
"""Works that the tallest bar stands for at least: one work is no tower."""


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    """Below the bar; empty where there is no room for all."""
    count: int


_WEEKDAYS = {
    "zh": ("一", "二", "三", "四", "五", "六", "日"),
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
}
_NUMBERED = {1, 5, 10, 15, 20, 25, 30}
"""Days of a month that have room for their number."""


def bars_of_days(period: PeriodReport, language: Language) -> list[Bar]:
    """A bar for each day of a week or month."""
    if period.span.period is Period.WEEK:
        return [Bar(_WEEKDAYS[language][day.weekday()], count) for day, count in period.days.items()]
    return [Bar(str(day.day) if day.day in _NUMBERED else "", count) for day, count in period.days.items()]


def bars_of_periods(periods: Sequence[PeriodReport]) -> list[Bar]:
    """A bar for each period, the oldest first, under the month and day on which it begins."""
    firsts = [(period.span.first_day, len(period.works)) for period in reversed(periods)]
    return [Bar(f"{first.month}/{first.day}", count) for first, count in firsts]


def radar(
    pen: Pen, abilities: Sequence[Ability], language: Language, *, centre: Point, radius: float, text: float
) -> None:
    """The abilities around a circle; `text` is the size of their names. What has no value has no point either."""
    around = len(abilities)

    def at(position: int, value: float) -> Point:
        angle = 2 * math.pi * position / around - math.pi / 2
        return centre[0] + radius * value / 100 * math.cos(angle), centre[1] + radius * value / 100 * math.sin(angle)

    for ring in _RINGS:
        pen.line([at(position % around, ring) for position in range(around + 1)], LINE, radius / 180)
    for position, ability in enumerate(abilities):
        pen.line([centre, at(position, 100)], LINE, radius / 180, is_dashed=ability.value is None)
    earlier = [None if a.earlier is None else at(i, a.earlier) for i, a in enumerate(abilities)]
    values = [None if a.value is None else at(i, a.value) for i, a in enumerate(abilities)]
    for pair in _neighbours(earlier):
        pen.line(pair, SOFT, radius / 110, is_dashed=True)
    known = [point for point in values if point is not None]
    if len(known) == around:
        pen.area(known, ACCENT, opacity=0.16)
    for pair in _neighbours(values):
        pen.line(pair, ACCENT, radius / 70)
    for point in known:
        pen.dot(point, radius / 36, ACCENT)
    for position, ability in enumerate(abilities):
        _name(pen, ability, language, corner=at(position, 100), centre=centre, size=text)


def _neighbours(points: Sequence[Point | None]) -> list[tuple[Point, Point]]:
    """The sides of a polygon whose both ends are known."""
    pairs = zip(points, [*points[1:], *points[:1]], strict=True)
    return [(one, other) for one, other in pairs if one is not None and other is not None]


def _name(pen: Pen, ability: Ability, language: Language, *, corner: Point, centre: Point, size: float) -> None:
    """An ability's name, its value and how many works stand behind it, outside of its corner."""
    value = words.NO_VALUE if ability.value is None else str(ability.value)
    name = f"{ability.label.in_(language)} {value}"
    # A little outwards, where the circle falls away from the corner.
    outwards = round((corner[0] - centre[0]) / math.dist(corner, centre))
    x = corner[0] + 0.38 * width_of(name, size) * outwards
    y = corner[1] + (1.4 * size if corner[1] > centre[1] else -1.7 * size)
    pen.text((x, y), name, size, INK, align="middle")
    pen.text((x, y + 1.1 * size), words.works(len(ability.works)).in_(language), size * 0.72, SOFT, align="middle")


def bars(pen: Pen, counts: Sequence[Bar], *, corner: Point, size: Point, text: float) -> None:
    """Bars of whole numbers side by side; `text` is the size of their labels."""
    left, top = corner
    base = top + size[1] - 1.6 * text
    highest = max(_LEAST_SCALE, *(bar.count for bar in counts))
    step = size[0] / len(counts)
    for position, bar in enumerate(counts):
        middle = left + (position + 0.5) * step
        height = (base - top - 1.6 * text) * bar.count / highest
        width = min(0.62 * step, 2.6 * text)
        if bar.count:
            pen.box((middle - width / 2, base - height), (width, height), ACCENT, radius=min(width / 4, height / 2))
            if width_of(str(bar.count), text) < step:
                pen.text((middle, base - height - 0.4 * text), str(bar.count), text, INK, align="middle")
        pen.text((middle, base + 1.3 * text), bar.label, text, SOFT, align="middle")
    pen.line([(left, base), (left + size[0], base)], LINE, text / 12)


def colours(
    pen: Pen, uses: Sequence[ColourUse], language: Language, *, corner: Point, width: float, text: float
) -> None:
    """A band of the colours that were used, as wide as their shares, and a legend below."""
    x, top = corner
    whole = sum(use.share for use in uses)
    for use in uses:
        part = width * use.share / whole
        pen.box((x, top), (part, 1.4 * text), use.color)
        x += part
    x, y = corner[0], top + 2.9 * text
    for use in uses:
        label = f"{use.name.in_(language)} {round(100 * use.share)}%"
        needed = 1.2 * text + width_of(label, text)
        if x + needed > corner[0] + width:
            x, y = corner[0], y + 1.6 * text
        pen.dot((x + 0.4 * text, y - 0.35 * text), 0.4 * text, use.color)
        pen.text((x + 1.2 * text, y), label, text, SOFT)
        x += needed + text
