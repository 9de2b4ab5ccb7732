"""The books: one entry for each call that somebody may be charged for, and the caps on what they come to.

    reserved -> accepted -> settled | refunded
    reserved | accepted -> uncertain -> accepted | settled | refunded
    refunded -> reserved | accepted      (only what had not been accepted: it is sent once more, or was taken after all)

Every change takes the session of a transaction, in which its caller stores what it follows from. A change that comes
twice, or too late, changes nothing. What an entry counts for is what it may cost: the estimate until it is settled,
then what was charged, and nothing once it is refunded.

Caps are kept by counters that are changed in the same transactions, so of two calls that would share the last of the
money only one is made, wherever they come from. A counter is a sum over entries and no more than that: where one is
missing it is made from them. Caps bound what is reserved. A service that charges more than its card says is counted as
it charged, and its excess is missing to the calls that follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Lock

import msgspec
from pymongo import ASCENDING
from pymongo.client_session import ClientSession
from pymongo.database import Database

from studio.errors import StudioError
from studio.indexes import Index
from studio.money import Amounts
from studio.records import Document, Record, from_document, server_time, upsert
from studio.settings import Settings

LINKED_DAYS = 400
"""How long an entry tells whose it is: enough to look back at a year. The books outlast that, without the person."""
COUNTERS_KEPT_DAYS = 2
"""Of a day that is over. An entry that is settled later still makes a counter anew, for a moment."""


class SpendState(StrEnum):
    RESERVED = "reserved"
    """The call is about to be made, or was made and not answered yet."""
    ACCEPTED = "accepted"
    """The provider has taken it, and will charge for it."""
    UNCERTAIN = "uncertain"
    """Nobody knows whether it is charged. It counts as if it were."""
    SETTLED = "settled"
    """It was charged."""
    REFUNDED = "refunded"
    """It was not charged, and counts for nothing."""


class Scope(StrEnum):
    """What a cap is on."""

    DAY = "day"
    """All that this deployment spends in a day."""
    CLIENT = "client"
    """What one client spends in a day."""
    TOTAL = "total"
    """All that this deployment ever spends."""


class LedgerEntry(Record, frozen=True, kw_only=True):
    """`id` is the submission's, which is the call's idempotency key."""

    owner: str | None = None
    """None once he is erased, or a year has passed: the books are kept without the person."""
    job_id: str | None = None
    """For which job; None together with the owner."""
    provider: str
    """Who is paid."""
    capability: str
    """For what kind of work."""
    model: str
    """As the provider names it."""
    currency: str
    """In which it charges."""
    day: datetime
    """The first instant of the day that it counts to, in UTC: that of its newest reservation."""
    state: SpendState
    estimated_micros: int | None
    """What it costs at most by the provider's card; None where no price is known."""
    reported_micros: int | None = None
    """What the provider said that it cost; None where it said nothing."""
    micros: int
    """What it counts for now."""
    times: dict[SpendState, datetime]
    """When it came into each state that it was in."""


class SpendCounter(msgspec.Struct, frozen=True, kw_only=True, rename={"id": "_id"}):
    """What the entries under one cap come to."""

    id: str
    """The scope, the currency, the day and the owner, as far as the scope has them."""
    owner: str | None = None
    """Whose, where it is a client's."""
    micros: int
    """The sum of what the entries count for."""
    expires_at: datetime | None = None
    """When a day's counter is of no more use."""


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of a day that are alike."""

    day: datetime
    provider: str
    capability: str
    currency: str
    calls: int
    unpriced: int
    """So many of them have no known price, and count for nothing below."""
    open_micros: int
    """Of calls that are under way: what they cost at most."""
    settled_micros: int
    """Of calls that were charged."""
    uncertain_micros: int
    """Of calls that may have been charged."""


class CapUse(msgspec.Struct, frozen=True, kw_only=True):
    """A cap and what counts to it."""

    scope: Scope
    currency: str
    cap_micros: int
    spent_micros: int

    @property
    def left_micros(self) -> int:
        """Never less than nothing, even where a service charged more than it should."""
        return max(0, self.cap_micros - self.spent_micros)


INDEXES = [
    Index(
        [("owner", ASCENDING), ("day", ASCENDING)],
        name="owner",
        partialFilterExpression={"owner": {"$exists": True}},
        why="What a client has spent, and the entries that still name one.",
    ),
    Index(
        [("day", ASCENDING), ("currency", ASCENDING), ("micros", ASCENDING)],
        name="day",
        why="What was spent on a day.",
    ),
    Index(
        [("currency", ASCENDING), ("micros", ASCENDING)],
        name="currency",
        why="What was ever spent, where a counter has to be made anew.",
    ),
]
COUNTER_INDEXES = [
    Index([("owner", ASCENDING)], name="owner", sparse=True, why="A client's counters, for its export and erasure."),
    Index([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0, why="Days that are over are not capped."),
]

_UNDECIDED = [SpendState.RESERVED, SpendState.ACCEPTED, SpendState.UNCERTAIN]
_NEVER_TAKEN = {"state": SpendState.REFUNDED, "times.accepted": {"$exists": False}}
# The same as an expression, and true of what is not there yet.
_MAY_BE_ENTERED = {
    "$and": [
        {"$eq": [{"$ifNull": ["$state", SpendState.REFUNDED]}, SpendState.REFUNDED]},
        {"$eq": [{"$type": "$times.accepted"}, "missing"]},
    ]
}


@dataclass(frozen=True, slots=True)
class _Sum:
    """The entries under one cap, and the counter of what they come to."""

    scope: Scope
    cap: int
    currency: str
    day: datetime
    owner: str | None

    @property
    def entries(self) -> Document:
        """Finds them."""
        of_day = {} if self.scope is Scope.TOTAL else {"day": self.day}
        of_client = {"owner": self.owner} if self.scope is Scope.CLIENT else {}
        return {"currency": self.currency, **of_day, **of_client}

    @property
    def key(self) -> str:
        """The counter's id."""
        query = self.entries
        day = [f"{self.day:%Y-%m-%d}"] if "day" in query else []
        return "/".join([self.scope, self.currency, *day, *([query["owner"]] if "owner" in query else [])])

    @property
    def counter(self) -> Document:
        """The counter without its number."""
        of_client = {"owner": self.owner} if self.scope is Scope.CLIENT else {}
        ends = self.day + timedelta(days=1 + COUNTERS_KEPT_DAYS)
        return {"_id": self.key, **of_client, **({} if self.scope is Scope.TOTAL else {"expires_at": ends})}


class Ledger:
    def __init__(self, database: Database[Document], settings: Settings) -> None:
        self._database = database
        self._entries = database["ledger"]
        self._counters = database["spend_counters"]
        caps = {
            Scope.CLIENT: settings.spend_cap_client_day,
            Scope.DAY: settings.spend_cap_day,
            Scope.TOTAL: settings.spend_cap_total,
        }
        self._turn = Lock()
        self._caps: dict[Scope, Amounts] = {scope: amounts for scope, amounts in caps.items() if amounts}

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """For around a transaction that changes the ledger: where there are caps, one thread of a process at a time.

        Transactions that meet at a counter are right without it, but all except one have to begin again.
        """
        if not self._caps:
            yield
            return
        with self._turn:
            yield

    def reserve(
        self,
        entry_id: str,
        *,
        owner: str,
        job_id: str,
        provider: str,
        capability: str,
        model: str,
        currency: str,
        micros: int | None,
        at: datetime,
        session: ClientSession,
    ) -> None:
        """Enter a call that is about to be made; `micros` is what it costs at most, None where no price is known.

        `at` is the server's time of its intent: it counts to that day. What is entered already is left as it is, unless
        it had been refunded without having been accepted: then it is reserved anew, for this day.
        Raises StudioError("SPEND_CAP_REACHED") and StudioError("PRICE_UNKNOWN"), the latter only where there are caps;
        the transaction has changed nothing then, and may go on.
        """
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        sums = list(self._sums(currency, day, owner))
        if sums and self._entries.find_one({"_id": entry_id, "$nor": [_NEVER_TAKEN]}, {"_id": 1}, session=session):
            # What counts already is not refused, and not counted twice.
            return
        if self._caps and micros is None:
            raise StudioError("PRICE_UNKNOWN", provider=provider, model=model)
        for one, spent in zip(sums, self._spent(sums, session=session), strict=True):
            if spent + (micros or 0) > one.cap:
                raise StudioError("SPEND_CAP_REACHED", scope=one.scope.value)
        fields: Document = {
            "_id": entry_id,
            "owner": owner,
            "job_id": job_id,
            "provider": provider,
            "capability": capability,
            "model": model,
            "currency": currency,
            "day": day,
            "state": SpendState.RESERVED,
            "estimated_micros": micros,
            "micros": micros or 0,
        }
        times = {
            "created_at": {"$ifNull": ["$created_at", "$$NOW"]},
            "updated_at": "$$NOW",
            "times": {SpendState.RESERVED: "$$NOW"},
        }
        entered = {"$mergeObjects": [{"$literal": fields}, times]}
        changes: list[Document] = [{"$replaceWith": {"$cond": [_MAY_BE_ENTERED, entered, "$$ROOT"]}}]
        upsert(self._entries, {"_id": entry_id}, changes, session=session)
        if micros and sums:
            self._add(sums, micros, session=session)

    def accept(self, entry_id: str, *, session: ClientSession) -> bool:
        """The provider has taken it. False where that was known, or it is over."""
        # Even where a lookup has told otherwise since: a request may reach a provider late. What was said to be given
        # back counts again, whatever the caps say: it is spent.
        late_or_not = {"$or": [{"state": {"$in": [SpendState.RESERVED, SpendState.UNCERTAIN]}}, _NEVER_TAKEN]}
        return self._move(entry_id, late_or_not, SpendState.ACCEPTED, session=session)

    def doubt(self, entry_id: str, *, session: ClientSession) -> bool:
        """Nobody can tell whether it is charged. False where that was known, or it is over."""
        before = {"state": {"$in": [SpendState.RESERVED, SpendState.ACCEPTED]}}
        return self._move(entry_id, before, SpendState.UNCERTAIN, session=session)

    def settle(self, entry_id: str, micros: int | None, *, session: ClientSession) -> bool:
        """It was charged: `micros`, or what was estimated where the provider says nothing. False where it was over."""
        before = {"state": {"$in": _UNDECIDED}}
        return self._move(entry_id, before, SpendState.SETTLED, reported=micros, session=session)

    def refund(self, entry_id: str, *, session: ClientSession) -> bool:
        """It was not charged, and never will be. False where it was over."""
        return self._move(entry_id, {"state": {"$in": _UNDECIDED}}, SpendState.REFUNDED, session=session)

    def recount(self) -> None:
        """Forget the counters; each is made from the entries when it is next needed.

        While no cap is set nothing is counted, so what was counted before is not to be trusted afterwards.
        """
        self._counters.delete_many({})

    def unlink_before(self, day: datetime, *, limit: int) -> int:
        """Let entries of earlier days no longer tell whose they are; how many there were, `limit` at most."""
        old = self._entries.find({"owner": {"$exists": True}, "day": {"$lt": day}}, {"_id": 1}, limit=limit)
        ids = [entry["_id"] for entry in old]
        if ids:
            self._entries.update_many({"_id": {"$in": ids}}, {"$unset": {"owner": "", "job_id": ""}})
        return len(ids)

    def list_spending(self, *, days: int, owner: str | None = None) -> list[Spending]:
        """What was spent in the newest days, today being one of them; the newest first. None is everybody's."""
        whose = {} if owner is None else {"owner": owner}
        since = self.today() - timedelta(days=days - 1)
        group = {name: f"${name}" for name in ("day", "provider", "capability", "currency")}
        rows = self._entries.aggregate(
            [
                {"$match": {**whose, "day": {"$gte": since}, "state": {"$ne": SpendState.REFUNDED}}},
                {
                    "$group": {
                        "_id": group,
                        "calls": {"$sum": 1},
                        "unpriced": {"$sum": {"$cond": [_IS_UNPRICED, 1, 0]}},
                        "open_micros": _sum_of(SpendState.RESERVED, SpendState.ACCEPTED),
                        "settled_micros": _sum_of(SpendState.SETTLED),
                        "uncertain_micros": _sum_of(SpendState.UNCERTAIN),
                    }
                },
                {"$replaceWith": {"$mergeObjects": ["$_id", "$$ROOT"]}},
                {"$sort": {"day": -1, "provider": 1, "capability": 1, "currency": 1}},
            ]
        )
        return msgspec.convert(rows.to_list(), list[Spending])

    def list_caps(self, *, owner: str | None = None) -> list[CapUse]:
        """The caps of the deployment, or those on a client, and what counts to them now."""
        day = self.today()
        sums = [
            _Sum(scope, cap, currency, day, owner)
            for scope, amounts in self._caps.items()
            if (scope is Scope.CLIENT) is (owner is not None)
            for currency, cap in amounts.items()
        ]
        return [
            CapUse(scope=one.scope, currency=one.currency, cap_micros=one.cap, spent_micros=spent)
            for one, spent in zip(sums, self._spent(sums), strict=True)
        ]

    def today(self) -> datetime:
        """The first instant of this day in UTC, by the server's clock."""
        return server_time(self._database.client).replace(hour=0, minute=0, second=0, microsecond=0)

    def _move(
        self,
        entry_id: str,
        before: Document,
        state: SpendState,
        *,
        reported: int | None = None,
        session: ClientSession,
    ) -> bool:
        fixed = 0 if state is SpendState.REFUNDED else reported
        estimated: Document = {"$ifNull": ["$estimated_micros", 0]}
        told: Document = {} if reported is None else {"reported_micros": reported}
        times = {f"times.{state}": "$$NOW", "updated_at": "$$NOW"}
        found = self._entries.find_one_and_update(
            {"_id": entry_id, **before},
            [{"$set": {"state": state, "micros": estimated if fixed is None else fixed, **told, **times}}],
            session=session,
        )
        if found is None:
            return False
        entry = from_document(found, LedgerEntry)
        micros = (entry.estimated_micros or 0) if fixed is None else fixed
        sums = list(self._sums(entry.currency, entry.day, entry.owner))
        if micros != entry.micros and sums:
            self._add(sums, micros - entry.micros, session=session)
        return True

    def _sums(self, currency: str, day: datetime, owner: str | None) -> Iterator[_Sum]:
        """What an entry counts to. A currency that a cap does not name may not be spent under it at all."""
        for scope, amounts in self._caps.items():
            if scope is not Scope.CLIENT or owner is not None:
                yield _Sum(scope, amounts.get(currency, 0), currency, day, owner)

    def _spent(self, sums: list[_Sum], *, session: ClientSession | None = None) -> list[int]:
        counted = self._counted(sums, session=session)
        return [counted[one.key] if one.key in counted else self._summed(one, session=session) for one in sums]

    def _counted(self, sums: list[_Sum], *, session: ClientSession | None) -> dict[str, int]:
        """What the counters say, as far as they are there. One command, because others meet at them."""
        if not sums:
            return {}
        found = self._counters.find({"_id": {"$in": [one.key for one in sums]}}, session=session)
        return {counter["_id"]: int(counter["micros"]) for counter in found}

    def _summed(self, one: _Sum, *, session: ClientSession | None) -> int:
        total = {"$group": {"_id": None, "micros": {"$sum": "$micros"}}}
        [*found] = self._entries.aggregate([{"$match": one.entries}, total], session=session)
        return sum(int(row["micros"]) for row in found)

    def _add(self, sums: list[_Sum], more: int, *, session: ClientSession) -> None:
        """Count what an entry has come to count for more. A missing counter is made of the entries, this one included.

        It is made here too where nothing is reserved: of two transactions that meet at a counter only one commits, and
        without a counter they would not meet.
        """
        of_these = {"_id": {"$in": [one.key for one in sums]}}
        there = self._counters.update_many(of_these, {"$inc": {"micros": more}}, session=session).matched_count
        if there < len(sums):
            counted = self._counted(sums, session=session)
            missing = [one for one in sums if one.key not in counted]
            self._counters.insert_many(
                [{**one.counter, "micros": self._summed(one, session=session)} for one in missing], session=session
            )


_IS_UNPRICED = {"$eq": [{"$ifNull": ["$estimated_micros", "$reported_micros", None]}, None]}


def _sum_of(*states: SpendState) -> Document:
    return {"$sum": {"$cond": [{"$in": ["$state", list(states)]}, "$micros", 0]}}
