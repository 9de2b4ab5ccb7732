from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from studio.request_counters import COLLECTION, RequestCounters, Window
from tests.product import Product

T = TypeVar("T")


@pytest.fixture
def counters(product: Product) -> RequestCounters:
    return RequestCounters(product.studio.loops)


@pytest.fixture
def who() -> str:
    return secrets.token_hex(8)


def run(product: Product, *counts: Coroutine[Any, Any, Window]) -> list[Window]:
    """What the counts return that are made at once, on an event loop of their own."""

    async def scenario() -> list[Window]:
        try:
            return await asyncio.gather(*counts)
        finally:
            await product.studio.loops.close()

    return asyncio.run(scenario())


def test_calls_at_once_are_counted_one_by_one(product: Product, counters: RequestCounters, who: str) -> None:
    windows = run(product, *(counters.count("changes", who, window_s=60) for _ in range(200)))
    assert sorted(window.calls for window in windows) == list(range(1, 201))
    assert all(59 < window.left_s <= 60 for window in windows)


def test_a_counter_counts_one_thing_of_one_caller(product: Product, counters: RequestCounters, who: str) -> None:
    windows = run(
        product,
        counters.count("changes", who, window_s=60),
        counters.count("uploads", who, window_s=60),
        counters.count("changes", f"not {who}", window_s=60),
        counters.count("changes", who, window_s=3600),
    )
    assert Counter(window.calls for window in windows) == {1: 4}


def test_a_window_that_has_ended_gives_way_to_a_new_one(product: Product, counters: RequestCounters, who: str) -> None:
    run(product, *(counters.count("changes", who, window_s=60) for _ in range(3)))
    stored = product.studio.database[COLLECTION]
    # Not the window's start: the TTL monitor, which looks once a minute, may or may not come first.
    stored.update_one({"_id": f"changes 60 {who}"}, [{"$set": {"expires_at": "$$NOW"}}])
    [window] = run(product, counters.count("changes", who, window_s=60))
    assert window.calls == 1
    assert window.left_s > 59


def test_counters_are_forgotten_when_their_window_has_ended(product: Product) -> None:
    expiry = product.studio.database[COLLECTION].index_information()["expiry"]
    assert expiry["key"] == [("expires_at", 1)]
    assert expiry["expireAfterSeconds"] == 0
