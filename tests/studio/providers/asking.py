"""A provider at its simulator, and what comes of asking it, in the words of the tables of tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.objects import ObjectStore
from studio.settings import Settings
from tests.providers.simulator import Fault, Simulator
from tests.studio.made import FolderStore

P = TypeVar("P")

BUYING: dict[Fault, str] = {
    Fault.BUSY: "not now",
    Fault.BUSY_WITH_RETRY_AFTER: "in 1 s",
    Fault.BROKEN: "away",
    Fault.GATEWAY: "unknown",
    Fault.DROPPED: "unknown",
    Fault.LOST: "unknown",
    Fault.MALFORMED: "unknown",
    Fault.TRUNCATED: "unknown",
    Fault.REJECTED: "CONTENT_REJECTED",
    Fault.UNAUTHORIZED: "PROVIDER_ACCOUNT",
    Fault.SPENT: "PROVIDER_QUOTA",
    Fault.NO_MODEL: "MODEL_UNKNOWN",
}
"""What a fault of a paid request comes to with every provider, unless its service is known to mean something else."""


class Bench(Generic[P]):
    """One provider at its simulator, with a bucket of its own and cards that a deployer may change."""

    def __init__(self, kind: Callable[[Settings, ObjectStore], P], simulator: Simulator, folder: Path) -> None:
        self.kind = kind
        self.simulator = simulator
        self.folder = folder
        self.store = FolderStore(folder / "bucket")
        (folder / "cards").mkdir()

    def another(self, **changes: Any) -> P:
        """One more of the kind; `changes` are of the settings."""
        settings = settings_for(self.simulator, provider_cards=self.folder / "cards", **changes)
        return self.kind(settings, self.store.as_store)

    @cached_property
    def provider(self) -> P:
        return self.another()

    @property
    def kept(self) -> list[str]:
        """The names of all that is in the bucket."""
        return [path.name for path in self.store.folder.rglob("*") if path.is_file()]


def settings_for(simulator: Simulator, **changes: Any) -> Settings:
    """The settings of a deployment that uses a simulator."""
    settings = Settings(_env_file=None).model_copy(update=changes)  # type: ignore[call-arg]  # pydantic's own
    settings._variables.update(simulator.env())
    return settings


def outcome(call: Callable[[], object]) -> object:
    """What a call returns; or the symbol of a StudioError, and for the other families "unknown", "away" and "not now".

    Where it is told when to come again: "in 1 s".
    """
    try:
        return call()
    except StudioError as error:
        return error.symbol
    except Away:
        return "away"
    except NotNow as error:
        return "not now" if error.retry_after_s is None else f"in {error.retry_after_s:g} s"
    except OutcomeUnknown:
        return "unknown"
