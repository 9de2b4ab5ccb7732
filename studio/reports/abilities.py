"""The axes of the radar: what a child's works of one period show, each measured in one stated way.

They describe works and their making, on scales of 0 to 100. They are no marks, say nothing about health or talent, and
are only ever compared with the same child's own works of the period before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from studio.language import Text
from studio.reports.works import Work

ENOUGH = 3
"""Works below which nothing is said: one or two tell more about a day than about a child."""

_HALF_PARTS = 3
_HALF_WORDS = 50
_HALF_VOICE_S = 20.0
PERSISTENCE = "persistence"


@dataclass(frozen=True, slots=True)
class Ability:
    """One axis. `value` is None when fewer than ENOUGH works have what it measures."""

    key: str
    label: Text
    method: Text
    value: int | None
    works: list[Work]
    """Those that it was measured on, also when they were not enough."""
    earlier: int | None = None
    """The value of the period before, where both were measured in the same way."""

    @property
    def note(self) -> Text | None:
        """Why there is no value."""
        if self.value is not None:
            return None
        found = len(self.works)
        return Text(f"作品还不够（{found}/{ENOUGH}）", f"Not enough works yet ({found} of {ENOUGH})")


@dataclass(frozen=True, slots=True)
class _Axis:
    key: str
    label: Text
    method: Text
    measure: Callable[[Work], float | None]
    """A work's place on the scale; None for a work that lacks what is measured."""


def measure(works: list[Work], *, active_days: int, days: int) -> list[Ability]:
    """The abilities that these works show. `days` have begun of their period; on `active_days` something was made."""
    return [*(_mean(axis, works) for axis in _AXES), _persistence(works, active_days=active_days, days=days)]


def compared(abilities: list[Ability], before: list[Ability]) -> list[Ability]:
    """The abilities, each with its value in the period before."""
    earlier = {ability.key: ability for ability in before}
    return [
        replace(ability, earlier=earlier[ability.key].value)
        if _readers(ability) == _readers(earlier[ability.key])
        else ability
        for ability in abilities
    ]


def _readers(ability: Ability) -> set[str]:
    """Who read the drawings. What two readers see cannot be compared."""
    return {work.reading.method for work in ability.works if work.reading}


def _mean(axis: _Axis, works: list[Work]) -> Ability:
    measured = [(work, value) for work in works if (value := axis.measure(work)) is not None]
    value = round(sum(value for _, value in measured) / len(measured)) if len(measured) >= ENOUGH else None
    return Ability(axis.key, axis.label, axis.method, value, [work for work, _ in measured])


def _persistence(works: list[Work], *, active_days: int, days: int) -> Ability:
    return Ability(
        PERSISTENCE,
        Text("坚持", "Persistence"),
        Text(
            "有作品的天数占这段时间里已经过去的天数的百分比。",
            "Days on which something was made, as a percentage of the days of the period so far.",
        ),
        round(100 * active_days / days) if len(works) >= ENOUGH else None,
        works,
    )


def _score(name: str) -> Callable[[Work], float | None]:
    """A score of the drawing's reading. Not every reader gives every score."""

    def measured(work: Work) -> float | None:
        score = work.reading.scores.get(name) if work.reading else None
        return score.value if score else None

    return measured


def _parts(work: Work) -> float | None:
    return _saturating(len(work.reading.regions) / _HALF_PARTS) if work.reading else None


def _storytelling(work: Work) -> float | None:
    if not work.is_told:
        return None
    return _saturating(max(work.words / _HALF_WORDS, work.voice_s / _HALF_VOICE_S))


def _saturating(halves: float) -> float:
    """A scale without a top to reach: 1 is half of it, 2 is three quarters."""
    return 100 * (1 - math.exp2(-halves))


_AXES = (
    _Axis(
        "color",
        Text("色彩", "Colour"),
        Text(
            "每幅画用到的颜色种类和面积的均匀程度（信息熵），取平均。",
            "How many named colours each drawing has and how evenly they share it (entropy), on average.",
        ),
        _score("color_variety"),
    ),
    _Axis(
        "detail",
        Text("细节", "Detail"),
        Text(
            "每幅画笔迹轮廓的长度与纸张边长的比较，取平均。",
            "Length of the outlines in each drawing compared with the sides of its paper, on average.",
        ),
        _score("detail"),
    ),
    _Axis(
        "composition",
        Text("构图", "Composition"),
        Text(
            "每幅画的笔迹重心离纸张中心的远近，取平均；越近数值越大。",
            "How near what is drawn lies to the centre of its paper, on average; nearer is higher.",
        ),
        _score("balance"),
    ),
    _Axis(
        "elements",
        Text("画面元素", "Elements"),
        Text(
            f"每幅画里分得开的部分有几处，取平均；{_HALF_PARTS} 处是刻度的一半。",
            f"How many separate parts each drawing has, on average; {_HALF_PARTS} are half of the scale.",
        ),
        _parts,
    ),
    _Axis(
        "storytelling",
        Text("讲故事", "Storytelling"),
        Text(
            f"每个故事的长短，取平均；{_HALF_WORDS} 个字（词）或 {_HALF_VOICE_S:.0f} 秒录音是刻度的一半，取较长的。",
            f"How long each story is, on average; {_HALF_WORDS} words (Chinese characters) or {_HALF_VOICE_S:.0f} "
            "seconds of recording are half of the scale, whichever is longer.",
        ),
        _storytelling,
    ),
)
