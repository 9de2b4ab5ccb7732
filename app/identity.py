"""Who is calling: the client named in `X-Client-Id`, known to everything behind this line only as an owner id."""

from __future__ import annotations

import re
from typing import Any

from litestar.connection import ASGIConnection
from litestar.types import Scope

from studio.errors import StudioError
from studio.records import owner_of
from studio.settings import AuthMode, Settings

Connection = ASGIConnection[Any, Any, Any, Any]

CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{10,64}")
# No header can carry it past the pattern, so nobody can ask for the family's gallery once AUTH_MODE is client.
SINGLE_CLIENT = "the only client"


def provide_owner(scope: Scope) -> str:
    """The owner id of the caller. Raises StudioError when the header is missing or malformed."""
    connection = Connection(scope)
    settings: Settings = connection.app.state.settings
    client_id = _client_id(connection, settings.auth_mode)
    return owner_of(client_id, settings.owner_key.get_secret_value())


def _client_id(connection: Connection, mode: AuthMode) -> str:
    if "x-client-id" not in connection.headers:
        if mode is not AuthMode.SINGLE:
            raise StudioError("CLIENT_ID_REQUIRED")
        return SINGLE_CLIENT
    # Sent twice, it joins to something that is no client id: nobody may choose which of two clients is meant.
    client_id = ", ".join(connection.headers.getall("x-client-id", []))
    if not CLIENT_ID.fullmatch(client_id):
        raise StudioError("CLIENT_ID_INVALID")
    return client_id
