"""What a refusal looks like, and how a handler says which ones it may answer with."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import msgspec
from litestar.openapi.datastructures import ResponseSpec

from studio.errors import REGISTRY


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """One field that has to be corrected."""

    field: str
    """The name as it was sent, `body` for the whole of it."""
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every refusal looks like this, in the language of `Accept-Language`. 所有错误都是这个格式。"""

    type: str
    title: str
    """The same as `message`."""
    status: int
    code: str
    """The name of the refusal, which does not change. Programs decide by it."""
    number: int
    message: str
    next_step: str
    """What the person can do about it."""
    retryable: bool
    """Whether the same call may succeed later."""
    request_id: str
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET
    """Of INVALID_INPUT only."""


@dataclass
class Refused(ResponseSpec):
    """The refusals of one status."""

    symbols: tuple[str, ...] = ()


def refusals(*symbols: str) -> dict[int, ResponseSpec]:
    """For a handler's `responses`: symbols of the registry, beyond those that follow from the handler itself.

    Raises KeyError for a symbol that the registry does not know.
    """
    by_status: dict[int, list[str]] = defaultdict(list)
    for symbol in symbols:
        by_status[REGISTRY[symbol].status].append(symbol)
    return {
        status: Refused(Problem, media_type="application/problem+json", symbols=tuple(group))
        for status, group in by_status.items()
    }
