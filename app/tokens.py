"""Signed words for "this is that client": tokens that calls carry in a header, and tickets for streams."""

from __future__ import annotations

import hashlib
import hmac
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import jwt

from studio.errors import StudioError
from studio.settings import AuthMode, Settings

TICKET_EXPIRES_S = 60
"""Long enough to open a stream, short enough for a word that stands in an address."""

_ALGORITHM = "HS256"
# Never each other's: a ticket that leaked from an address must not open anything but a stream, for a minute.
_TOKEN, _TICKET = "huaban", "ticket"
# The clocks of two web processes may differ.
_SKEW_S = 10
# Ours have this shape. Whoever sends something else gets no parser to play with.
_SHAPE = re.compile(r"[A-Za-z0-9_-]{1,100}\.[A-Za-z0-9_-]{1,300}\.[A-Za-z0-9_-]{43}")


class Token(NamedTuple):
    text: str
    expires_at: datetime


class Tokens:
    """Makes and reads the tokens of one deployment; they speak of owner ids, which open nothing by themselves.

    Raises ValueError when calls are to carry tokens and there is no secret to sign them with.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.auth_mode is AuthMode.TOKEN and not settings.token_secrets:
            raise ValueError("Set TOKEN_SECRETS to a long random string, the same for all web processes.")
        self._expires_s = settings.token_expires_s
        # Streams take tickets however calls name their client, so there has to be a secret in every mode.
        given = [secret.get_secret_value().encode() for secret in settings.token_secrets]
        owner_key = settings.owner_key.get_secret_value().encode()
        self._secrets = given or [hmac.digest(owner_key, b"tickets", hashlib.sha256)]

    def issue(self, owner: str) -> Token:
        return self._sign(owner, _TOKEN, self._expires_s)

    def issue_ticket(self, owner: str) -> Token:
        return self._sign(owner, _TICKET, TICKET_EXPIRES_S)

    def owner_of_token(self, text: str) -> str:
        """Raises StudioError: TOKEN_EXPIRED for one of ours that is too old, TOKEN_INVALID for anything else."""
        try:
            return self._owner(text, _TOKEN)
        except jwt.ExpiredSignatureError as error:
            raise StudioError("TOKEN_EXPIRED") from error
        except jwt.InvalidTokenError as error:
            raise StudioError("TOKEN_INVALID") from error

    def owner_of_ticket(self, text: str) -> str:
        """Raises StudioError TICKET_INVALID, also for one that is too old."""
        try:
            return self._owner(text, _TICKET)
        except jwt.InvalidTokenError as error:
            raise StudioError("TICKET_INVALID") from error

    def _sign(self, owner: str, audience: str, expires_s: int) -> Token:
        now = datetime.now(UTC).replace(microsecond=0)
        expires_at = now + timedelta(seconds=expires_s)
        claims = {"sub": owner, "aud": audience, "iat": now, "exp": expires_at}
        return Token(jwt.encode(claims, self._secrets[0], _ALGORITHM), expires_at)

    def _owner(self, text: str, audience: str) -> str:
        if not _SHAPE.fullmatch(text):
            raise jwt.InvalidTokenError
        for secret in self._secrets:
            with suppress(jwt.InvalidSignatureError):
                return str(_claims(text, secret, audience)["sub"])
        raise jwt.InvalidSignatureError


def _claims(text: str, secret: bytes, audience: str) -> dict[str, Any]:
    return jwt.decode(
        text,
        secret,
        algorithms=[_ALGORITHM],
        audience=audience,
        leeway=_SKEW_S,
        options={"require": ["sub", "aud", "iat", "exp"], "strict_aud": True},
    )
