"""What every refusal looks like."""

from __future__ import annotations

import httpx

from app.client import Json
from studio.errors import REGISTRY
from studio.language import Language


def problem_of(answer: httpx.Response, symbol: str, language: Language = "en") -> Json:
    """The problem in an answer, after checking that it is one of this symbol and tells all that a problem tells."""
    body: Json = answer.json()
    kind = REGISTRY[symbol]
    assert (body["code"], answer.status_code) == (symbol, kind.status)
    assert body["status"] == kind.status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert body["requestId"] == answer.headers["x-request-id"]
    assert body["retryable"] is kind.retryable
    assert body["number"] == kind.number
    if "{" not in kind.message.in_(language):
        assert body["message"] == kind.message.in_(language)
    assert body["message"] == body["title"]
    assert "{" not in body["message"] + body["nextStep"]
    assert body["nextStep"]
    return body
