"""What comes of asking a provider: its answer, or the error that it raised, as tables of tests name it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.settings import Settings
from tests.providers.simulator import Simulator


def settings_for(simulator: Simulator, **changes: Any) -> Settings:
    """The settings of a deployment that uses a simulator."""
    settings = Settings(_env_file=None).model_copy(update=changes)  # type: ignore[call-arg]  # pydantic's own
    settings._variables.update(simulator.env())
    return settings


def outcome(call: Callable[[], object]) -> object:
    """What a call returns; the symbol of a StudioError, or "away", "not now" and "unknown" for the other families."""
    try:
        return call()
    except StudioError as error:
        return error.symbol
    except Away:
        return "away"
    except NotNow:
        return "not now"
    except OutcomeUnknown:
        return "unknown"
