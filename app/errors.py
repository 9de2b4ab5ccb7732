"""The one mapping from our errors to answers: problem+json with `code`, `message`, `nextStep` and `requestId`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from dramatiq.errors import ConnectionError as BrokerConnectionError
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, ValidationException
from pymongo.errors import PyMongoError

from app.asgi import Scope, Send
from app.field_errors import field_errors
from app.metrics import count_refusal
from broker.errors import is_passing
from studio.errors import REGISTRY, StudioError, describe
from studio.language import Language
from studio.objects import StoreUnavailable

log = structlog.get_logger("app")

_BY_STATUS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}

_MEDIA_TYPE = "application/problem+json"

AnyRequest = Request[Any, Any, Any]
Problem = Response[dict[str, Any]]


def language_of(request: ASGIConnection[Any, Any, Any, Any]) -> Language:
    """Chinese when the caller's first language is Chinese, English otherwise."""
    return _language(request.headers.get("accept-language", ""))


def problem(
    request: AnyRequest,
    symbol: str,
    params: dict[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Problem:
    request_id = request.scope["state"].get("request_id", "")
    return Response(
        {**_body(symbol, params, language_of(request), request_id), **more},
        status_code=REGISTRY[symbol].status,
        media_type=_MEDIA_TYPE,
        headers={**_headers(symbol, params), **(headers or {})},
    )


async def send_problem(
    scope: Scope, send: Send, symbol: str, *, headers: Mapping[str, str] | None = None, **params: Any
) -> None:
    """The same answer from outside of the framework."""
    given = dict(scope["headers"])
    language = _language(given.get(b"accept-language", b"").decode("latin-1"))
    request_id = scope.get("state", {}).get("request_id", "")
    body = msgspec.json.encode(_body(symbol, params, language, request_id))
    sent = {
        "content-type": _MEDIA_TYPE,
        "content-length": str(len(body)),
        **_headers(symbol, params),
        **(headers or {}),
    }
    await send(
        {
            "type": "http.response.start",
            "status": REGISTRY[symbol].status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _language(accepted: str) -> Language:
    return "zh" if accepted.strip().lower().startswith("zh") else "en"


def _body(symbol: str, params: dict[str, Any], language: Language, request_id: str) -> dict[str, Any]:
    count_refusal(symbol)
    words = describe(symbol, params, language)
    return {
        "type": "about:blank",
        "title": words["message"],
        "status": REGISTRY[symbol].status,
        **words,
        "requestId": request_id,
    }


def _headers(symbol: str, params: dict[str, Any]) -> dict[str, str]:
    match REGISTRY[symbol].status:
        case 401:
            if symbol == "WEBHOOK_REFUSED":
                return {"WWW-Authenticate": "Signature"}
            # The standard's word for "that one is no good"; none at all asks for a first one.
            return {"WWW-Authenticate": "Bearer" if symbol == "TOKEN_REQUIRED" else 'Bearer error="invalid_token"'}
        case 429:
            # A limit on spending does not say when it ends.
            return {"Retry-After": str(params["retry_after_s"])} if "retry_after_s" in params else {}
        case 503:
            return {"Retry-After": "5"}
    return {}


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
    return problem(request, "INVALID_INPUT", {}, errors=field_errors(request, error, language_of(request)))


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
