"""OpenAI, for all that is asked of it: how a request is signed, and what its refusals mean.

It answers with `{"error": {"message", "type", "param", "code"}}`. No endpoint that we use takes an idempotency key, and
a request that is repeated is billed again. So only what refuses work counts as not accepted: 429, and 503 with its
`server_is_overloaded` or `slow_down`. Whether a 500 (`server_error`) is billed is documented nowhere.
"""

from __future__ import annotations

from studio.providers.api import Answer, Api, Meaning
from studio.providers.cards import Card
from studio.providers.interfaces import Capability

KEY = "OPENAI_API_KEY"

# By code or by type, whichever is known.
_MEANINGS = {
    "insufficient_quota": Meaning.SPENT,
    "credit_balance_exhausted": Meaning.SPENT,
    "billing_hard_limit_reached": Meaning.SPENT,
    "moderation_blocked": Meaning.REJECTED,
    "content_policy_violation": Meaning.REJECTED,
    "content_filter": Meaning.REJECTED,
    "model_not_found": Meaning.NO_MODEL,
}


def api(card: Card, capability: Capability) -> Api:
    headers = {"Authorization": f"Bearer {card.secret(KEY)}"}
    return Api(card, capability, headers=lambda: headers, reader=read)


def read(answer: Answer) -> Meaning | None:
    """What an answer that is no success means."""
    # The body of a success may be a picture, and is decoded once.
    error = answer.body.get("error") if answer.status >= 400 else None
    if not isinstance(error, dict):
        return None
    for word in (str(error.get("code")), str(error.get("type"))):
        if word in _MEANINGS:
            return _MEANINGS[word]
    return Meaning.NO_MODEL if answer.status == 404 else None
