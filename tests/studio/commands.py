"""What a client asks of the server."""

from __future__ import annotations

from pymongo import monitoring


class Commands(monitoring.CommandListener):
    """The names of the commands that were sent, in order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def among(self, *names: str) -> list[str]:
        return [name for name in self.names if name in names]

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass
