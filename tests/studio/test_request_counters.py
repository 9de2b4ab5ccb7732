from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from pymongo.errors import BulkWriteError

from broker.errors import is_passing
from studio.request_counters import COLLECTION, Counted, Limit, RequestCounters
from tests.product import Product

LIMIT = Limit(calls=20, window_s=60)


@pytest.fixture
def counters(product: Product) -> RequestCounters:
    return RequestCounters(product.studio.loops)


@pytest.fixture
def mine() -> Counted:
    return Counted("changes", secrets.token_hex(8), LIMIT)


def run(product: Product, *counts: Coroutine[Any, Any, int]) -> list[int]:
    """What the counts return that are made at once, on an event loop of their own."""

    async def scenario() -> list[int]:
        try:
            return await asyncio.gather(*counts)
        finally:
            await product.studio.loops.close()

    return asyncio.run(scenario())


def calls_on(product: Product, counters: Sequence[Counted]) -> list[int]:
    found = {each["_id"]: each["count"] for each in product.studio.database[COLLECTION].find()}
    return [found.get(counted.id, 0) for counted in counters]


def test_of_calls_at_once_as_many_are_let_through_as_may_be(
    product: Product, counters: RequestCounters, mine: Counted
) -> None:
    waits = run(product, *(counters.count([mine]) for _ in range(100)))
    assert Counter(bool(wait) for wait in waits) == {False: 20, True: 80}
    assert all(30 < wait <= 60 for wait in waits if wait)
    assert calls_on(product, [mine]) == [20], "what is refused changes nothing"


def test_what_is_refused_on_one_counter_is_not_counted_on_the_next(
    product: Product, counters: RequestCounters, mine: Counted
) -> None:
    house = Counted("changes", f"house of {mine.who}", Limit(25, 60))
    neighbour = Counted("changes", f"neighbour of {mine.who}", LIMIT)
    assert Counter(map(bool, run(product, *(counters.count([mine, house]) for _ in range(30))))) == {
        False: 20,
        True: 10,
    }
    assert calls_on(product, [mine, house]) == [20, 20]
    waits = run(product, *(counters.count([neighbour, house]) for _ in range(10)))
    assert Counter(map(bool, waits)) == {False: 5, True: 5}
    assert calls_on(product, [neighbour, house]) == [10, 25]


def test_a_counter_counts_one_thing_of_one_caller(product: Product, counters: RequestCounters, mine: Counted) -> None:
    others = [
        mine._replace(what="uploads"),
        mine._replace(who=f"not {mine.who}"),
        mine._replace(limit=Limit(20, 3600)),
    ]
    run(product, counters.count([mine, *others]), counters.count([mine]))
    assert calls_on(product, [mine, *others]) == [2, 1, 1, 1]


def test_a_window_that_has_ended_gives_way_to_a_new_one(
    product: Product, counters: RequestCounters, mine: Counted
) -> None:
    assert any(run(product, *(counters.count([mine]) for _ in range(21))))
    # The TTL monitor, which looks once a minute, may or may not come first.
    product.studio.database[COLLECTION].update_one({"_id": mine.id}, [{"$set": {"expires_at": "$$NOW"}}])
    assert run(product, counters.count([mine])) == [0]
    assert calls_on(product, [mine]) == [1]


def test_counters_are_forgotten_when_their_window_has_ended(product: Product) -> None:
    expiry = product.studio.database[COLLECTION].index_information()["expiry"]
    assert expiry["key"] == [("expires_at", 1)]
    assert expiry["expireAfterSeconds"] == 0


def test_a_count_that_was_made_and_cut_short_is_no_refusal(
    product: Product, counters: RequestCounters, mine: Counted
) -> None:
    answer = {"failCommands": ["update"], "writeConcernError": {"code": 11601, "errmsg": "operation was interrupted"}}
    product.studio.client.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=answer)
    with pytest.raises(BulkWriteError) as error:
        run(product, counters.count([mine]))
    assert is_passing(error.value)
    assert calls_on(product, [mine]) == [1]
