"""Kling (可灵), in both generations of its API: what its refusals mean, and what it tells of a task.

Every answer is wrapped in `{"code", "message", "request_id", "data"}`, and a code other than 0 is a failure whatever
the HTTP status. There is no idempotency key; a task carries our own mark (`external_task_id`), and is found by it.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from studio.errors import Away
from studio.providers.api import Answer, Api, Meaning
from studio.providers.interfaces import Lookup, Made, Pending

_MEANINGS = {
    1000: Meaning.ACCOUNT,
    1001: Meaning.ACCOUNT,
    1002: Meaning.ACCOUNT,
    # The token is not valid yet, or not any more: two clocks differ. Each request brings a new one.
    1003: Meaning.AWAY,
    1004: Meaning.AWAY,
    # With 429, and yet nothing that passes: the account, its debts, its packs.
    1100: Meaning.SPENT,
    1101: Meaning.SPENT,
    1102: Meaning.SPENT,
    1103: Meaning.ACCOUNT,
    1200: Meaning.REFUSED,
    1201: Meaning.REFUSED,
    1202: Meaning.REFUSED,
    1300: Meaning.REJECTED,
    1301: Meaning.REJECTED,
    1302: Meaning.BUSY,
    1303: Meaning.BUSY,
    1304: Meaning.ACCOUNT,
    # It may have been accepted before this happened.
    5000: Meaning.UNCLEAR,
    5001: Meaning.UNCLEAR,
    5002: Meaning.UNCLEAR,
}
_NO_SUCH_RESOURCE = 1203
_BAD_PARAMETER = 1201

# A task that failed tells why in free text only.
_CONTENT = re.compile(r"risk|sensitive|policy|policies|safety|moderat|violat|审核|敏感|违规|风控|安全", re.IGNORECASE)
_MARK = "external_task_id"
_NOT_FOUND = re.compile(r"not (be )?(found|exist)|no such|不存在", re.IGNORECASE)

_DONE = {"succeed", "succeeded"}
_FAILED = "failed"

T = TypeVar("T")


def read(answer: Answer) -> Meaning | None:
    """What an answer that is no success means."""
    body = answer.body
    found = body.get("code", 0)
    code = found if isinstance(found, int) else -1
    if answer.status < 400 and code == 0:
        return None
    if code == _NO_SUCH_RESOURCE:
        # A request for a clip names nothing but its model.
        return Meaning.NO_MODEL if answer.asked_model else Meaning.MISSING
    if code == _BAD_PARAMETER and answer.asked_model and _MARK in str(body.get("message")):
        # Our mark is taken: an earlier request under it was accepted after all.
        return Meaning.UNCLEAR
    if code == _BAD_PARAMETER and not answer.asked_model and _NOT_FOUND.search(str(body.get("message"))):
        return Meaning.MISSING
    # A code that is not known may be anything, unless its status says more.
    return _MEANINGS.get(code) or (Meaning.UNCLEAR if answer.status < 400 or answer.status >= 500 else None)


def told(answer: Answer, what: type[T]) -> T:
    """The `data` of an answer to a question. Raises Away where it cannot be read."""
    try:
        return msgspec.convert(answer.json().get("data"), what)
    except ValueError as error:
        raise Away("kling: unreadable") from error


def told_id(answer: Answer, name: str) -> Any:
    """The id in the answer to a paid request; None where there is none."""
    data = answer.body.get("data")
    return data.get(name) if isinstance(data, dict) else None


def lookup(api: Api, answer: Answer, *, status: str, message: str, clip: str | None, micros: int | None) -> Lookup:
    """What a task has come to, in the words of either generation. Raises StudioError where it failed."""
    if status in _DONE and clip:
        return Made(clip, micros)
    if status == _FAILED and _CONTENT.search(message):
        raise api.failure_of_task(Meaning.REJECTED, answer, micros=micros)
    if status == _FAILED or status in _DONE:
        raise api.failure_of_task(Meaning.FAILED, answer, micros=micros)
    return Pending()
