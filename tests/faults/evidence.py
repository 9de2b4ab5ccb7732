"""What a campaign leaves behind for its checker: the history, by subject, and what is stored at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

from tests.faults.history import Event
from tests.faults.ledger import Ledger


@dataclass(frozen=True)
class Completion:
    message: str
    token: str | None = None
    """The delivery that wrote it, where that is known."""
    follow_up: str | None = None
    """The message sent with it."""


@dataclass(frozen=True)
class Document:
    """A message as it is stored at the end."""

    state: str
    crashes: int = 0


@dataclass(frozen=True)
class Stored:
    """The database at the end."""

    messages: dict[str, Document]
    completions: list[Completion]
    ledger: Ledger
    alarms: list[str] = field(default_factory=list)
    """Lines of the workers' log which tell of errors that nobody expected."""


@dataclass
class Run:
    message: str
    token: str
    process: str
    started: float
    ended: float = inf
    error: str | None = None


@dataclass
class History:
    """Events, sorted by what they are about."""

    sent: dict[str, str] = field(default_factory=dict)
    """The kinds of the messages whose senders were told that they are safe."""
    unknown: dict[str, str] = field(default_factory=dict)
    """The kinds of those whose senders were told nothing they could rely on."""
    runs: list[Run] = field(default_factory=list)
    taken: list[Run] = field(default_factory=list)
    """Like `runs`, from a moment before the broker knows of the run; those that never started are among them."""
    deaths: dict[str, float] = field(default_factory=dict)
    suspensions: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    workers: dict[str, str] = field(default_factory=dict)
    """The worker process of each command that has booted one."""
    ended: list[str] = field(default_factory=list)
    """The commands that ended before they were dismissed."""
    failovers: list[float] = field(default_factory=list)
    """When a primary was killed, and took with it what was written to it alone."""
    chances_to_lose_charge: int = 0
    """How often a crash may have gone uncharged: nobody was left, or no database, to charge it."""
    _latest: dict[tuple[str, str, str], Run] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, events: Iterable[Event]) -> History:
        history = cls()
        for event in events:
            history._note_sending(event)
            history._note_run(event)
            history._note_fault(event)
        return history

    @property
    def kinds(self) -> dict[str, str]:
        """Of every message that was sent, also where its sender was not told so."""
        return {**self.unknown, **self.sent}

    def runs_by_message(self) -> dict[str, list[Run]]:
        """In the order of their starts."""
        found: dict[str, list[Run]] = defaultdict(list)
        for run in sorted(self.runs, key=lambda run: run.started):
            found[run.message].append(run)
        return found

    def died_in(self, run: Run, *, by: float = inf) -> bool:
        """Whether the run's process was killed after its start and before `by`.

        A death is written down before its process is killed, so a run may have started in between.
        """
        return run.process in self.deaths and max(run.started, self.deaths[run.process]) <= by

    def was_suspended_in(self, run: Run, *, by: float = inf) -> bool:
        return any(run.started <= began <= by for began in self.suspensions.get(run.process, []))

    def longest_recovery_s(self) -> float:
        """The longest time from the death of a process to the next run of a message that it was running."""
        waits = [
            again.started - self.deaths[cut.process]
            for runs in self.runs_by_message().values()
            for cut, again in pairwise(runs)
            if self.died_in(cut, by=again.started) and self.deaths[cut.process] <= cut.ended
        ]
        return max(waits, default=0.0)

    def _note_sending(self, event: Event) -> None:
        match event:
            case {"event": "sent", "message": message, "kind": kind}:
                self.sent[message] = kind
            case {"event": "unknown", "message": message, "kind": kind}:
                self.unknown[message] = kind

    def _note_run(self, event: Event) -> None:
        match event:
            case {
                "event": "taken" | "start" as which,
                "message": message,
                "token": token,
                "process": process,
                "at": at,
            }:
                run = Run(message, token, process, at)
                (self.taken if which == "taken" else self.runs).append(run)
                self._latest[which, message, token] = run
            case {"event": "end", "message": message, "token": token, "at": at}:
                for which in ("taken", "start"):
                    if opened := self._latest.get((which, message, token)):
                        opened.ended, opened.error = at, event.get("error")

    def _note_fault(self, event: Event) -> None:
        match event:
            case {"event": "boot", "main": main, "process": process}:
                self.workers[main] = process
            case {"event": "ended", "main": main}:
                self.ended.append(main)
            case {"event": "death", "of": process, "at": at}:
                self.deaths.setdefault(process, at)
            case {"event": "suspended", "of": process, "at": at}:
                self.suspensions[process].append(at)
            case {"event": "fault", "at": at}:
                self.failovers += [at] if event.get("is_failover") else []
                self.chances_to_lose_charge += bool(event.get("may_lose_charge"))
