"""What can keep the stack from standing, in words for the person at the terminal."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot run. `what` says what happened, `mend` what to do about it; both are full sentences."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{what}\n{mend}")
        self.what = what
        self.mend = mend


class AlreadyRunning(StackError):
    """Another process holds the data folder."""


class Unreachable(StackError):
    """A server named in the environment does not answer. Nothing is started in its place."""


class ProgramMissing(StackError):
    """A program that the embedded stack starts is not there, or does not run on this machine."""


class PartFailed(StackError):
    """A part of the stack ended, or was not ready in time, when it was started."""
