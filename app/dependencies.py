"""What handlers are given by name: who is calling, and the parts of the process that serve the call."""

from __future__ import annotations

from litestar import Litestar
from litestar.di import NamedDependency
from litestar.routes import HTTPRoute

from app.forecasts import Forecasts
from app.identity import Identity
from app.limits import Limits
from app.live import Hub
from app.media_door import MediaDoor
from app.tokens import Tokens
from app.views import Links
from broker import MongoBroker
from studio.studio import Studio

Owner = NamedDependency[str]
TheStudio = NamedDependency[Studio]
TheBroker = NamedDependency[MongoBroker]
TheHub = NamedDependency[Hub]
TheIdentity = NamedDependency[Identity]
TheTokens = NamedDependency[Tokens]
TheLimits = NamedDependency[Limits]
TheForecasts = NamedDependency[Forecasts]
TheMediaDoor = NamedDependency[MediaDoor]
TheLinks = NamedDependency[Links]


def resolve_in_turn(litestar: Litestar) -> None:
    """Let the application get the dependencies of a handler one after the other.

    None of ours waits for anything. For several at once the framework starts a task each, which costs a seventh of all
    that a web process does for a read.
    """
    for route in litestar.routes:
        if isinstance(route, HTTPRoute):
            for _handler, model in route.route_handler_map.values():
                batches = model.dependency_batches
                model.dependency_batches = [{dependency} for batch in batches for dependency in batch]
