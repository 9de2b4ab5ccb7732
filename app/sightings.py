"""Noting that clients are here, so that nobody is taken for inactive who only looks at the gallery."""

from __future__ import annotations

from datetime import UTC, date, datetime

import structlog
from pymongo.errors import PyMongoError

from app.asgi import SAFE_METHODS
from app.errors import AnyRequest
from studio.clients import Clients

log = structlog.get_logger("app")


class Sightings:
    """One write a client, day and process at most, and that after the answer has gone out.

    A call that changes something makes a client known. Reading does not, or whoever tries ids at random would fill the
    database. Handlers with the option `is_sighting=False` are not noted.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._day = date.min
        self._seen: set[str] = set()

    async def note(self, request: AnyRequest) -> None:
        """Note who was answered."""
        owner = request.scope["state"].get("owner")
        today = _today()
        if today != self._day:
            self._day, self._seen = today, set()
        if owner is None or owner in self._seen or not request.route_handler.opt.get("is_sighting", True):
            return
        try:
            is_known = await self._clients.note(owner, is_new=request.method not in SAFE_METHODS)
        except PyMongoError as error:
            # The next call notes it.
            log.info("sighting_lost", reason=type(error).__name__)
            return
        if is_known:
            self._seen.add(owner)


def _today() -> date:
    return datetime.now(UTC).date()
