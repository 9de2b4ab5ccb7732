"""What code raises. Three families come out of everything outside: worth repeating, never, and nobody knows."""

from __future__ import annotations


class StudioError(Exception):
    """A situation that people are told of: its symbol in the registry, and the parameters that its words name."""

    micros: int | None = None
    """What a service says that it charges for what has failed, in millionths of its card's currency; None where it says
    nothing."""

    def __init__(self, symbol: str, **params: str | float) -> None:
        super().__init__(symbol)
        self.symbol = symbol
        self.params = params


class NotNow(Exception):
    """Something outside is busy or away. The same call may well succeed after `retry_after_s` seconds."""

    def __init__(self, what: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


class Away(NotNow):
    """It does not answer, or only with faults of its own. What was sent surely was not accepted."""


class OutcomeUnknown(Exception):
    """A call went out and its answer was lost: it may have been accepted. It must never be sent blindly again."""
