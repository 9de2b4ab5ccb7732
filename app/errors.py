"""The one mapping from our errors to answers: problem+json with `code`, `message`, `nextStep` and `requestId`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import structlog
from dramatiq.errors import ConnectionError as BrokerConnectionError
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, ValidationException
from pymongo.errors import PyMongoError

from broker.errors import is_passing
from studio.errors import REGISTRY, StudioError, describe
from studio.language import Language
from studio.objects import StoreUnavailable

log = structlog.get_logger("app")

_BY_STATUS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}

# What the framework says of a value without repeating it: the wanted type or range, or the field that is missing.
_NAMES_NO_VALUE = re.compile(
    r"Expected `[^`']+`(, got `\w+`|( of length)? [<>]=? [\d.]+)?|Object missing required field `\w+`"
)

AnyRequest = Request[Any, Any, Any]
Problem = Response[dict[str, Any]]


def language_of(request: ASGIConnection[Any, Any, Any, Any]) -> Language:
    """Chinese when the caller's first language is Chinese, English otherwise."""
    return "zh" if request.headers.get("accept-language", "").strip().lower().startswith("zh") else "en"


def problem(
    request: AnyRequest,
    symbol: str,
    params: dict[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Problem:
    status = REGISTRY[symbol].status
    words = describe(symbol, params, language_of(request))
    body = {
        "type": "about:blank",
        "title": words["message"],
        "status": status,
        **words,
        **more,
        "requestId": request.scope["state"].get("request_id", ""),
    }
    retry = {"Retry-After": "5"} if status == 503 else {}
    return Response(
        body, status_code=status, media_type="application/problem+json", headers={**retry, **(headers or {})}
    )


def on_studio_error(request: AnyRequest, error: StudioError) -> Problem:
    return problem(request, error.symbol, error.params)


def on_store_away(request: AnyRequest, _error: StoreUnavailable) -> Problem:
    return problem(request, "STORE_UNAVAILABLE", {})


def on_queue_away(request: AnyRequest, _error: BrokerConnectionError) -> Problem:
    return problem(request, "DATABASE_UNAVAILABLE", {})


def on_database_error(request: AnyRequest, error: PyMongoError) -> Problem:
    if is_passing(error):
        return problem(request, "DATABASE_UNAVAILABLE", {})
    return on_anything(request, error)


def on_validation(request: AnyRequest, error: ValidationException) -> Problem:
    """Name the fields. The framework's own sentence may quote the value, which may be a child's words."""
    details = error.extra if isinstance(error.extra, list) else []
    return problem(request, "INVALID_INPUT", {}, errors=[_field_error(item) for item in details])


def _field_error(detail: dict[str, Any]) -> dict[str, str]:
    # "data" is what the handlers call the body.
    field, message = detail.get("key", "data"), detail.get("message", "")
    return {
        "field": "body" if field == "data" else field,
        "message": message if _NAMES_NO_VALUE.fullmatch(message) else "This value is not accepted.",
    }


def on_http(request: AnyRequest, error: HTTPException) -> Problem:
    if error.status_code >= 500:
        return on_anything(request, error)
    symbol = _BY_STATUS.get(error.status_code, "INVALID_INPUT")
    more: dict[str, Any] = {"errors": []} if symbol == "INVALID_INPUT" else {}
    return problem(request, symbol, {}, headers=error.headers, **more)


def on_anything(request: AnyRequest, error: Exception) -> Problem:
    log.error("unexpected", exc_info=error)
    return problem(request, "INTERNAL", {})


EXCEPTION_HANDLERS: dict[Any, Any] = {
    StudioError: on_studio_error,
    StoreUnavailable: on_store_away,
    BrokerConnectionError: on_queue_away,
    PyMongoError: on_database_error,
    ValidationException: on_validation,
    HTTPException: on_http,
    Exception: on_anything,
}
