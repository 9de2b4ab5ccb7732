"""What a client sends to the server."""

from __future__ import annotations

from typing import Any

from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent


class Commands(CommandListener):
    """The commands of a client, in order: `make_broker(client={"event_listeners": [commands]})`."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def named(self, name: str, *, on: str | None = None) -> list[Any]:
        """Those of one name, on one collection or on any."""
        return [command for command in self.sent if name in command and on in (None, command[name])]

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append(event.command)

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...
