"""All refusals of a route, those that follow from its handler included, in the words of the registry."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from app.asgi import SAFE_METHODS
from app.openapi.operations import Operation
from app.openapi.refusals import Refused
from app.origins import NO_PAGES
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
    "retry_after_s": 17,
    "provider": "Runway",
    "setting": "RUNWAY_VIDEO_MODEL",
    "model": "gen4_turbo",
    "offered": "gen4.5, veo3.1",
    "field": "seconds",
    "value": "7",
    "nearest": "5, 10",
    "scope": "client",
}
"""What the placeholders in the registry's words stand for here."""
RETRY_LATER = {429, 503}


def refusals_of(operation: Operation) -> dict[int, list[str]]:
    """The symbols of all refusals by their status."""
    declared = [spec.symbols for spec in operation.specs.values() if isinstance(spec, Refused)]
    symbols = {*_implied(operation), *(symbol for group in declared for symbol in group)}
    by_status: dict[int, list[str]] = defaultdict(list)
    for symbol in REGISTRY:
        if symbol in symbols:
            by_status[REGISTRY[symbol].status].append(symbol)
    return dict(by_status)


def _implied(operation: Operation) -> set[str]:
    names, options = operation.names, operation.handler.opt
    symbols = {"INTERNAL"} if operation.path.startswith(NO_PAGES) else {"INTERNAL", "ORIGIN_REFUSED"}
    if "studio" in names:
        symbols.add("DATABASE_UNAVAILABLE")
    if names & {"owner", "identity"}:
        symbols |= {"CLIENT_ID_REQUIRED", "CLIENT_ID_INVALID", "TOKEN_INVALID", "TOKEN_EXPIRED"}
        symbols |= set() if options.get("takes_client_id") else {"TOKEN_REQUIRED"}
        symbols |= {"TICKET_INVALID"} if options.get("takes_ticket") else set()
    if operation.method not in SAFE_METHODS or "counted_as" in options:
        # Counting needs the database.
        symbols |= {"RATE_LIMITED", "DATABASE_UNAVAILABLE"}
    if "data" in names:
        symbols |= {"INVALID_INPUT", "INVALID_JSON", "BODY_TOO_LARGE"}
    if any(parameter.place == "path" for parameter in operation.parameters):
        symbols.add("NOT_FOUND")
    if any(parameter.is_constrained for parameter in operation.parameters):
        symbols.add("INVALID_INPUT")
    return symbols


def response_of(status: int, symbols: list[str]) -> Json:
    """The description of one status, with an example of each refusal that has it."""
    told = (f"`{symbol}` {_words(symbol, 'en')} {_words(symbol, 'zh')}" for symbol in symbols)
    headers = ["X-Request-Id", *(["Retry-After"] if status in RETRY_LATER else [])]
    return {
        "description": "\n\n".join(told),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {
            "application/problem+json": {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {symbol: {"$ref": f"#/components/examples/{symbol}"} for symbol in symbols},
            }
        },
    }


def refusal_example(symbol: str) -> Json:
    """A refusal in English, under its Chinese message."""
    words = describe(symbol, EXAMPLE_PARAMS, "en")
    body: Json = {"type": "about:blank", "title": words["message"], "status": REGISTRY[symbol].status, **words}
    if symbol == "INVALID_INPUT":
        body["errors"] = [{"field": "title", "message": "Expected `str` of length <= 80"}]
    return {"summary": _words(symbol, "zh"), "value": {**body, "requestId": "r2VgqH9rN0uXo5m7bTzJ1Q"}}


def _words(symbol: str, language: Language) -> str:
    return str(describe(symbol, EXAMPLE_PARAMS, language)["message"])
