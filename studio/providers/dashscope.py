"""Alibaba DashScope (百炼), for all that is asked of it: how a request is signed, and what its refusals mean.

Its own API answers `{"code", "message", "request_id"}`, sometimes with HTTP 200; the compatible mode wraps the same in
`{"error": {...}}` with codes in snake case. A task that failed is an answer like any other, with the code in `output`.
"""

from __future__ import annotations

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
}
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
    # A refusal may come with HTTP 200.
    return meaning_of(code) or (Meaning.REFUSED if answer.status < 400 else None)


def meaning_of(code: str) -> Meaning | None:
    """What an error's code means, of an answer or of a task that failed."""
    return _MEANINGS.get(code) or _MEANINGS.get(code.partition(".")[0])
