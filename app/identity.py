"""Who is calling: a token, a ticket or a client id, known to everything behind this line only as an owner id.

A token goes before a ticket, and a ticket before `X-Client-Id`. One that is not valid refuses the call: nobody becomes
somebody else because a token has expired.

Handlers say what is special about them in their options: `takes_client_id=True`, where that is enough even when calls
carry tokens, and `takes_ticket=True`, for streams, because browsers open those without any header of ours.
"""

from __future__ import annotations

import re
from typing import Any

from litestar.connection import ASGIConnection
from litestar.types import Scope

from app.tokens import Tokens
from studio.errors import StudioError
from studio.records import owner_of
from studio.settings import AuthMode, Settings

Connection = ASGIConnection[Any, Any, Any, Any]

CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{10,64}")
_BEARER = re.compile(r"bearer\b *(.*)", re.IGNORECASE)
# No header can carry it past the pattern, so nobody can ask for the family's gallery once AUTH_MODE is client.
SINGLE_CLIENT = "the only client"


class Identity:
    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        self._mode = settings.auth_mode
        self._owner_key = settings.owner_key.get_secret_value()
        self._tokens = tokens

    def provide_owner(self, scope: Scope) -> str:
        """The owner id of the caller of a handler, which the scope keeps for who comes after. Raises StudioError."""
        owner = self.owner(ASGIConnection(scope))
        scope["state"]["owner"] = owner
        return owner

    def owner(self, connection: Connection) -> str:
        """The owner id of the caller. Raises StudioError when nothing that counts says who that is."""
        options = connection.route_handler.opt
        token = _bearer(connection)
        if token is not None:
            return self._tokens.owner_of_token(token)
        ticket = connection.query_params.get("ticket") if options.get("takes_ticket") else None
        if ticket is not None:
            return self._tokens.owner_of_ticket(ticket)
        if self._mode is AuthMode.TOKEN and not options.get("takes_client_id"):
            raise StudioError("TOKEN_REQUIRED")
        return owner_of(self._client_id(connection), self._owner_key)

    def _client_id(self, connection: Connection) -> str:
        given = connection.headers.getall("x-client-id", [])
        if not given:
            if self._mode is not AuthMode.SINGLE:
                raise StudioError("CLIENT_ID_REQUIRED")
            return SINGLE_CLIENT
        # Sent twice, it joins to something that is no client id: nobody may choose which of two clients is meant.
        client_id = ", ".join(given)
        if not CLIENT_ID.fullmatch(client_id):
            raise StudioError("CLIENT_ID_INVALID")
        return client_id


def _bearer(connection: Connection) -> str | None:
    """What was sent as a token; None without one. Other schemes are somebody else's: a proxy may want a password."""
    given = connection.headers.getall("authorization", [])
    tokens = [match[1] for header in given if (match := _BEARER.fullmatch(header))]
    return ", ".join(tokens) if tokens else None
