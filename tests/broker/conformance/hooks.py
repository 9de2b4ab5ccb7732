"""A middleware that writes down what it is told, and helpers that look at both brokers alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dramatiq
import pytest
from dramatiq import Actor, Broker, Middleware
from dramatiq.brokers.stub import StubBroker

only_mongo = pytest.mark.parametrize("kind", ["mongo"], indirect=True)
"""For what the stub does not do, or does wrong in this version of Dramatiq."""


@dataclass
class Call:
    hook: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    told: str
    """The name of the recorder."""


class Recorder(Middleware):
    """Every hook of Dramatiq's Middleware, written down in `calls`, which several recorders may share."""

    def __init__(self, name: str = "", calls: list[Call] | None = None) -> None:
        self.name = name
        self.calls: list[Call] = [] if calls is None else calls

    def names(self, *parts: str) -> list[str]:
        """The hooks that were called, in order; of all or of those whose names have one of these parts."""
        return [call.hook for call in self.calls if not parts or any(part in call.hook for part in parts)]

    def of(self, hook: str) -> list[Call]:
        return [call for call in self.calls if call.hook == hook]


def _record(hook: str) -> Callable[..., None]:
    def call(self: Recorder, _broker: Broker, *args: Any, **kwargs: Any) -> None:
        self.calls.append(Call(hook, args, kwargs, self.name))

    return call


for _hook in vars(Middleware):
    if _hook.startswith(("before_", "after_")):
        setattr(Recorder, _hook, _record(_hook))


def actor(**options: Any) -> Callable[[Callable[..., Any]], Actor[..., Any]]:
    """Dramatiq's decorator, whose own type knows neither options from a dictionary nor most coroutines."""
    made: Callable[[Callable[..., Any]], Actor[..., Any]] = dramatiq.actor(**options)
    return made


def dead(broker: Broker, queue_name: str = "default") -> set[str]:
    """The ids of the dead letters of a queue."""
    if isinstance(broker, StubBroker):
        return {message.message_id for message in broker.dead_letters_by_queue[queue_name]}
    return {str(found["_id"]) for found in broker.queues[queue_name].find({"state": "REJECTED"})}


def middleware_of(broker: Broker, kind: type[Middleware]) -> Any:
    return next(middleware for middleware in broker.middleware if isinstance(middleware, kind))
