"""Rate limiters and barriers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dramatiq
import pytest
from dramatiq import Broker
from dramatiq.errors import RateLimitExceeded
from dramatiq.rate_limits import (
    Barrier,
    BucketRateLimiter,
    ConcurrentRateLimiter,
    RateLimiterBackend,
    WindowRateLimiter,
)

from tests.broker.conformance.conftest import Finish
from tests.waiting import eventually

AN_HOUR_MS = 3_600_000


def is_granted(limiter: Any) -> bool:
    """Acquire, and release at once."""
    with limiter.acquire(raise_on_failure=False) as acquired:
        return bool(acquired)


def test_mutex_is_held_by_one(limits: RateLimiterBackend) -> None:
    mutex = ConcurrentRateLimiter(limits, "mutex")
    with mutex.acquire() as acquired:
        assert acquired
        assert not is_granted(mutex)
        assert is_granted(ConcurrentRateLimiter(limits, "another"))
        with pytest.raises(RateLimitExceeded), mutex.acquire():
            pytest.fail("it was acquired twice")
    assert is_granted(mutex)
    assert is_granted(mutex)


def test_limit_is_the_number_of_holders(limits: RateLimiterBackend) -> None:
    three = ConcurrentRateLimiter(limits, "three", limit=3)
    with three.acquire(), three.acquire():
        with three.acquire():
            assert not is_granted(three)
        assert is_granted(three)


def test_error_while_it_is_held_releases_a_limiter(limits: RateLimiterBackend) -> None:
    mutex = ConcurrentRateLimiter(limits, "mutex")
    with pytest.raises(ValueError, match="inside"), mutex.acquire():
        raise ValueError("inside")
    assert is_granted(mutex)


def test_holder_that_never_releases_loses_it_after_a_time(limits: RateLimiterBackend) -> None:
    mutex = ConcurrentRateLimiter(limits, "mutex", ttl=100)
    mutex.acquire().__enter__()
    eventually(lambda: is_granted(mutex))


def test_limit_is_never_exceeded_by_rivals(limits: RateLimiterBackend) -> None:
    two = ConcurrentRateLimiter(limits, "two", limit=2)
    inside: list[int] = []
    most: list[int] = []

    def enter(number: int) -> None:
        with two.acquire(raise_on_failure=False) as acquired:
            if acquired:
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    with ThreadPoolExecutor(8) as rivals:
        list(rivals.map(enter, range(80)))
    assert most
    assert max(most) <= 2
    with two.acquire(), two.acquire():
        assert not is_granted(two)


def test_bucket_grants_so_many_in_its_time(limits: RateLimiterBackend) -> None:
    bucket = BucketRateLimiter(limits, "bucket", limit=3, bucket=100 * 365 * 24 * AN_HOUR_MS)
    assert [is_granted(bucket) for _ in range(5)] == [True, True, True, False, False]


def test_next_bucket_grants_again(limits: RateLimiterBackend) -> None:
    bucket = BucketRateLimiter(limits, "bucket", bucket=50)
    assert is_granted(bucket)
    eventually(lambda: is_granted(bucket))


def test_window_grants_so_many_in_its_time(limits: RateLimiterBackend) -> None:
    # As wide as a slow machine may need.
    window = WindowRateLimiter(limits, "window", limit=3, window=60)
    assert [is_granted(window) for _ in range(5)] == [True, True, True, False, False]


def test_window_that_has_passed_grants_again(limits: RateLimiterBackend) -> None:
    window = WindowRateLimiter(limits, "window", limit=1, window=1)
    assert is_granted(window)
    eventually(lambda: is_granted(window))


def test_actors_share_a_mutex(broker: Broker, limits: RateLimiterBackend, finish: Finish, runs: list[Any]) -> None:
    mutex = ConcurrentRateLimiter(limits, "mutex")
    inside: list[int] = []

    @dramatiq.actor(max_retries=None)
    def one_at_a_time(number: int) -> None:
        with mutex.acquire():
            inside.append(number)
            runs.append(len(inside))
            threading.Event().wait(0.01)
            inside.remove(number)

    for number in range(6):
        one_at_a_time.send(number)
    finish()
    assert runs == [1] * 6


def test_barrier_is_reached_by_its_last_party(limits: RateLimiterBackend) -> None:
    barrier = Barrier(limits, "barrier", ttl=AN_HOUR_MS)
    assert barrier.create(parties=3)
    assert not barrier.create(parties=2)
    assert [barrier.wait(block=False) for _ in range(3)] == [False, False, True]


def test_barriers_are_kept_apart(limits: RateLimiterBackend) -> None:
    one, two = Barrier(limits, "one"), Barrier(limits, "two")
    assert one.create(1)
    assert two.create(2)
    assert one.wait(block=False)
    assert not two.wait(block=False)


def test_party_that_waits_is_let_through_by_the_last(limits: RateLimiterBackend) -> None:
    barrier = Barrier(limits, "barrier")
    barrier.create(parties=2)
    with ThreadPoolExecutor(2) as parties:
        one = parties.submit(barrier.wait, timeout=30_000)
        if hasattr(limits, "conditions"):
            # It would miss a notification that comes before it waits.
            eventually(lambda: limits.conditions[barrier.key_events]._waiters)
        other = parties.submit(barrier.wait, timeout=30_000)
        assert one.result()
        assert other.result()


def test_party_that_waits_in_vain_is_told_so(limits: RateLimiterBackend) -> None:
    barrier = Barrier(limits, "barrier")
    barrier.create(parties=2)
    assert not barrier.wait(timeout=1)


def test_parties_count_exactly_when_they_race(limits: RateLimiterBackend) -> None:
    barrier = Barrier(limits, "barrier")
    barrier.create(parties=40)
    with ThreadPoolExecutor(8) as parties:
        reached = list(parties.map(lambda _: barrier.wait(block=False), range(40)))
    assert reached.count(True) == 1
