"""How a cut-out figure moves by itself: things in the air float, things on the ground sway on their feet."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a figure is at one moment: a shift in pixels, a turn in radians and a size, about its pivot."""

    dx: float = 0.0
    dy: float = 0.0
    turn: float = 0.0
    size: float = 1.0


@dataclass(frozen=True, slots=True)
class Motion:
    """A periodic movement around (`pivot_x`, `pivot_y`); `reach` is the largest shift in pixels."""

    pivot_x: float
    pivot_y: float
    reach: float
    floats: bool
    phase: float

    def at(self, seconds: float, *, liveliness: float) -> Pose:
        """The pose at a time; `liveliness` from 0 (as drawn) to 1 lets a movement begin and end gently."""
        if self.floats:
            return Pose(
                dx=liveliness * 0.6 * self.reach * _swing(seconds, 5.3, self.phase + 1.1),
                dy=liveliness * self.reach * _swing(seconds, 3.1, self.phase),
                turn=liveliness * math.radians(2.6) * _swing(seconds, 4.1, self.phase + 0.6),
            )
        return Pose(
            turn=liveliness * math.radians(2.2) * _swing(seconds, 2.3, self.phase),
            size=1 + liveliness * 0.012 * _swing(seconds, 1.7, self.phase + 0.4),
        )


def _swing(seconds: float, period: float, phase: float) -> float:
    return math.sin(2 * math.pi * seconds / period + phase)
