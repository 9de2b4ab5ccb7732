"""Whether a history and what is stored at its end keep the queue's promises: pure functions, no I/O.

A run that is not a message's first is explained by the run before it, which one of these has cut short:

- it raised, which asks for another run;
- its process was killed during it, or after it and before its ack was stored;
- its process was suspended in the same span, and lost its lease;
- its claim was undone: the primary was killed before the claim, written to it alone, had reached another member;
- its ack was undone in the same way.

Each of them explains one run, and there is no other explanation: so runs beyond the asked ones are at most as many as
runs were hit by faults, which is what the threads of a hit process were running, its acks that were not stored yet, and
the claims and acks that a killed primary took with it. Which of these survived is not guessed from times: the oplog
tells.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

from tests.faults.evidence import History, Run, Stored
from tests.faults.ledger import Claim
from tests.faults.senders import POISON

UNREPLICATED_S = 1.0
"""How old a write may be that a killed primary takes with it; on one machine the others follow within milliseconds."""
UNASKED = "LeaseLost"
"""An error that asks for no other run: what it says is that there is one."""


@dataclass(frozen=True)
class Verdict:
    """One promise, and whether it was kept."""

    promise: str
    seen: int
    allowed: int
    examples: list[str] = field(default_factory=list)

    @property
    def is_kept(self) -> bool:
        return self.seen <= self.allowed


def check(history: History, stored: Stored, *, max_crashes: int) -> list[Verdict]:
    """A verdict for each promise."""
    judge = _Judge(history, stored, max_crashes)
    none_of = {
        "no message is lost": judge.lost(),
        "none is completed twice": judge.completed_twice(),
        "only the holder of the lease completes": judge.completed_without_lease(),
        "what was rolled back or refused does not run": judge.never_stored(),
        "no run that no fault explains": judge.unexplained(),
        "no live message is rescued": judge.rescued_alive(),
        "only who ran is charged with a crash": judge.charged_wrongly(),
        "dead letters are the planted poison": judge.dead_wrongly(),
        "all poison is a dead letter": judge.poison_alive(),
        "nothing is left in flight": judge.in_flight(),
        "no worker ends by itself": judge.ended_by_themselves(),
        "no consumer or guardian fails": stored.alarms,
    }
    return [
        *(Verdict(promise, len(found), 0, found) for promise, found in none_of.items()),
        Verdict("extra runs ≤ runs hit by faults", len(judge.extra()), len(judge.hit())),
        Verdict("runs of the poison", judge.poison_runs(), judge.poison_runs_allowed()),
    ]


class _Judge:
    def __init__(self, history: History, stored: Stored, max_crashes: int) -> None:
        self.history = history
        self.stored = stored
        self.max_crashes = max_crashes
        self.runs = history.runs_by_message()
        self.completions = Counter(completion.message for completion in stored.completions)
        self.follow_ups = {completion.follow_up for completion in stored.completions if completion.follow_up}
        self.poison = {message for message, kind in history.kinds.items() if kind == POISON}

    def lost(self) -> list[str]:
        owed = {message for message, kind in self.history.sent.items() if kind != POISON} | self.follow_ups
        # Poison is owed no completion; what became of it is a promise of its own.
        gone = {message for message in self.history.sent if message not in self.stored.messages}
        return sorted({message for message in owed if not self.completions[message]} | gone)

    def completed_twice(self) -> list[str]:
        return sorted(message for message, count in self.completions.items() if count > 1)

    def completed_without_lease(self) -> list[str]:
        return [
            f"{completion.message} by {completion.token}"
            for completion in self.stored.completions
            if completion.token and self._fate(completion.message, completion.token) != "DONE"
        ]

    def never_stored(self) -> list[str]:
        return sorted(message for message in self.runs if message not in {*self.history.kinds, *self.follow_ups})

    def extra(self) -> list[tuple[Run, Run]]:
        """The runs nobody asked for, each after the one before it."""
        return [
            (cut, again)
            for message, runs in self.runs.items()
            for cut, again in pairwise(runs)
            if message not in self.poison and not self._asked_for(cut, again)
        ]

    def unexplained(self) -> list[str]:
        return [self._told(cut, again) for cut, again in self.extra() if not self._explains(cut, again)]

    def hit(self) -> list[Run]:
        """The runs that a fault cut short, each of which may be made up for by one more."""
        return [
            run
            for run in self.history.runs
            if run.message not in self.poison
            # One that raised has asked for its repeat, unless it was hit before: then it may have asked in vain.
            and (run.error in {None, UNASKED} or self._is_hit(run, by=run.ended))
            and (self._is_undone(run) or (self._fate_of(run) != "DONE" and self._is_hit(run)))
        ]

    def rescued_alive(self) -> list[str]:
        return [
            self._told(cut, again)
            for runs in self.runs.values()
            for cut, again in pairwise(runs)
            if again.started < cut.ended
            and not self.history.died_in(cut, by=again.started)
            and not self.history.was_suspended_in(cut, by=again.started)
            and not self._is_undone(cut)
        ]

    def charged_wrongly(self) -> list[str]:
        chargeable = Counter(
            run.message for run in self.history.taken if self._is_chargeable(run) and self._fate_of(run) != "DONE"
        )
        return [
            f"{message}: {document.crashes} crashes, at most {chargeable[message]} to charge"
            for message, document in self.stored.messages.items()
            if document.crashes > chargeable[message]
        ]

    def dead_wrongly(self) -> list[str]:
        return sorted(self._in({"REJECTED"}) - self.poison)

    def poison_alive(self) -> list[str]:
        sent = {message for message in self.poison if message in self.history.sent}
        return sorted(sent - self._in({"REJECTED"}))

    def in_flight(self) -> list[str]:
        return [
            f"{message}: {self.stored.messages[message].state}"
            for message in sorted(self._in({"DELAYED", "QUEUED", "CONSUMED"}))
        ]

    def ended_by_themselves(self) -> list[str]:
        return [main for main in self.history.ended if self.history.workers.get(main) not in self.history.deaths]

    def poison_runs(self) -> int:
        return sum(len(self.runs.get(message, [])) for message in self.poison)

    def poison_runs_allowed(self) -> int:
        undone = sum(self._is_undone(run) for message in self.poison for run in self.runs.get(message, []))
        return self.max_crashes * len(self.poison) + undone + self.history.chances_to_lose_charge

    def _in(self, states: set[str]) -> set[str]:
        return {message for message, document in self.stored.messages.items() if document.state in states}

    def _claim(self, message: str, token: str) -> Claim | None:
        return next((claim for claim in self.stored.ledger.get(message, []) if claim.token == token), None)

    def _fate(self, message: str, token: str) -> str | None:
        claim = self._claim(message, token)
        return claim.fate if claim else None

    def _fate_of(self, run: Run) -> str | None:
        return self._fate(run.message, run.token)

    def _is_undone(self, run: Run) -> bool:
        """Whether a failover undid the run's claim. Where there was none, a missing claim excuses nothing."""
        return bool(self.history.failovers) and self._claim(run.message, run.token) is None

    def _is_chargeable(self, run: Run) -> bool:
        return self.history.died_in(run) or self.history.was_suspended_in(run)

    def _asked_for(self, cut: Run, again: Run) -> bool:
        return cut.error not in {None, UNASKED} and cut.ended <= again.started

    def _explains(self, cut: Run, again: Run) -> bool:
        if self._is_undone(cut):
            return any(at <= again.started for at in self.history.failovers)
        return self._fate_of(cut) != "DONE" and self._is_hit(cut, by=again.started)

    def _is_hit(self, run: Run, *, by: float = inf) -> bool:
        """Whether a fault before `by` could take the lease from a run, or undo its ack."""
        history = self.history
        is_undone = any(0 <= at - run.ended <= UNREPLICATED_S and at <= by for at in history.failovers)
        return history.died_in(run, by=by) or history.was_suspended_in(run, by=by) or is_undone

    def _told(self, cut: Run, again: Run) -> str:
        ended = f"{cut.ended:.3f} {cut.error or 'returned'}" if cut.ended < inf else "never"
        return (
            f"{again.message} ({self.history.kinds.get(again.message, 'follow-up')}): "
            f"{cut.process} {cut.started:.3f}-{ended}, {self._fate_of(cut)}; then {again.process} {again.started:.3f}"
        )
