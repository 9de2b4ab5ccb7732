"""What callers wish a clip to be, and what a model's card makes of it. Nothing is rounded: what is not offered is
refused, and the refusal names the nearest values that are."""

from __future__ import annotations

import re

import msgspec

from studio.errors import StudioError
from studio.providers.cards import Card, ClipModel, ClipOffer, model_named
from studio.providers.interfaces import Capability, ClipFormat

ADAPTIVE = "adaptive"


class ClipWishes(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks of a film; None leaves it to the deployment and its providers."""

    provider: str | None = None
    """Who is to make it."""
    model: str | None = None
    """With which model of that provider."""
    seconds: int | None = None
    """How long it is to last."""
    ratio: str | None = None
    """Width to height: 16:9."""
    resolution: str | None = None
    """720p."""


def settle(card: Card, offer: ClipOffer, wishes: ClipWishes, *, drawing_ratio: float) -> ClipFormat:
    """The format that a provider is asked for. `drawing_ratio` is the drawing's width by its height.

    Raises StudioError("MODEL_UNKNOWN"), StudioError("CLIP_NOT_OFFERED").
    """
    name = wishes.model or offer.model
    model = model_named(card, Capability.ANIMATOR, offer.models, name)
    return ClipFormat(
        model=name,
        seconds=_seconds(card, name, model, wishes.seconds),
        ratio=_ratio(card, name, model, wishes.ratio, drawing_ratio),
        resolution=_resolution(card, name, model, wishes.resolution),
    )


def _seconds(card: Card, name: str, model: ClipModel, wish: int | None) -> int:
    if wish is None:
        return model.default_seconds
    if wish not in model.seconds:
        raise _refused(card, name, "seconds", str(wish), list(map(str, _around(wish, model.seconds))))
    return wish


def _ratio(card: Card, name: str, model: ClipModel, wish: str | None, drawing_ratio: float) -> str:
    if wish is None:
        if not model.ratios or ADAPTIVE in model.ratios:
            return ADAPTIVE if model.ratios else ""
        return min(model.ratios, key=lambda ratio: abs(_value(ratio) - drawing_ratio))
    if wish not in model.ratios:
        offered = [ratio for ratio in model.ratios if ratio != ADAPTIVE]
        value = _value(wish)
        near = sorted(offered, key=lambda ratio: abs(_value(ratio) - value))[:2] if value else sorted(offered)
        raise _refused(card, name, "ratio", wish, near)
    return wish


def _resolution(card: Card, name: str, model: ClipModel, wish: str | None) -> str:
    if wish is None:
        return model.default_resolution
    if wish not in model.resolutions:
        lines = {_lines(resolution): resolution for resolution in model.resolutions}
        near = (
            [lines[value] for value in _around(_lines(wish), tuple(lines))] if _lines(wish) else sorted(lines.values())
        )
        raise _refused(card, name, "resolution", wish, near)
    return wish


def _around(wish: int, offered: tuple[int, ...]) -> list[int]:
    """The offered values next to the wish, below and above."""
    below = [value for value in offered if value < wish]
    above = [value for value in offered if value > wish]
    return [*([max(below)] if below else []), *([min(above)] if above else [])]


def _value(ratio: str) -> float:
    match = re.fullmatch(r"(\d{1,5}):(\d{1,5})", ratio)
    return int(match[1]) / int(match[2]) if match and int(match[2]) else 0.0


def _lines(resolution: str) -> int:
    if resolution.lower() == "4k":
        return 2160
    match = re.match(r"\d{1,5}", resolution)
    return int(match[0]) if match else 0


def _refused(card: Card, model: str, field: str, value: str, nearest: list[str]) -> StudioError:
    return StudioError(
        "CLIP_NOT_OFFERED",
        provider=card.title,
        model=model,
        field=field,
        value=value[:20],
        nearest=", ".join(nearest) or "–",
    )
