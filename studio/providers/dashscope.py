"""Alibaba DashScope (百炼), for all that is asked of it: how a request is signed, and what its refusals mean.

Its own API answers `{"code", "message", "request_id"}`, sometimes with HTTP 200; the compatible mode wraps the same in
`{"error": {...}}` with codes in snake case. A task that failed is an answer like any other, with the code in `output`.
"""

from __future__ import annotations

import msgspec

from studio.providers.api import Answer, Api, Meaning
from studio.providers.cards import Card
from studio.providers.interfaces import Capability

KEY = "DASHSCOPE_API_KEY"

# By the whole code, then by its part before the first dot.
_MEANINGS = {
    "DataInspectionFailed": Meaning.REJECTED,
    "data_inspection_failed": Meaning.REJECTED,
    "Arrearage": Meaning.SPENT,
    "InvalidApiKey": Meaning.ACCOUNT,
    "invalid_api_key": Meaning.ACCOUNT,
    "AccessDenied.Unpurchased": Meaning.NO_MODEL,
    "AccessDenied": Meaning.ACCOUNT,
    "access_denied": Meaning.ACCOUNT,
    "ModelNotFound": Meaning.NO_MODEL,
    "Model.NotExist": Meaning.NO_MODEL,
    "model_not_found": Meaning.NO_MODEL,
    "Throttling": Meaning.BUSY,
    "InvalidParameter": Meaning.REFUSED,
    "BadRequest": Meaning.REFUSED,
    "InvalidURL": Meaning.REFUSED,
}
# It did not begin. Its other faults, such as InternalError, and those that speak of time, may come in the middle.
_UNAVAILABLE = "ServiceUnavailable"
# Tokens of a minute, which come again; or a free quota, which does not.
_QUOTA = {"Throttling.AllocationQuota", "insufficient_quota"}


def api(card: Card, capability: Capability) -> Api:
    headers = {"Authorization": f"Bearer {card.secret(KEY)}"}
    return Api(card, capability, headers=lambda: headers, reader=read)


def read(answer: Answer) -> Meaning | None:
    """What an answer that is no success means."""
    body = answer.body
    error = body.get("error")
    told = error if isinstance(error, dict) else body
    code = str(told.get("code") or "")
    if answer.status < 400 and not code:
        return None
    if code in _QUOTA:
        return Meaning.SPENT if "free" in str(told.get("message")).lower() else Meaning.FULL
    if meaning := meaning_of(code):
        return meaning
    if answer.status == 404:
        # A paid request names nothing but its model.
        return Meaning.NO_MODEL if answer.asked_model else Meaning.MISSING
    if answer.status < 400:
        # What stands in between may say all of this with HTTP 200; a code that is not known may be anything.
        return Meaning.AWAY if code.partition(".")[0] == _UNAVAILABLE else Meaning.UNCLEAR
    return None


def meaning_of(code: str) -> Meaning | None:
    """What an error's code means, of an answer or of a task that failed."""
    return _MEANINGS.get(code) or _MEANINGS.get(code.partition(".")[0])


class _Part(msgspec.Struct):
    image: str = ""


class _Message(msgspec.Struct):
    content: list[_Part] = []


class _Choice(msgspec.Struct):
    message: _Message


class _Result(msgspec.Struct):
    url: str = ""
    code: str | None = None


class Painting(msgspec.Struct):
    """What `output` tells of a picture, in the older shape (`results`) and in that of a conversation (`choices`)."""

    task_id: str = ""
    task_status: str = ""
    code: str | None = None
    """Why a task failed."""
    results: list[_Result] = []
    choices: list[_Choice] = []

    @property
    def url(self) -> str:
        """Where the picture is; "" while there is none. It stands beside other parts, such as a rewritten prompt."""
        parts = [part.image for choice in self.choices for part in choice.message.content]
        return next(filter(None, [*(result.url for result in self.results), *parts]), "")

    @property
    def failure(self) -> str:
        """The code of what went wrong; "" where nothing did. A single picture may fail in a task that succeeded."""
        return next(filter(None, [self.code, *(result.code for result in self.results)]), "")


def painting(answer: Answer) -> Painting:
    """What an answer tells of a picture. Raises ValueError where it cannot be read."""
    return msgspec.convert(answer.json().get("output"), Painting)
