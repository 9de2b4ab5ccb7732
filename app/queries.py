"""Parameters without a value, as in the plan's own `/gallery?cursor=&limit=`, count as not given."""

from __future__ import annotations

from app.asgi import ASGIApp, Receive, Scope, Send


class GivenParameters:
    """An ASGI app around another, which sees only the parameters that say something."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope.get("query_string", b"")
        if b"=&" in query or query.endswith(b"="):
            pairs = (pair.partition(b"=") for pair in query.split(b"&"))
            scope["query_string"] = b"&".join(name + equals + value for name, equals, value in pairs if value)
        await self.app(scope, receive, send)
