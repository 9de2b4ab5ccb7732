"""Slots: how many may be in the making at once at one provider. Each is a document, held by somebody until a time.

Who finds none waits in a line, and a slot that becomes free is handed to whoever waits longest, who is woken: nobody
who comes later can be quicker. A slot whose holder died is free when its time is over, and whoever comes next to the
line, or looks whether it is his turn, hands it on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from pymongo import ASCENDING, UpdateOne
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from studio.indexes import Index
from studio.providers.cards import Limits
from studio.providers.interfaces import Capability
from studio.records import Document, Identified

HANDED_OVER_FOR_S = 120
"""How long a slot is kept for somebody who was woken."""
WAITS_AT_MOST_S = 3600
"""Who has not looked for so long whether it is his turn does not wait any more."""

SLOT_INDEXES = [
    Index(
        [("account", ASCENDING), ("holder", ASCENDING)],
        name="holder_of_account",
        unique=True,
        partialFilterExpression={"is_held": True},
        why="Nobody has two slots at one provider, also if two hand him one at once.",
    ),
    Index([("account", ASCENDING), ("until", ASCENDING)], name="free", why="A slot whose time is over."),
    Index([("holder", ASCENDING)], name="holder", why="What somebody holds, when his work has ended."),
]
WAITER_INDEXES = [
    Index([("account", ASCENDING), ("since", ASCENDING)], name="line", why="Who waits longest."),
    Index([("holder", ASCENDING)], name="holder", why="What somebody waits for, when his work has ended."),
    Index([("expires_at", ASCENDING)], name="expiry", expireAfterSeconds=0, why="Who does not come any more."),
]

_LONG_AGO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


class Slot(Identified, frozen=True, kw_only=True):
    """Room for one at a provider."""

    id: str
    """The account and a number from 0 on."""
    account: str
    """Provider and capability."""
    number: int
    """The number; those are not given out that are beyond what the settings allow."""
    limit: int
    """How many there were when it was taken."""
    holder: str = ""
    """Whose making it is; "" when it is free."""
    is_held: bool = False
    """Somebody is named as the holder."""
    until: datetime = _LONG_AGO
    """When it is free in any case."""


class Waiter(Identified, frozen=True, kw_only=True):
    """Somebody who waits for a slot."""

    id: str
    """The account and who waits."""
    account: str
    """Provider and capability."""
    holder: str
    """Who waits."""
    wake: str
    """The message that runs when it is his turn; "" when there is none."""
    since: datetime
    """When he came."""
    expires_at: datetime
    """When he counts as gone."""


class Slots:
    def __init__(self, database: Database[Document]) -> None:
        fast = WriteConcern(w=1)
        self._slots = database.get_collection("slots", write_concern=fast)
        self._waiters = database.get_collection("slot_waiters", write_concern=fast)
        self._made: dict[str, int] = {}
        self.wake: Callable[[str], Any] = lambda _message_id: None
        """Told which message is to run now; set by whoever has a queue."""

    def take(
        self, provider: str, capability: Capability, limits: Limits, *, holder: str, for_s: float, wake: str = ""
    ) -> bool:
        """Take a slot, or keep the one that is held already, for `for_s` seconds from now.

        False when there is none: `holder` is in the line then, and the message `wake` is brought forward at his turn.
        He should look again within the hour all the same.
        """
        if limits.concurrent is None:
            return True
        account = f"{provider}/{capability}"
        first = self._first(account)
        is_his_turn = first is None or first["holder"] == holder
        if is_his_turn and self._claim(account, limits.concurrent, holder, for_s):
            if first:
                self._waiters.delete_one({"_id": first["_id"]})
            return True
        if self._keep(account, holder, for_s):
            return True
        self._wait(account, holder, wake)
        # One may have become free before he stood in the line, where nobody saw him.
        self._hand_over(account, limits.concurrent, besides=holder)
        if not self._keep(account, holder, for_s):
            return False
        # One may have been handed to him before he stood there: then nobody has taken him out of the line again.
        self._waiters.delete_one({"_id": f"{account} {holder}"})
        return True

    def free(self, holder: str) -> None:
        """What somebody held or waited for is not needed any more; whoever waits longest is woken.

        It is one slot, or one place in a line. Were there ever more, the sweep would free the rest when his work has
        ended.
        """
        slot = self._slots.find_one_and_update({"holder": holder}, _FREED)
        if slot is None:
            self._waiters.delete_many({"holder": holder})
            return
        self._hand_over(slot["account"], slot["limit"])

    def list_holders(self) -> list[str]:
        """Everybody who holds a slot or waits for one."""
        held: list[str] = self._slots.distinct("holder", {"is_held": True})
        return list({*held, *self._waiters.distinct("holder")})

    def count(self) -> dict[str, tuple[int, int]]:
        """How many hold a slot and how many wait for one, by account."""
        found: dict[str, tuple[int, int]] = {}
        for position, (collection, query) in enumerate(((self._slots, {"is_held": True}), (self._waiters, {}))):
            for each in collection.aggregate([{"$match": query}, {"$group": {"_id": "$account", "n": {"$sum": 1}}}]):
                held, waiting = found.get(each["_id"], (0, 0))
                found[each["_id"]] = (each["n"], waiting) if position == 0 else (held, each["n"])
        return found

    def _keep(self, account: str, holder: str, for_s: float) -> bool:
        """Hold on to a slot, for so long at least. False where he has none."""
        mine = {"account": account, "holder": holder, "is_held": True}
        longer = {"$max": ["$until", _in_seconds(for_s)]}
        return self._slots.update_one(mine, [{"$set": {"until": longer}}]).matched_count > 0

    def _first(self, account: str) -> Document | None:
        """Who waits longest, if anybody does."""
        return self._waiters.find_one({"account": account}, sort=_LINE)

    def _claim(self, account: str, limit: int, holder: str, for_s: float) -> bool:
        """Give somebody a slot that is free; True as well where he has one."""
        free = {"account": account, "number": {"$lt": limit}, "$expr": {"$lte": ["$until", "$$NOW"]}}
        claimed = {"holder": {"$literal": holder}, "is_held": True, "until": _in_seconds(for_s), "limit": limit}
        try:
            while self._slots.find_one_and_update(free, [{"$set": claimed}], projection=["_id"]) is None:
                if not self._make(account, limit):
                    return False
        except DuplicateKeyError:
            return self._keep(account, holder, for_s)
        return True

    def _make(self, account: str, limit: int) -> bool:
        """Make the slots that there are not yet; False when there were all."""
        if self._made.get(account, 0) >= limit:
            return False
        slots = [Slot(id=f"{account}/{number}", account=account, number=number, limit=limit) for number in range(limit)]
        documents = [msgspec.to_builtins(slot, builtin_types=(datetime,)) for slot in slots]
        writes = [UpdateOne({"_id": each["_id"]}, {"$setOnInsert": each}, upsert=True) for each in documents]
        self._slots.bulk_write(writes, ordered=False)
        self._made[account] = limit
        return True

    def _wait(self, account: str, holder: str, wake: str) -> None:
        came = {"account": account, "holder": holder}
        times = {"since": {"$ifNull": ["$since", "$$NOW"]}, "expires_at": _in_seconds(WAITS_AT_MOST_S)}
        fields = {name: {"$literal": value} for name, value in {**came, "wake": wake}.items()}
        self._waiters.update_one({"_id": f"{account} {holder}"}, [{"$set": {**fields, **times}}], upsert=True)

    def _hand_over(self, account: str, limit: int, *, besides: str = "") -> None:
        """Give what is free to those who wait longest, and wake them, `besides` one who is awake."""
        while first := self._first(account):
            if not self._claim(account, limit, first["holder"], HANDED_OVER_FOR_S):
                return
            # Afterwards: if this process dies in between, the next one that hands over finds that he has one.
            self._waiters.delete_one({"_id": first["_id"]})
            if first["holder"] != besides and first["wake"]:
                self.wake(first["wake"])


_LINE = [("since", ASCENDING), ("_id", ASCENDING)]
_FREED: Document = {"$set": {"holder": "", "is_held": False, "until": _LONG_AGO}}


def _in_seconds(seconds: float) -> Document:
    return {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": round(1000 * seconds)}}
