"""Volcengine Ark (火山方舟), for all that is asked of it: how a request is signed, and what its refusals mean.

Ark answers with `{"error": {"code", "message"}}`. The code's part before the first dot tells what it is, together with
the HTTP status; the message is for its own people, and may quote what was sent.
"""

from __future__ import annotations

from studio.providers.api import Answer, Api, Meaning, Reader
from studio.providers.cards import Card
from studio.providers.interfaces import Capability

KEY = "ARK_API_KEY"

# By the whole code, then by its part before the first dot.
_MEANINGS = {
    "OperationDenied.ServiceOverdue": Meaning.SPENT,
    "AccountOverdueError": Meaning.SPENT,
    "SetLimitExceeded": Meaning.SPENT,
    "AuthenticationError": Meaning.ACCOUNT,
    "InvalidAccountStatus": Meaning.ACCOUNT,
    "InvalidSubscription": Meaning.ACCOUNT,
    "OperationDenied": Meaning.ACCOUNT,
    "AccessDenied": Meaning.ACCOUNT,
    "InvalidEndpoint": Meaning.FULL,
    "InvalidEndpointOrModel": Meaning.NO_MODEL,
    "ModelNotOpen": Meaning.NO_MODEL,
    "UnsupportedModel": Meaning.NO_MODEL,
    "NotFound": Meaning.NO_MODEL,
    "ContentSecurityDetectionError": Meaning.BUSY,
}


def read(answer: Answer) -> Meaning | None:
    """What an answer that is no success means."""
    # The body of a success may be a picture, and is decoded once.
    error = answer.body.get("error") if answer.status >= 400 else None
    if not isinstance(error, dict):
        return None
    code = str(error.get("code") or "")
    if code == "QuotaExceeded":
        # Its queue is full, which passes; or a free trial is used up, which does not.
        return Meaning.SPENT if "trial" in str(error.get("message")).lower() else Meaning.FULL
    return meaning_of(code)


def meaning_of(code: str) -> Meaning | None:
    """What an error's code means, of an answer or of a task that failed."""
    if "Sensitive" in code or "RiskDetection" in code:
        return Meaning.REJECTED
    return _MEANINGS.get(code) or _MEANINGS.get(code.partition(".")[0])


def api(card: Card, capability: Capability, *, reader: Reader = read) -> Api:
    headers = {"Authorization": f"Bearer {card.secret(KEY)}"}
    return Api(card, capability, headers=lambda: headers, reader=reader)
