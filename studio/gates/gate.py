"""The rules of one gate, without a database: each is a function from a gate and a moment to the gate afterwards.

    free  --too fast-->  a place in the line, at a time of one's own
    free  --Retry-After, 429-->  shut, until a time
    free  --5 faults in a row-->  open circuit: shut for 10 s, then 20, 40 ... 300
    open circuit  --its time is over-->  one probe goes; everybody else waits for what it meets
    probe  --an answer-->  free          probe  --another fault-->  open circuit, for twice as long

The pace is the generic cell rate algorithm: of any minute, no more than `per_minute` calls begin in it, up to a
second's worth of them at once. Who comes too early is given the next place of the line and its time. Whatever shuts
the gate moves the whole line, so that after a pause the calls do not all come at once.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import msgspec

from studio.records import Identified

BURST_S = 1.0
"""How much of the pace may be used at once: a second's worth."""
SPACING_S = 0.05
"""Between those who wait at a shut gate that has no pace of its own."""
FAULTS_UNTIL_OPEN = 5
OPEN_FOR_S = 10.0
OPEN_FOR_AT_MOST_S = 300.0
PROBE_FOR_S = 150.0
"""Longer than any call may take; then another probe goes, because the worker of the first one died."""
PROBE_LOOK_S = 2.0
"""When those come again who find a probe under way."""
PLACE_KEPT_S = 3600.0
"""How long a place is kept for somebody who does not come."""

_LONG_AGO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


class Gate(Identified, frozen=True, kw_only=True):
    """One account at one provider: for what it is asked to make, or for looking at it, which has limits of its own."""

    id: str
    """Provider and capability, and what of it: `ark/animator/calls`, `ark/animator/looks`."""
    revision: int = 0
    """Counted up by each change, so that none is made on what has changed meanwhile."""
    paced_at: datetime = _LONG_AGO
    """When the next call would begin if all so far had kept the pace exactly."""
    line_at: datetime = _LONG_AGO
    """When the place after the last one of the line is due."""
    delayed_ms: int = 0
    """By how much pauses have moved the line, in all."""
    shut_until: datetime = _LONG_AGO
    """Nobody goes before this."""
    faults: int = 0
    """Faults in a row."""
    openings: int = 0
    """How often in a row the circuit was opened; 0 while it is closed."""
    probe: str = ""
    """Who is on the way through an open circuit; "" when nobody is."""
    probe_until: datetime = _LONG_AGO
    """When the probe counts as lost."""

    @property
    def is_open(self) -> bool:
        """The circuit is open: the provider was away, and nobody has met it again since."""
        return self.openings > 0

    @property
    def is_troubled(self) -> bool:
        """A call that is answered is news."""
        return self.faults > 0 or self.is_open

    def is_free(self, now: datetime) -> bool:
        """Whoever has no pace to keep may go."""
        return not self.is_open and self.shut_until <= now


class Place(Identified, frozen=True, kw_only=True):
    """A place in the line before a gate, kept for somebody who came too early."""

    id: str
    """The gate, and the ticket of whoever waits."""
    gate: str
    """The gate."""
    due: datetime
    """When it is due, had the line never been moved."""
    expires_at: datetime
    """Whoever has not come by then has given it up."""

    def due_at(self, gate: Gate) -> datetime:
        """When it is due as the line is now."""
        return self.due + timedelta(milliseconds=gate.delayed_ms)


class Verdict(msgspec.Struct, frozen=True):
    """What somebody is told who comes to a gate."""

    goes: bool
    at: datetime
    """When to come again, for those who do not go."""
    is_placed: bool = False
    """A place at that time is kept for them."""


def come(
    gate: Gate, now: datetime, *, per_minute: int | None, place: Place | None, caller: str
) -> tuple[Gate, Verdict]:
    """Somebody comes, perhaps to take a place that was kept. `caller` is nobody else's."""
    if gate.is_open and gate.shut_until <= now < gate.probe_until and gate.probe:
        return gate, Verdict(goes=False, at=now + timedelta(seconds=PROBE_LOOK_S))
    interval = _interval(per_minute)
    due = place.due_at(gate) if place else None
    paced_at = gate.paced_at - timedelta(seconds=BURST_S) if per_minute else _LONG_AGO
    earliest = max(gate.shut_until, paced_at)
    is_first = due is not None or gate.line_at <= now or per_minute is None
    if is_first and max(earliest, due or now) <= now:
        if per_minute:
            gate = _with(gate, paced_at=max(gate.paced_at, now) + interval)
        if gate.is_open:
            gate = _with(gate, probe=caller, probe_until=now + timedelta(seconds=PROBE_FOR_S))
        return gate, Verdict(goes=True, at=now)
    if due is not None and due > now:
        return gate, Verdict(goes=False, at=max(due, gate.shut_until))
    # A place whose time has passed unused is worth no more than a new one: else all that were late would go at once.
    at = max(gate.line_at, earliest, now)
    return _with(gate, line_at=at + interval), Verdict(goes=False, at=at, is_placed=True)


def answered(gate: Gate, _now: datetime, *, caller: str) -> Gate:
    """A call was answered, whatever the answer was: the provider is there."""
    if gate.is_open and gate.probe != caller:
        # It went before the circuit was opened, and says nothing of the time since.
        return gate
    return _with(gate, faults=0, openings=0, probe="") if gate.is_troubled else gate


def failed(gate: Gate, now: datetime, *, caller: str, for_s: float | None = None) -> Gate:
    """A call met a fault of the provider, or nobody. `for_s`: what it says itself about when to come again."""
    if gate.is_open and gate.probe != caller:
        return gate
    gate = _with(gate, faults=gate.faults + 1, probe="")
    if gate.is_open or gate.faults >= FAULTS_UNTIL_OPEN:
        own_s = min(OPEN_FOR_S * 2**gate.openings, OPEN_FOR_AT_MOST_S)
        gate = _with(gate, openings=gate.openings + 1)
        return shut(gate, now, for_s=max(own_s, for_s or 0.0))
    return shut(gate, now, for_s=for_s) if for_s else gate


def gone(gate: Gate, _now: datetime, *, caller: str) -> Gate:
    """Somebody went and never made the call: another probe may go."""
    return _with(gate, probe="") if gate.probe == caller else gate


def shut(gate: Gate, now: datetime, *, for_s: float) -> Gate:
    """Let nobody go for a while, and move the line by as much as that adds."""
    until = now + timedelta(seconds=for_s)
    added = until - max(gate.shut_until, now)
    if added <= timedelta():
        return gate
    return _with(
        gate,
        shut_until=until,
        line_at=max(gate.line_at, now) + added,
        delayed_ms=gate.delayed_ms + round(added / timedelta(milliseconds=1)),
    )


def kept(gate: Gate, verdict: Verdict, *, ticket: str) -> Place:
    """The place that somebody was given, to be stored."""
    return Place(
        id=place_id(gate.id, ticket),
        gate=gate.id,
        due=verdict.at - timedelta(milliseconds=gate.delayed_ms),
        expires_at=verdict.at + timedelta(seconds=PLACE_KEPT_S),
    )


def has_places(gate: Gate, now: datetime) -> bool:
    """Whether a place may be kept for somebody: each was given before the end of the line, and is kept for a while."""
    return now < gate.line_at + timedelta(seconds=PLACE_KEPT_S)


def place_id(gate_id: str, ticket: str) -> str:
    return f"{gate_id} {ticket}"


def _interval(per_minute: int | None) -> timedelta:
    """Between two calls. What a burst may take at once is spread over the minute, so that no minute has too many.

    In whole milliseconds, as times are stored: a rounding down would add up.
    """
    seconds = (60.0 + BURST_S) / per_minute if per_minute else SPACING_S
    return timedelta(milliseconds=math.ceil(1000 * seconds))


def _with(gate: Gate, **changes: object) -> Gate:
    return msgspec.structs.replace(gate, **changes)
