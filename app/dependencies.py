"""What handlers are given by name: who is calling, and the parts of the process that serve the call."""

from __future__ import annotations

from litestar.di import NamedDependency

from app.callbacks import CallbackChecks
from app.forecasts import Forecasts
from app.identity import Identity
from app.limits import Limits
from app.live import Hub
from app.media_door import MediaDoor
from app.metrics import StoredFigures
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
TheStoredFigures = NamedDependency[StoredFigures]
TheCallbackChecks = NamedDependency[CallbackChecks]
TheLinks = NamedDependency[Links]
