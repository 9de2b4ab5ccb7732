"""The gates of all providers, kept in the database: the same for all workers.

A gate is read, judged by the rules of `gate`, and stored if nobody was quicker. What was read is believed for a second
where nothing depends on being exact: a provider without a pace that is well costs one command a second and process,
however often it is asked.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from threading import Lock
from typing import Any

import msgspec
import structlog
from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.write_concern import WriteConcern

from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.gates import gate as rules
from studio.gates.gate import Gate, Place, Verdict, come, kept, place_id
from studio.gates.slots import Slots
from studio.indexes import Index
from studio.providers.cards import Limits
from studio.providers.interfaces import Capability
from studio.records import Document, from_document, new_id, server_time

BELIEVED_FOR_S = 1.0
BUSY_S = 1.0
"""How long a provider is left alone that is busy and does not say for how long."""

PLACE_INDEXES = [
    Index([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0, why="Places that nobody came for."),
    Index([("gate", ASCENDING)], name="gate", why="How many wait at a gate, for the figures."),
]

# Raised where a call is prepared, before the provider hears of it.
_OUR_OWN = frozenset({"SPEND_CAP_REACHED", "PRICE_UNKNOWN"})

log = structlog.get_logger("studio")

_Change = Callable[[Gate, datetime], tuple[Gate, Any]]


class Gates:
    """What every call passes that a provider counts: its pace, its circuit breaker and its slots."""

    def __init__(self, database: Database[Document]) -> None:
        # What a failing server forgets lets somebody call a little more often; it is not worth waiting for.
        fast = WriteConcern(w=1)
        self._gates = database.get_collection("gates", write_concern=fast)
        self._places = database.get_collection("gate_places", write_concern=fast)
        self._believed: dict[str, tuple[float, Gate, datetime]] = {}
        # The threads of a process take turns, so that only other processes are rivals for a revision.
        self._turns: defaultdict[str, Lock] = defaultdict(Lock)
        self.slots = Slots(database)
        self.take_slot = self.slots.take
        self.free_slot = self.slots.free

    @contextmanager
    def passing(self, provider: str, capability: Capability, limits: Limits, *, ticket: str) -> Iterator[None]:
        """Make a call that is counted: the block makes it, and its outcome is noted.

        `ticket` is the same each time that the same call is tried: who came too early keeps a place in the line under
        it. Raises NotNow, and Away where the circuit is open, before the block; and whatever the block raises.
        """
        yield from self._passing(f"{provider}/{capability}/calls", limits.per_minute, ticket)

    @contextmanager
    def passing_look(self, provider: str, capability: Capability, limits: Limits, *, ticket: str) -> Iterator[None]:
        """The same for looking at what is in the making."""
        yield from self._passing(f"{provider}/{capability}/looks", limits.looks_per_minute, ticket)

    def list_all(self) -> list[Gate]:
        """One for each account that was ever asked for something."""
        return [from_document(document, Gate) for document in self._gates.find()]

    def count_places(self) -> dict[str, int]:
        """How many wait in the line of each gate, those included who will not come any more."""
        counted = self._places.aggregate([{"$group": {"_id": "$gate", "waiting": {"$sum": 1}}}])
        return {each["_id"]: each["waiting"] for each in counted}

    def _passing(self, gate_id: str, per_minute: int | None, ticket: str) -> Iterator[None]:
        caller = new_id()
        if not self._is_known_to_be_free(gate_id, per_minute):
            self._enter(gate_id, per_minute, ticket, caller)
        try:
            yield
        except Away as away:
            self._note(gate_id, partial(rules.failed, caller=caller, for_s=away.retry_after_s))
            raise
        except NotNow as busy:
            self._note(gate_id, partial(_busy, caller=caller, for_s=busy.retry_after_s or BUSY_S))
            raise
        except OutcomeUnknown:
            self._note(gate_id, partial(rules.failed, caller=caller))
            raise
        except StudioError as error:
            if error.symbol in _OUR_OWN:
                self._note(gate_id, partial(rules.gone, caller=caller))
            else:
                self._note_answer(gate_id, caller)
            raise
        except BaseException:
            self._note(gate_id, partial(rules.gone, caller=caller))
            raise
        else:
            self._note_answer(gate_id, caller)

    def _is_known_to_be_free(self, gate_id: str, per_minute: int | None) -> bool:
        if per_minute:
            return False
        read_at, gate, now = self._believed.get(gate_id, (0.0, None, None))
        is_old = time.monotonic() - read_at > BELIEVED_FOR_S
        if gate is None or now is None or is_old or gate.is_troubled:
            gate, now = self._read(gate_id)
        return gate.is_free(now)

    def _enter(self, gate_id: str, per_minute: int | None, ticket: str, caller: str) -> None:
        """Go, or be told when to come again. Raises NotNow, Away."""

        def judge(gate: Gate, now: datetime) -> tuple[Gate, tuple[Gate, Verdict, datetime, Place | None]]:
            place = self._place(gate_id, ticket) if rules.has_places(gate, now) else None
            changed, verdict = come(gate, now, per_minute=per_minute, place=place, caller=caller)
            return changed, (changed, verdict, now, place)

        gate, verdict, now, place = self._change(gate_id, judge)
        if verdict.goes:
            if place:
                self._places.delete_one({"_id": place.id})
            return
        if verdict.is_placed:
            document = msgspec.to_builtins(kept(gate, verdict, ticket=ticket), builtin_types=(datetime,))
            self._places.replace_one({"_id": document["_id"]}, document, upsert=True)
        # Rounded up: the server lets a message go when its millisecond begins.
        after_s = max((verdict.at - now).total_seconds(), 0.0) + 0.001
        if gate.is_open:
            raise Away(f"{gate_id} is away", retry_after_s=after_s)
        raise NotNow(f"{gate_id} has a line", retry_after_s=after_s)

    def _place(self, gate_id: str, ticket: str) -> Place | None:
        document = self._places.find_one({"_id": place_id(gate_id, ticket)})
        return from_document(document, Place) if document else None

    def _note_answer(self, gate_id: str, caller: str) -> None:
        _, gate, _ = self._believed.get(gate_id, (0.0, None, None))
        if gate is None or gate.is_troubled:
            self._note(gate_id, partial(rules.answered, caller=caller))

    def _note(self, gate_id: str, change: Callable[[Gate, datetime], Gate]) -> None:
        """Store what a call has met. That it was made stays true if this fails."""
        try:
            self._change(gate_id, lambda gate, now: (change(gate, now), None))
        except PyMongoError as error:
            log.info("gate_not_told", gate=gate_id, reason=type(error).__name__)

    def _change(self, gate_id: str, change: _Change) -> Any:
        """Change a gate as nobody else does meanwhile; what the change says beside it."""
        with self._turns[gate_id]:
            while True:
                before, now = self._read(gate_id)
                after, told = change(before, now)
                if after == before or self._replace(before, after, now):
                    return told

    def _read(self, gate_id: str) -> tuple[Gate, datetime]:
        """The gate, and the server's time."""
        found = self._gates.find_one({"_id": gate_id}, {**_FIELDS, "now": "$$NOW"})
        if found is None:
            # Nobody has changed it yet; there is nothing by which the server would tell its time.
            gate, now = Gate(id=gate_id), server_time(self._gates.database.client)
        else:
            now = found.pop("now")
            gate = from_document(found, Gate)
        self._believed[gate_id] = (time.monotonic(), gate, now)
        return gate, now

    def _replace(self, before: Gate, after: Gate, now: datetime) -> bool:
        after = msgspec.structs.replace(after, revision=before.revision + 1)
        document = msgspec.to_builtins(after, builtin_types=(datetime,))
        guard = {"_id": before.id, "revision": before.revision}
        try:
            result = self._gates.replace_one(guard, document, upsert=before.revision == 0)
        except DuplicateKeyError:
            return False
        is_stored = result.matched_count > 0 or result.upserted_id is not None
        if is_stored:
            self._believed[before.id] = (time.monotonic(), after, now)
            if after.is_open != before.is_open:
                log.warning("circuit", gate=before.id, is_open=after.is_open)
        return is_stored


_FIELDS: Document = {field.encode_name: 1 for field in msgspec.structs.fields(Gate)}


def _busy(gate: Gate, now: datetime, *, caller: str, for_s: float) -> Gate:
    """It is there, and wants to be left alone for a while."""
    return rules.shut(rules.answered(gate, now, caller=caller), now, for_s=for_s)
