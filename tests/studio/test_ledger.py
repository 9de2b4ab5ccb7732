"""The books are right whatever comes twice, too late or at the same time, and no cap is ever exceeded."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database

from app.stack import Servers
from broker import run_in_transaction
from studio import privacy
from studio.errors import StudioError, describe
from studio.ledger import Ledger, Scope
from studio.migrations import migrate
from studio.records import CODEC, Document, new_id, server_time
from studio.settings import Settings

YUAN = 1_000_000
MOVES = ["accept", "doubt", "settle", "refund"]


class Books:
    """A ledger in a database of its own, each of whose changes is a transaction."""

    def __init__(self, database: Database[Document], **caps: str) -> None:
        self.database = database
        names = {f"spend_cap_{name}": text for name, text in caps.items()}
        self.ledger = Ledger(database, Settings.model_validate(names))

    def under(self, **caps: str) -> Books:
        """The same books in a process with these caps."""
        return Books(self.database, **caps)

    def reserve(self, entry_id: str = "", *, micros: int | None = YUAN, owner: str = "mimi", **fields: str) -> str:
        entry_id = entry_id or new_id()
        told = {"provider": "ark", "capability": "animator", "model": "seedance", "currency": "CNY", **fields}
        at = server_time(self.database.client)
        self.commit(
            lambda session: self.ledger.reserve(
                entry_id, owner=owner, job_id="job", micros=micros, at=at, session=session, **told
            )
        )
        return entry_id

    def move(self, name: str, entry_id: str, *, micros: int | None = None) -> bool:
        more = {"micros": micros} if name == "settle" else {}
        return bool(self.commit(lambda session: getattr(self.ledger, name)(entry_id, session=session, **more)))

    def commit(self, work: Callable[[ClientSession], Any]) -> Any:
        return run_in_transaction(self.database.client, work)

    def entry(self, entry_id: str) -> Document:
        found = self.database["ledger"].find_one({"_id": entry_id})
        assert found is not None
        return found

    def sum(self, **query: Any) -> int:
        return sum(entry["micros"] for entry in self.database["ledger"].find(query))

    def counters(self) -> dict[str, int]:
        """What each counter says, without its day."""
        today = f"{self.ledger.today():%Y-%m-%d}"
        return {
            counter["_id"].replace(today, "today"): counter["micros"]
            for counter in self.database["spend_counters"].find()
        }

    def backdate(self, entry_id: str, *, days: int = 1) -> None:
        """As if an entry had been made on an earlier day."""
        earlier = [{"$set": {"day": {"$subtract": ["$day", days * 24 * 3600 * 1000]}}}]
        self.database["ledger"].update_one({"_id": entry_id}, earlier)
        self.ledger.recount()


@pytest.fixture(scope="module")
def database(servers: Servers) -> Iterator[Database[Document]]:
    with MongoClient[Document](servers.mongodb_uri) as client:
        made = client.get_database(f"ledger_{secrets.token_hex(4)}", codec_options=CODEC)
        migrate(made)
        yield made
        client.drop_database(made.name)


@pytest.fixture
def books(database: Database[Document]) -> Books:
    for name in ("ledger", "spend_counters"):
        database[name].delete_many({})
    return Books(database)


def test_an_entry_tells_what_is_paid_for_and_when(books: Books) -> None:
    before = books.ledger.today()
    entry = books.entry(books.reserve(micros=2_500_000))
    assert before <= entry["day"] <= entry["created_at"]
    assert entry["day"] == entry["created_at"].replace(hour=0, minute=0, second=0, microsecond=0)
    assert entry["times"] == {"reserved": entry["updated_at"]}
    del entry["_id"], entry["day"], entry["created_at"], entry["updated_at"], entry["times"]
    assert entry == {
        "owner": "mimi", "job_id": "job", "provider": "ark", "capability": "animator", "model": "seedance",
        "currency": "CNY", "state": "reserved", "estimated_micros": 2_500_000, "micros": 2_500_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "state", "micros"),
    [
        ([], "reserved", 3),
        (["accept"], "accepted", 3),
        (["accept", "settle"], "settled", 2),
        (["settle"], "settled", 2),
        (["refund"], "refunded", 0),
        (["accept", "refund"], "refunded", 0),
        (["doubt"], "uncertain", 3),
        (["accept", "doubt"], "uncertain", 3),
        (["doubt", "accept"], "accepted", 3),
        (["doubt", "settle"], "settled", 2),
        (["doubt", "refund"], "refunded", 0),
        # Too late.
        (["accept", "refund", "accept"], "refunded", 0),
        (["accept", "refund", "settle"], "refunded", 0),
        (["accept", "refund", "doubt"], "refunded", 0),
        (["refund", "settle"], "refunded", 0),
        (["refund", "doubt"], "refunded", 0),
        (["settle", "refund"], "settled", 2),
        (["settle", "doubt"], "settled", 2),
        (["settle", "accept"], "settled", 2),
        # It was given back and taken all the same: it reached the provider late.
        (["refund", "accept"], "accepted", 3),
    ],
)
def test_each_change_counts_once_and_only_where_it_makes_sense(
    books: Books, path: list[str], state: str, micros: int
) -> None:
    capped = books.under(day="CNY 1", client_day="CNY 1", total="CNY 1")
    entry_id = capped.reserve(micros=3)
    capped.reserve(entry_id, micros=3)
    for name in path:
        capped.move(name, entry_id, micros=2)
        assert not capped.move(name, entry_id, micros=1), "the second time it changes nothing"
    entry = capped.entry(entry_id)
    assert (entry["state"], entry["micros"]) == (state, micros)
    assert capped.counters() == {"day/CNY/today": micros, "client/CNY/today/mimi": micros, "total/CNY": micros}


def test_whatever_happens_in_whatever_order_the_counters_say_what_the_entries_do(books: Books) -> None:
    capped = books.under(day="CNY 9", client_day="CNY 9", total="CNY 9")
    for path in itertools.product(["reserve", *MOVES], repeat=3):
        entry_id = capped.reserve(micros=3)
        for name in path:
            if name == "reserve":
                capped.reserve(entry_id, micros=3)
            else:
                capped.move(name, entry_id, micros=2)
    assert set(capped.counters().values()) == {capped.sum()}


@pytest.mark.parametrize("name", MOVES)
def test_what_was_never_reserved_is_not_entered_by_a_later_change(books: Books, name: str) -> None:
    assert not books.move(name, "nothing")
    assert books.sum() == 0


def test_what_was_given_back_is_reserved_anew_when_it_is_sent_again(books: Books) -> None:
    entry_id = books.reserve(micros=3)
    books.backdate(entry_id)
    books.move("refund", entry_id)
    books.reserve(entry_id, micros=4)
    entry = books.entry(entry_id)
    assert (entry["state"], entry["micros"], entry["day"]) == ("reserved", 4, books.ledger.today())


def test_what_the_provider_reports_takes_the_place_of_the_estimate(books: Books) -> None:
    reported, silent, unpriced = books.reserve(), books.reserve(), books.reserve(micros=None)
    books.move("settle", reported, micros=3 * YUAN)
    books.move("settle", silent, micros=None)
    books.move("settle", unpriced, micros=7)
    entries = [books.entry(one) for one in (reported, silent, unpriced)]
    assert [(one.get("reported_micros"), one["micros"]) for one in entries] == [
        (3 * YUAN, 3 * YUAN), (None, YUAN), (7, 7)
    ]  # fmt: skip


@pytest.mark.parametrize(("cap", "scope"), [("day", Scope.DAY), ("client_day", Scope.CLIENT), ("total", Scope.TOTAL)])
def test_a_cap_is_reached_by_the_call_that_would_exceed_it(books: Books, cap: str, scope: Scope) -> None:
    capped = books.under(**{cap: "CNY 2.5"})
    kept = [capped.reserve(), capped.reserve()]
    with pytest.raises(StudioError) as refused:
        capped.reserve()
    assert (refused.value.symbol, refused.value.params) == ("SPEND_CAP_REACHED", {"scope": scope})
    assert capped.sum() == 2 * YUAN
    capped.reserve(micros=YUAN // 2)
    capped.move("refund", kept[0])
    capped.move("settle", kept[1], micros=YUAN // 2)
    capped.reserve(micros=3 * YUAN // 2)
    assert set(capped.counters().values()) == {5 * YUAN // 2}


def test_a_cap_on_clients_is_each_ones_own(books: Books) -> None:
    capped = books.under(client_day="CNY 1")
    capped.reserve(owner="mimi")
    capped.reserve(owner="lele")
    with pytest.raises(StudioError):
        capped.reserve(owner="mimi", micros=1)


def test_a_refusal_leaves_the_transaction_as_it_was(books: Books) -> None:
    """Its caller may ask another provider in it."""
    capped = books.under(client_day="CNY 5", day="CNY 1, USD 1", total="CNY 5, USD 5")

    def work(session: ClientSession) -> None:
        told: dict[str, Any] = {"owner": "mimi", "job_id": "job", "capability": "animator", "session": session}
        told["at"] = server_time(capped.database.client)
        with pytest.raises(StudioError):
            capped.ledger.reserve("a", provider="ark", model="m", currency="CNY", micros=2 * YUAN, **told)
        with pytest.raises(StudioError):
            capped.ledger.reserve("b", provider="runway", model="m", currency="USD", micros=1, **told)
        capped.ledger.reserve("c", provider="ark", model="m", currency="CNY", micros=YUAN, **told)

    capped.commit(work)
    assert [entry["_id"] for entry in capped.database["ledger"].find()] == ["c"]
    assert set(capped.counters().values()) == {YUAN}


def test_twenty_at_once_never_exceed_a_cap(books: Books) -> None:
    caps = {"day": "CNY 7", "total": "CNY 7", "client_day": "CNY 2"}

    def order(number: int) -> bool:
        # Each is a process of its own, as it were, and none of them finds a counter at first.
        capped = books.under(**caps)
        try:
            entry_id = capped.reserve(owner=f"client {number % 5}")
        except StudioError:
            return False
        capped.move("accept", entry_id)
        return capped.move("settle", entry_id, micros=YUAN)

    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(order, range(40)))
    assert sum(made) == 7
    assert books.sum() == 7 * YUAN
    for number in range(5):
        assert books.sum(owner=f"client {number}") <= 2 * YUAN
    counters = books.counters()
    assert counters["day/CNY/today"] == counters["total/CNY"] == 7 * YUAN


def test_changes_that_meet_while_a_counter_is_missing_are_all_in_it(books: Books) -> None:
    capped = books.under(total="CNY 1000")
    entries = [capped.reserve() for _ in range(20)]
    capped.ledger.recount()

    def change(number: int) -> None:
        if number % 2:
            capped.move("settle", entries[number], micros=3)
        else:
            capped.reserve(micros=5)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(change, range(20)))
    assert capped.counters() == {"total/CNY": capped.sum()} == {"total/CNY": 10 * YUAN + 10 * 3 + 10 * 5}


def test_what_was_spent_before_a_cap_was_set_counts_to_it(books: Books) -> None:
    capped = books.under(total="CNY 4", day="CNY 4")
    capped.reserve()
    books.reserve(micros=2 * YUAN)
    capped.ledger.recount()
    capped.reserve()
    with pytest.raises(StudioError):
        capped.reserve(micros=1)


def test_without_a_cap_nothing_is_counted(books: Books) -> None:
    books.move("settle", books.reserve(), micros=3)
    assert books.counters() == {}


def test_the_day_begins_anew_at_midnight_utc_by_the_servers_clock(books: Books) -> None:
    capped = books.under(day="CNY 1", client_day="CNY 1")
    yesterdays = capped.reserve()
    with pytest.raises(StudioError):
        capped.reserve()
    capped.backdate(yesterdays)
    capped.reserve()
    server = books.database.client.admin.command("hello")["localTime"].replace(tzinfo=UTC)
    assert timedelta(0) <= server - books.ledger.today() < timedelta(days=1, seconds=1)


def test_what_is_settled_after_midnight_counts_to_the_day_of_its_order(books: Books) -> None:
    capped = books.under(day="CNY 1", total="CNY 9")
    yesterdays = capped.reserve()
    capped.backdate(yesterdays)
    capped.move("settle", yesterdays, micros=5 * YUAN)
    capped.reserve()
    assert capped.counters()["day/CNY/today"] == YUAN
    assert capped.counters()["total/CNY"] == 6 * YUAN


def test_a_counter_of_a_day_that_is_over_goes(books: Books) -> None:
    books.under(day="CNY 1", client_day="CNY 1", total="CNY 1").reserve()
    ends = {
        counter["_id"].partition("/")[0]: counter.get("expires_at")
        for counter in books.database["spend_counters"].find()
    }
    assert ends == {"day": books.ledger.today() + timedelta(days=3), "client": ends["day"], "total": None}


def test_a_currency_that_a_cap_does_not_name_may_not_be_spent(books: Books) -> None:
    capped = books.under(total="CNY 5")
    with pytest.raises(StudioError, match="SPEND_CAP_REACHED"):
        capped.reserve(currency="USD", micros=1)
    assert capped.reserve(currency="USD", micros=0), "what costs nothing may be made"


def test_without_a_price_no_call_is_made_under_a_cap(books: Books) -> None:
    with pytest.raises(StudioError, match="PRICE_UNKNOWN"):
        books.under(total="CNY 5").reserve(micros=None)
    books.reserve(micros=None)
    assert books.ledger.list_spending(days=1)[0].unpriced == 1


def test_amounts_beyond_a_computers_small_numbers_are_kept(books: Books) -> None:
    capped = books.under(total="CNY 1000000000")
    entry_id = capped.reserve(micros=1_000 * YUAN)
    capped.move("settle", entry_id, micros=900_000_000 * YUAN)
    capped.reserve(micros=100_000_000 * YUAN)
    with pytest.raises(StudioError):
        capped.reserve(micros=1)
    (row,) = capped.ledger.list_spending(days=1)
    assert row.settled_micros + row.open_micros == 1_000_000_000 * YUAN


def test_spending_is_told_by_day_provider_and_currency(books: Books) -> None:
    today = books.ledger.today()
    books.reserve(micros=1)
    books.move("accept", books.reserve(micros=2))
    books.move("settle", books.reserve(micros=3), micros=4)
    books.move("doubt", books.reserve(micros=5))
    books.move("refund", books.reserve(micros=6))
    books.reserve(micros=7, provider="runway", currency="USD", owner="lele")
    books.backdate(books.reserve(micros=8), days=2)
    told = [
        (row.day, row.provider, row.calls, row.open_micros, row.settled_micros, row.uncertain_micros)
        for row in books.ledger.list_spending(days=3)
    ]
    yuan, dollars, older = (
        (today, "ark", 4, 3, 4, 5),
        (today, "runway", 1, 7, 0, 0),
        (today - timedelta(2), "ark", 1, 8, 0, 0),
    )
    assert told == [yuan, dollars, older]
    assert len(books.ledger.list_spending(days=2)) == 2
    assert [row.provider for row in books.ledger.list_spending(days=3, owner="lele")] == ["runway"]


def test_caps_are_told_with_what_counts_to_them(books: Books) -> None:
    capped = books.under(day="CNY 3", client_day="CNY 2", total="CNY 1000")
    entry_id = capped.reserve()
    capped.reserve(owner="lele")
    assert [(cap.scope, cap.spent_micros, cap.left_micros) for cap in capped.ledger.list_caps()] == [
        ("day", 2 * YUAN, YUAN), ("total", 2 * YUAN, 998 * YUAN)
    ]  # fmt: skip
    (own,) = capped.ledger.list_caps(owner="mimi")
    assert (own.scope, own.currency, own.cap_micros, own.left_micros) == ("client", "CNY", 2 * YUAN, YUAN)
    capped.move("settle", entry_id, micros=5 * YUAN)
    assert capped.ledger.list_caps(owner="mimi")[0].left_micros == 0


def test_an_erasure_keeps_the_books_without_the_person(books: Books) -> None:
    capped = books.under(day="CNY 9", client_day="CNY 2")
    open_one, settled = capped.reserve(), capped.reserve()
    capped.move("settle", settled, micros=YUAN)
    other = capped.reserve(owner="lele")
    ids = privacy.list_ids(capped.database, "mimi", limit=10)
    assert set(ids["ledger"]) == {open_one, settled}
    removed = capped.commit(lambda session: privacy.delete(capped.database, "mimi", ids, session=session))
    assert removed == {"ledger": 2, "spend_counters": 1}
    assert privacy.list_ids(capped.database, "mimi", limit=10) == {}
    assert "mimi" not in str([*capped.database["ledger"].find(), *capped.database["spend_counters"].find()])
    assert "job_id" not in capped.entry(settled)
    assert capped.entry(other)["owner"] == "lele"
    capped.move("settle", open_one, micros=4 * YUAN)
    assert capped.sum() == capped.counters()["day/CNY/today"] == 6 * YUAN
    assert "client/CNY/today/mimi" not in capped.counters()


def test_old_entries_no_longer_tell_whose_they_are(books: Books) -> None:
    old, older, young = books.reserve(), books.reserve(), books.reserve()
    books.backdate(old, days=3)
    books.backdate(older, days=4)
    before = books.ledger.today() - timedelta(days=2)
    assert [books.ledger.unlink_before(before, limit=1) for _ in range(3)] == [1, 1, 0]
    assert [entry["_id"] for entry in books.database["ledger"].find({"owner": "mimi"})] == [young]
    assert books.sum() == 3 * YUAN


@pytest.mark.parametrize("scope", Scope)
def test_a_cap_is_told_in_the_readers_language(scope: Scope) -> None:
    """A job stores the symbol only."""
    params: dict[str, str | float] = {"scope": scope.value}
    chinese = str(describe("SPEND_CAP_REACHED", params, "zh")["message"])
    english = str(describe("SPEND_CAP_REACHED", params, "en")["message"])
    assert scope.value not in chinese
    assert "费用上限" in chinese
    assert english.startswith("What ")


@pytest.mark.parametrize(("caps", "is_one_at_a_time"), [({"total": "CNY 5"}, True), ({}, False)])
def test_threads_take_turns_where_they_would_meet_at_a_counter(
    books: Books, caps: dict[str, str], *, is_one_at_a_time: bool
) -> None:
    ledger, inside = books.under(**caps).ledger, threading.Barrier(2)

    def meet() -> bool:
        """Whether another thread came in while this one was there."""
        with ledger.in_turn():
            try:
                inside.wait(timeout=0.5)
            except threading.BrokenBarrierError:
                return False
            return True

    with ThreadPoolExecutor(2) as pool:
        met = [pool.submit(meet) for _ in range(2)]
        assert [one.result() for one in met] == [not is_one_at_a_time] * 2
