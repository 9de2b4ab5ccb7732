from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from studio.records import owner_of
from studio.request_counters import COLLECTION
from tests.app.problems import problem_of
from tests.product import Product, serving_with

LIMITS = {
    "limit_changes_per_minute": 5,
    "limit_uploads_per_minute": 4,
    "limit_jobs_per_hour": 2,
    "limit_address_factor": 2,
    "trusted_proxies": 1,
}
PRESIGN = {"type": "image", "mime": "image/png", "size": 1}


@pytest.fixture(scope="module")
def urls(product: Product) -> Iterator[list[str]]:
    """Two web processes of one deployment."""
    with serving_with(product, **LIMITS) as one, serving_with(product, **LIMITS) as other:
        yield [one, other]


@pytest.fixture
def address() -> str:
    """One that no other test has."""
    return f"2001:db8:{secrets.randbelow(65536):x}:{secrets.randbelow(65536):x}::1"


@pytest.fixture
def family(urls: list[str], address: str) -> Iterator[httpx.Client]:
    with somebody(urls[0], address) as one:
        yield one


@contextmanager
def somebody(url: str, address: str, client_id: str = "") -> Iterator[httpx.Client]:
    headers = {"X-Client-Id": client_id or secrets.token_urlsafe(16), "X-Forwarded-For": address}
    with httpx.Client(base_url=url, headers=headers) as one:
        yield one


def statuses(answers: list[httpx.Response]) -> dict[int, int]:
    found = [answer.status_code for answer in answers]
    return {status: found.count(status) for status in found}


def change(client: httpx.Client, _number: int = 0) -> httpx.Response:
    return client.post("/artworks", json={"title": "Fox"})


def test_a_client_that_asks_too_often_hears_when_to_come_again(family: httpx.Client) -> None:
    assert statuses([change(family) for _ in range(5)]) == {201: 5}
    refused = family.post("/artworks", json={"title": "Fox"}, headers={"Accept-Language": "zh"})
    problem = problem_of(refused, "RATE_LIMITED", "zh")
    wait_s = int(refused.headers["retry-after"])
    assert 1 <= wait_s <= 60
    assert f"{wait_s} 秒" in problem["nextStep"]


def test_processes_count_together_and_exactly(urls: list[str], address: str) -> None:
    client_id = secrets.token_urlsafe(16)
    with (
        somebody(urls[0], address, client_id) as here,
        somebody(urls[1], address, client_id) as there,
        ThreadPoolExecutor(8) as pool,
    ):
        assert statuses(list(pool.map(change, 6 * [here, there]))) == {201: 5, 429: 7}


def test_each_kind_of_call_has_a_limit_of_its_own(family: httpx.Client) -> None:
    uploads = [family.post("/upload/presign", json=PRESIGN) for _ in range(6)]
    jobs = [family.post("/generation/jobs", json={"text": "A fox."}) for _ in range(3)]
    assert statuses(uploads) == {201: 4, 429: 2}
    assert statuses(jobs) == {422: 2, 429: 1}, "a refused order is a call too"
    assert 60 < int(jobs[-1].headers["retry-after"]) <= 3600
    assert statuses([change(family) for _ in range(5)]) == {201: 5}


def test_reading_is_not_counted(family: httpx.Client) -> None:
    assert statuses([change(family) for _ in range(6)]) == {201: 5, 429: 1}
    assert statuses([family.get("/gallery") for _ in range(20)]) == {200: 20}


def test_families_at_one_address_share_a_larger_limit(urls: list[str], address: str) -> None:
    answers = []
    for _ in range(4):
        # Another address of the same household.
        with somebody(urls[0], f"{address}{secrets.randbelow(999)}") as client:
            answers += [change(client) for _ in range(4)]
    assert statuses(answers) == {201: 10, 429: 6}


def test_what_a_client_is_refused_is_not_held_against_its_neighbours(urls: list[str], address: str) -> None:
    with somebody(urls[0], address) as script, somebody(urls[0], address) as family:
        assert statuses([change(script) for _ in range(20)]) == {201: 5, 429: 15}
        assert statuses([change(family) for _ in range(5)]) == {201: 5}


@pytest.mark.parametrize(
    ("headers", "symbol"),
    [
        ({"X-Client-Id": "short"}, "CLIENT_ID_INVALID"),
        ({"Authorization": "Bearer nobody"}, "TOKEN_INVALID"),
        ({"Origin": "https://evil.example"}, "ORIGIN_REFUSED"),
    ],
)
def test_nothing_is_counted_of_a_call_that_was_refused_before(
    family: httpx.Client, product: Product, headers: dict[str, str], symbol: str
) -> None:
    before = counters(product)
    problem_of(family.post("/artworks", json={}, headers=headers), symbol)
    assert family.post("/nowhere").status_code == 404
    assert not new_counters(product, before)


def test_a_body_is_not_read_of_a_call_too_many(family: httpx.Client) -> None:
    for _ in range(5):
        change(family)
    problem_of(family.post("/artworks", content=b"no json at all"), "RATE_LIMITED")


def test_neither_client_nor_address_can_be_told_from_a_counter(
    family: httpx.Client, product: Product, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = counters(product)
    change(family)
    today = new_counters(product, before)
    assert len(today) == 2
    for secret in (family.headers["x-client-id"], address, owner_of(family.headers["x-client-id"], "tests")):
        assert secret not in str(today)

    tomorrow = SimpleNamespace(now=lambda tz: datetime.now(tz) + timedelta(days=1))
    monkeypatch.setattr("app.limits.datetime", tomorrow)
    change(family)
    assert len(new_counters(product, before)) == 4, "whoever comes again tomorrow is somebody else"


def counters(product: Product) -> list[dict[str, Any]]:
    return list(product.studio.database[COLLECTION].find())


def new_counters(product: Product, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was counted since, whatever expired meanwhile."""
    return [counter for counter in counters(product) if counter not in before]


def test_init_tells_the_limits(family: httpx.Client) -> None:
    assert family.post("/init").json()["rateLimits"] == {
        "changes": {"calls": 5, "windowS": 60},
        "uploads": {"calls": 4, "windowS": 60},
        "jobs": {"calls": 2, "windowS": 3600},
    }
