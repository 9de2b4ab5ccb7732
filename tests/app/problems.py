"""What every refusal looks like."""

from __future__ import annotations

import re
from functools import cache

import httpx

from app.client import Json
from studio.errors import REGISTRY
from studio.language import Language


def problem_of(answer: httpx.Response, symbol: str, language: Language = "en") -> Json:
    """The problem in an answer, after checking that it is one of this symbol, tells all that a problem tells, and is
    one that the description of its route knows."""
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
    assert_documented(answer, symbol)
    return body


def assert_documented(answer: httpx.Response, symbol: str) -> None:
    """Nothing, where the address belongs to no route or the route does not take the method."""
    request = answer.request
    method = "get" if request.method == "HEAD" else request.method.lower()
    for template, operations in _description(str(request.url.copy_with(raw_path=b"/openapi.json"))).items():
        if method in operations and re.fullmatch(_pattern(template), request.url.path):
            documented = operations[method]["responses"].get(str(answer.status_code), {})
            content = documented.get("content", {}).get("application/problem+json", {})
            assert symbol in content.get("examples", {}), f'say refusals("{symbol}") at {request.method} {template}'
            return


@cache
def _description(url: str) -> dict[str, Json]:
    """The described routes of a server, those without parameters first."""
    paths = httpx.get(url).json()["paths"]
    return dict(sorted(paths.items(), key=lambda item: "{" in item[0]))


def _pattern(template: str) -> str:
    # A media address is the one whose parameter has slashes in it.
    return re.sub(r"\\\{\w+\\\}", ".+" if template == "/media/{key}" else "[^/]+", re.escape(template))
