"""A client sees what was paid for its own works, and what is left to spend, and nothing of anybody else's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from broker import run_in_transaction
from studio.records import new_id, owner_of
from tests.app.problems import problem_of
from tests.product import Product, serving_with

SPEND = "/api/v1/spend"


def pay(product: Product, http: httpx.Client, *, micros: int, settled: int | None = None, **fields: str) -> None:
    """A paid call for whoever calls with these headers."""
    owner = owner_of(http.headers["x-client-id"], product.env["OWNER_KEY"])
    entry_id, ledger = new_id(), product.studio.ledger
    told: dict[str, Any] = {"provider": "ark", "capability": "animator", "model": "m", "currency": "CNY", **fields}

    def work(session: Any) -> None:
        at = ledger.today()
        ledger.reserve(entry_id, owner=owner, job_id="job", micros=micros, at=at, session=session, **told)
        if settled is not None:
            ledger.settle(entry_id, settled, session=session)

    run_in_transaction(product.studio.client, work)


def test_a_client_sees_what_its_works_have_cost(http: httpx.Client, product: Product) -> None:
    pay(product, http, micros=3_000_000)
    pay(product, http, micros=5_000_000, settled=4_000_000)
    pay(product, http, micros=70_000, provider="openai", capability="writer", currency="USD")
    told = http.get(SPEND).raise_for_status().json()
    today = datetime.now(UTC).date()
    film = {"provider": "ark", "capability": "animator", "currency": "CNY", "calls": 2, "unpricedCalls": 0}
    words = {"provider": "openai", "capability": "writer", "currency": "USD", "calls": 1, "unpricedCalls": 0}
    days = {row.pop("day") for row in told["items"]}
    assert days <= {f"{today}", f"{today - timedelta(days=1)}"}
    assert told["items"] == [
        {**film, "estimatedMicros": 3_000_000, "settledMicros": 4_000_000, "uncertainMicros": 0},
        {**words, "estimatedMicros": 70_000, "settledMicros": 0, "uncertainMicros": 0},
    ]
    assert told["room"] == [], "there is no limit here"
    until = datetime.fromisoformat(told["resetsAt"]) - datetime.now(UTC)
    assert timedelta(0) < until + timedelta(seconds=60) < timedelta(days=1, seconds=120)


def test_nobody_sees_what_others_have_spent(http: httpx.Client, product: Product) -> None:
    pay(product, http, micros=3_000_000)
    with serving_with(product, spend_cap_client_day={"CNY": 9_000_000}, spend_cap_day={"CNY": 1}) as url:
        told = httpx.get(url + SPEND, headers={"X-Client-Id": new_id()}).raise_for_status().json()
    assert told["items"] == []
    assert [(room["spentMicros"], room["leftMicros"]) for room in told["room"]] == [(0, 9_000_000)]


def test_a_client_sees_what_it_may_still_spend_before_it_orders(http: httpx.Client, product: Product) -> None:
    pay(product, http, micros=3_000_000)
    pay(product, http, micros=9_000_000, settled=2_000_000)
    caps = {"CNY": 20_000_000, "USD": 1_000_000}
    with serving_with(product, spend_cap_client_day=caps) as url:
        told = httpx.get(url + SPEND, headers=http.headers).raise_for_status().json()
    assert told["room"] == [
        {"currency": "CNY", "capMicros": 20_000_000, "spentMicros": 5_000_000, "leftMicros": 15_000_000},
        {"currency": "USD", "capMicros": 1_000_000, "spentMicros": 0, "leftMicros": 1_000_000},
    ]


@pytest.mark.parametrize("days", ["0", "-1", "401", "many"])
def test_a_number_of_days_that_makes_no_sense_is_refused(http: httpx.Client, days: str) -> None:
    problem_of(http.get(SPEND, params={"days": days}), "INVALID_INPUT")


def test_who_is_nobody_has_spent_nothing(web: str) -> None:
    problem_of(httpx.get(web + SPEND), "CLIENT_ID_REQUIRED")
