"""Which refusals a route may answer with: what its handler declares, and what follows from the handler itself."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec

from app.openapi.parameters import is_constrained, parameters_of
from app.views.view import View
from studio.errors import REGISTRY, describe
from studio.language import Language

Json = dict[str, Any]

EXAMPLE_PARAMS: dict[str, str | float] = {
    "kind": "image",
    "mime": "image/tiff",
    "max_bytes": 20_000_000,
    "pixels": 60_000_000,
    "max_pixels": 50_000_000,
    "seconds": 200,
    "max_seconds": 180,
}
"""What the placeholders in the registry's words stand for in examples."""
RETRY_LATER = {429, 503}


class FieldError(View, frozen=True, kw_only=True):
    """One field that has to be corrected."""

    field: str
    """The name as it was sent, `body` for the whole of it."""
    message: str


class Problem(View, frozen=True, kw_only=True):
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
    """For a handler's `responses`: these symbols of the registry, beyond those that follow from the handler.

    Raises KeyError for a symbol that the registry does not know.
    """
    by_status: dict[int, list[str]] = defaultdict(list)
    for symbol in symbols:
        by_status[REGISTRY[symbol].status].append(symbol)
    return {
        status: Refused(Problem, media_type="application/problem+json", symbols=tuple(group))
        for status, group in by_status.items()
    }


def refusals_of(handler: HTTPRouteHandler) -> dict[int, list[str]]:
    """All refusals of a route by their status."""
    declared = [spec.symbols for spec in (handler.responses or {}).values() if isinstance(spec, Refused)]
    symbols = {*_implied(handler), *(symbol for group in declared for symbol in group)}
    by_status: dict[int, list[str]] = defaultdict(list)
    for symbol in REGISTRY:
        if symbol in symbols:
            by_status[REGISTRY[symbol].status].append(symbol)
    return dict(sorted(by_status.items()))


def _implied(handler: HTTPRouteHandler) -> set[str]:
    names = handler.parsed_fn_signature.parameters.keys()
    parameters = parameters_of(handler)
    symbols = {"INTERNAL"}
    if "studio" in names:
        symbols.add("DATABASE_UNAVAILABLE")
    if "owner" in names:
        symbols |= {"CLIENT_ID_REQUIRED", "CLIENT_ID_INVALID"}
    if "data" in names:
        symbols |= {"INVALID_INPUT", "INVALID_JSON", "BODY_TOO_LARGE"}
    if any(parameter.place == "path" for parameter in parameters):
        symbols.add("NOT_FOUND")
    if any(is_constrained(parameter) for parameter in parameters):
        symbols.add("INVALID_INPUT")
    return symbols


def response_of(status: int, symbols: list[str]) -> Json:
    """The description of one status, with an example of each refusal that has it."""
    told = (f"`{symbol}` {_words(symbol, 'en')} {_words(symbol, 'zh')}" for symbol in symbols)
    headers = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    if status in RETRY_LATER:
        headers["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    return {
        "description": "\n\n".join(told),
        "headers": headers,
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {symbol: {"$ref": f"#/components/examples/{symbol}"} for symbol in symbols},
            }
        },
    }


def refusal_example(symbol: str) -> Json:
    """What a refusal looks like, in English."""
    status = REGISTRY[symbol].status
    words = describe(symbol, EXAMPLE_PARAMS, "en")
    body: Json = {"type": "about:blank", "title": words["message"], "status": status, **words}
    if symbol == "INVALID_INPUT":
        body["errors"] = [{"field": "title", "message": "Expected `str` of length <= 80"}]
    return {"summary": _words(symbol, "zh"), "value": {**body, "requestId": "r2VgqH9rN0uXo5m7bTzJ1Q"}}


def _words(symbol: str, language: Language) -> str:
    return str(describe(symbol, EXAMPLE_PARAMS, language)["message"])
