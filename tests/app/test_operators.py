"""What a database would read as an operator is only words here, wherever a call has room for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.client import Client, Json
from tests.app.described import Operation, call_of, operations
from tests.product import Product, new_artwork, new_client

OPERATORS: list[Any] = [
    {"$gt": ""},
    {"$ne": None},
    {"$where": "sleep(1000)"},
    {"$regex": ".*"},
    ["$$ROOT"],
    "$where",
    "$$NOW",
    "{$ne: null}",
    '{"$gt": ""}',
    "a.$[].b",
    "deleted_at\0",
]


@pytest.fixture(scope="module")
def described(web: str) -> list[Operation]:
    found = operations(httpx.get(f"{web}/openapi.json").json())
    # It would take away what the others are tried with.
    return [operation for operation in found if operation.path != "/api/v1/privacy/data"]


@pytest.fixture(scope="module")
def neighbour(web: str, drawing: Path) -> Iterator[Json]:
    """Somebody with an artwork, which no operator may bring to light."""
    with new_client(web) as stranger:
        yield new_artwork(stranger, drawing, story="A secret that no operator opens.")


def answer_of(http: httpx.Client, call: dict[str, Any]) -> tuple[int, str]:
    """Status and beginning of an answer; a stream is not read."""
    with http.stream(**call) as answer:
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return answer.status_code, ""
        return answer.status_code, answer.read().decode("utf-8", "replace")


@pytest.mark.parametrize("operator", OPERATORS, ids=json.dumps)
def test_operators_are_data_in_every_field_and_parameter(
    http: httpx.Client, client: Client, described: list[Operation], neighbour: Json, operator: Any
) -> None:
    words = operator if isinstance(operator, str) else json.dumps(operator)
    for operation in described:
        ids = {slot: quote(words, safe="") for slot in operation.slots if slot.where == "path"}
        filled = call_of(operation, ids)
        calls = [{**filled, "params": dict.fromkeys(operation.query, words)}] if operation.query else [filled]
        if "json" in filled:
            calls += [{**filled, "json": {**filled["json"], name: operator}} for name in operation.fields]
            calls.append({**filled, "json": operator})
        for call in calls:
            status, text = answer_of(http, call)
            assert status < 500, f"{operation}: {call}"
            assert neighbour["artworkId"] not in text
            assert "no operator opens" not in text


def test_an_operator_in_a_query_parameter_is_no_condition(http: httpx.Client, client: Client, drawing: Path) -> None:
    new_artwork(client, drawing, story="A fox flies.")
    for parameters in ("q[$ne]=x", "q=%7B%22%24ne%22%3A1%7D", "status[$gt]=", "favourite[$exists]=true"):
        answer = http.get(f"/gallery?{parameters}")
        found = answer.json().get("items", [])
        assert answer.status_code == 200
        # Brackets make a name that nobody knows, and words are looked for as words.
        assert len(found) == (0 if parameters.startswith("q=") else 1)


def test_words_with_operators_are_stored_as_they_are(http: httpx.Client, product: Product) -> None:
    title = '{"$set": {"owner": "me"}}'
    made = http.post("/artworks", json={"title": title, "description": "$$ROOT"}).json()
    stored = product.studio.database["artworks"].find_one({"_id": made["artworkId"]})
    assert stored is not None
    assert (stored["title"], stored["description"]) == (title, "$$ROOT")
    http.patch(f"/artworks/{made['artworkId']}", json={"title": "$title"})
    changed = product.studio.database["artworks"].find_one({"_id": made["artworkId"]})
    assert changed is not None
    assert changed["title"] == "$title"
