from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from app.tokens import Tokens
from studio.errors import StudioError
from studio.settings import AuthMode, Settings

OLD, NEW = 2 * "the-old-secret-that-is-long-enough!!", 2 * "the-new-secret-that-is-long-enough!!"
OWNER = "HwqkQ0XpTbS3LdVmYc8n1fEa"
CLAIMS = {"sub": OWNER, "aud": "huaban", "iat": 1_000_000_000, "exp": 4_000_000_000}


def tokens(*secrets: str, **changed: Any) -> Tokens:
    given = {"auth_mode": AuthMode.TOKEN, "token_secrets": secrets, "owner_key": "tests", **changed}
    return Tokens(Settings.model_validate(given))


def encoded(part: object) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def refusal(read: Callable[[str], str], text: str) -> str:
    with pytest.raises(StudioError) as refused:
        read(text)
    return refused.value.symbol


def test_a_token_tells_whose_it_is_and_until_when() -> None:
    issued = tokens(NEW).issue(OWNER)
    assert tokens(NEW).owner_of_token(issued.text) == OWNER
    assert timedelta(hours=23) < issued.expires_at - datetime.now(UTC) <= timedelta(hours=24)
    assert jwt.decode(issued.text, NEW, ["HS256"], audience="huaban")["exp"] == issued.expires_at.timestamp()


def test_secrets_rotate_without_anybody_noticing() -> None:
    before = tokens(OLD).issue(OWNER).text
    rotated = tokens(NEW, OLD)
    assert rotated.owner_of_token(before) == OWNER
    after = rotated.issue(OWNER).text
    assert tokens(NEW).owner_of_token(after) == OWNER, "the first secret signs"
    assert refusal(tokens(NEW).owner_of_token, before) == "TOKEN_INVALID"


def test_a_ticket_is_no_token_and_a_token_no_ticket() -> None:
    made = tokens(NEW)
    token, ticket = made.issue(OWNER).text, made.issue_ticket(OWNER).text
    assert made.owner_of_ticket(ticket) == OWNER
    assert refusal(made.owner_of_token, ticket) == "TOKEN_INVALID"
    assert refusal(made.owner_of_ticket, token) == "TICKET_INVALID"


def test_what_is_too_old_is_refused() -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    for audience, read, symbol in (
        ("huaban", tokens(NEW).owner_of_token, "TOKEN_EXPIRED"),
        ("ticket", tokens(NEW).owner_of_ticket, "TICKET_INVALID"),
    ):
        claims = {"sub": OWNER, "aud": audience, "iat": long_ago, "exp": long_ago + timedelta(minutes=1)}
        assert refusal(read, jwt.encode(claims, NEW, "HS256")) == symbol


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no token",
        "a.b.c",
        "..",
        "a" * 10_000,
        "画.伴.画",
        "\udcff",
        f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded(CLAIMS)}.",
        f"{encoded({'alg': ['HS256']})}.{encoded(CLAIMS)}.",
        f"{encoded({'alg': 'HS256', 'crit': ['b64'], 'b64': False})}.{encoded(CLAIMS)}.",
        f"{encoded('HS256')}.{encoded(CLAIMS)}.",
        jwt.encode(CLAIMS, NEW, "HS512"),
        jwt.encode(CLAIMS, OLD, "HS256"),
        jwt.encode({**CLAIMS, "aud": "another"}, NEW, "HS256"),
        jwt.encode({**CLAIMS, "aud": ["ticket"]}, NEW, "HS256"),
        jwt.encode({**CLAIMS, "iat": 3_900_000_000}, NEW, "HS256"),
        *(jwt.encode({name: CLAIMS[name] for name in CLAIMS if name != left_out}, NEW, "HS256") for left_out in CLAIMS),
    ],
)
def test_whatever_else_is_sent_is_refused(text: str) -> None:
    assert refusal(tokens(NEW).owner_of_token, text) == "TOKEN_INVALID"
    assert refusal(tokens(NEW).owner_of_ticket, text) == "TICKET_INVALID"


def test_a_token_with_one_letter_changed_is_refused() -> None:
    text = tokens(NEW).issue(OWNER).text
    for place in range(0, len(text) - 1, 7):
        other = "A" if text[place] != "A" else "B"
        assert refusal(tokens(NEW).owner_of_token, f"{text[:place]}{other}{text[place + 1 :]}") == "TOKEN_INVALID"


def test_tickets_need_no_secret_where_calls_carry_no_tokens() -> None:
    ticket = tokens(auth_mode=AuthMode.CLIENT).issue_ticket(OWNER).text
    assert tokens(auth_mode=AuthMode.SINGLE).owner_of_ticket(ticket) == OWNER
    other = tokens(auth_mode=AuthMode.CLIENT, owner_key="another deployment")
    assert refusal(other.owner_of_ticket, ticket) == "TICKET_INVALID"


def test_tokens_are_not_signed_with_nothing() -> None:
    with pytest.raises(ValueError, match="TOKEN_SECRETS"):
        tokens()
