"""How the server finds the pages of a gallery: by its plans, not by its times."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from studio.gallery import Choice, Place
from tests.product import Product

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 600
LIMIT = 20


@pytest.fixture(scope="module")
def owner(product: Product) -> Iterator[str]:
    """Somebody with six hundred artworks: every tenth a favourite, every fifth deleted."""
    name = secrets.token_urlsafe(18)
    artworks = product.studio.database["artworks"]
    artworks.insert_many(
        {
            "_id": secrets.token_urlsafe(16),
            "owner": name,
            "title": f"picture {number}",
            "description": "",
            "cover_asset_id": None,
            "audio_asset_id": None,
            "status": "ready",
            "favourite": number % 10 == 0,
            "deleted_at": BEGIN + timedelta(days=number) if number % 5 == 4 else None,
            # Three of every moment.
            "created_at": BEGIN + timedelta(hours=number // 3),
            "updated_at": BEGIN,
        }
        for number in range(COUNT)
    )
    yield name
    artworks.delete_many({"owner": name})


def explained(product: Product, owner: str, choice: Choice, after: Place | None = None) -> dict[str, Any]:
    query = choice.query(owner, after=after)
    found = product.studio.database["artworks"].find(query).sort(choice.order).limit(LIMIT)
    stats: dict[str, Any] = found.explain()["executionStats"]
    return stats


def stages(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "stage" in node:
            yield node["stage"]
        for value in node.values():
            yield from stages(value)
    elif isinstance(node, list):
        for value in node:
            yield from stages(value)


CHOICES = {
    "gallery": Choice(),
    "favourites": Choice(favourite=True),
    "bin": Choice(deleted=True),
    "time": Choice(since=BEGIN + timedelta(hours=20), until=BEGIN + timedelta(hours=190)),
}


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_a_page_is_read_off_an_index_wherever_it_is(product: Product, owner: str, choice: Choice) -> None:
    place, count = None, 0
    while True:
        stats = explained(product, owner, choice, place)
        used = set(stages(stats["executionStages"]))
        assert "IXSCAN" in used
        assert not used & {"SORT", "COLLSCAN"}
        # Three of the place's own moment, and what two scans that are merged read ahead.
        assert stats["totalKeysExamined"] <= LIMIT + 5
        page = product.studio.database["artworks"].find(choice.query(owner, after=place)).sort(choice.order)
        found = page.limit(LIMIT).to_list()
        count += len(found)
        if len(found) < LIMIT:
            break
        place = Place(found[-1][choice.time], found[-1]["_id"])
    assert count > 2 * LIMIT


def test_a_search_looks_no_deeper_than_it_was_told(product: Product, owner: str) -> None:
    artworks, choice = product.studio.artworks, Choice(words="picture 1")
    deepest = artworks.get_ahead(owner, choice, after=None, steps=50).now()
    assert deepest
    bound = Place(deepest.created_at, deepest.id)
    query = choice.query(owner, after=None, down_to=bound)
    stats = product.studio.database["artworks"].find(query).sort(choice.order).explain()["executionStats"]
    assert "SORT" not in set(stages(stats["executionStages"]))
    assert stats["totalDocsExamined"] <= 50 + 3
    assert artworks.get_ahead(owner, choice, after=bound, steps=COUNT).now() is None


def test_a_search_that_goes_on_finds_everything_once(product: Product, owner: str) -> None:
    artworks, choice = product.studio.artworks, Choice(words="PICTURE 1")
    titles: list[str] = []
    place = None
    while True:
        deepest = artworks.get_ahead(owner, choice, after=place, steps=50).now()
        bound = Place(deepest.created_at, deepest.id) if deepest else None
        titles += [
            found.title for found in artworks.list_page(owner, choice, after=place, down_to=bound, limit=0).now()
        ]
        if bound is None:
            break
        place = bound
    expected = [f"picture {number}" for number in range(COUNT) if str(number)[0] == "1" and number % 5 != 4]
    assert sorted(titles) == sorted(expected)
