from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.actors.belongings import let_time_pass
from tests.app.traces import Traces
from tests.product import Product
from tests.waiting import eventually


@pytest.fixture
def seen(product: Product, traces: Traces) -> Any:
    """When the client was here last, as far as the database knows."""

    def look() -> datetime | None:
        document = product.studio.database["clients"].find_one({"_id": traces.owner})
        return document["last_seen_at"] if document else None

    return look


def test_whoever_only_reads_is_not_made_known(http: httpx.Client, seen: Any) -> None:
    for _ in range(3):
        assert http.get("/gallery").is_success
    assert seen() is None


def test_whoever_changes_something_is_made_known(http: httpx.Client, seen: Any) -> None:
    assert http.post("/upload/presign", json={"type": "image", "mime": "image/png", "size": 1}).is_success
    eventually(seen)


def test_a_look_at_the_gallery_is_noted_once_a_day(
    http: httpx.Client, seen: Any, product: Product, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    http.post("/init")
    http.get("/gallery")
    let_time_pass(product, "clients", traces.owner, "last_seen_at", days=100)
    http.get("/gallery")
    http.get("/gallery")
    assert datetime.now(UTC) - seen() > timedelta(days=99), "it was noted today already"
    monkeypatch.setattr("app.sightings._today", lambda: date(2999, 1, 1))
    http.get("/gallery")
    eventually(lambda: datetime.now(UTC) - seen() < timedelta(minutes=1))
