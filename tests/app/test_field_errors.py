from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any

import pytest
from litestar import Litestar, get, post
from litestar.exceptions import ValidationException
from litestar.params import HeaderParameter, JSONBody, QueryParameter
from litestar.testing import TestClient
from msgspec import Meta, Struct, field

from app.errors import EXCEPTION_HANDLERS
from app.payloads import Id

SECRET = "the fox that nobody may hear of"


class Colour(StrEnum):
    RED = "red"


class Leaf(Struct, frozen=True, kw_only=True, rename="camel"):
    leaf_name: Annotated[str, Meta(min_length=1, max_length=3)]
    veins: Annotated[int, Meta(ge=1, le=9)] = 1


class Tree(Struct, frozen=True, kw_only=True, rename="camel"):
    tallest_leaf: Leaf
    all_leaves: Annotated[list[Leaf], Meta(max_length=2)] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    planted_at: datetime | None = None
    planted_on: date | None = None
    colour: Colour | None = None
    height: Annotated[float, Meta(gt=0, lt=100)] | None = None
    is_old: bool = False
    note: str | None = None
    data_id: Id | None = None


@post("/trees")
async def plant(data: JSONBody[Tree]) -> None: ...


@get("/trees")
async def look(
    at_most: Annotated[int, QueryParameter(name="atMost", ge=1, le=5)],
    since: Annotated[datetime | None, QueryParameter(name="from")] = None,
    last: Annotated[int, HeaderParameter(name="Last-Event-ID", ge=0)] = 0,
) -> None: ...


@pytest.fixture(scope="module")
def garden() -> Iterator[TestClient[Litestar]]:
    with TestClient(Litestar([plant, look], exception_handlers=EXCEPTION_HANDLERS, logging_config=None)) as client:
        yield client


def leaf(**fields: Any) -> dict[str, Any]:
    return {"leafName": "oak", **fields}


def tree(**fields: Any) -> dict[str, Any]:
    return {"tallestLeaf": leaf(), **fields}


@pytest.mark.parametrize(
    ("body", "field", "zh", "en"),
    [
        (None, "body", "此项必填。", "This is required."),
        ([], "body", "应为 JSON 对象。", "This must be a JSON object."),
        ({}, "tallestLeaf", "此项必填。", "This is required."),
        (tree(tallestLeaf={}), "tallestLeaf.leafName", "此项必填。", "This is required."),
        (tree(tallestLeaf=leaf(veins="x")), "tallestLeaf.veins", "应为整数。", "This must be a whole number."),
        (tree(tallestLeaf=leaf(veins=0)), "tallestLeaf.veins", "不能小于 1。", "This must be 1 or more."),
        (tree(allLeaves=[leaf(), leaf(veins=10)]), "allLeaves[1].veins", "不能大于 9。", "This must be 9 or less."),
        (tree(allLeaves=[leaf(leafName="")]), "allLeaves[0].leafName", "不能为空。", "This must not be empty."),
        (
            tree(tallestLeaf=leaf(leafName=SECRET)),
            "tallestLeaf.leafName",
            "最多 3 个字符。",
            "At most 3 characters are allowed.",
        ),
        (tree(allLeaves=3 * [leaf()]), "allLeaves", "最多 2 项。", "At most 2 entries are allowed."),
        (tree(allLeaves={}), "allLeaves", "应为列表。", "This must be a list."),
        (tree(counts={SECRET: SECRET}), "counts[...]", "应为整数。", "This must be a whole number."),
        (tree(height=0), "height", "必须大于 0。", "This must be more than 0."),
        (tree(height=100), "height", "必须小于 100。", "This must be less than 100."),
        (tree(height=SECRET), "height", "应为数字。", "This must be a number."),
        (tree(isOld=SECRET), "isOld", "应为 true 或 false。", "This must be true or false."),
        (tree(note={"$gt": ""}), "note", "应为文本。", "This must be text."),
        (tree(colour=SECRET), "colour", "不是可选的值。", "This is not one of the possible values."),
        (
            tree(plantedAt=SECRET),
            "plantedAt",
            "应为日期时间，例如 2026-01-31T08:00:00Z。",
            "This must be a time such as 2026-01-31T08:00:00Z.",
        ),
        (tree(plantedOn=SECRET), "plantedOn", "应为日期，例如 2026-01-31。", "This must be a date such as 2026-01-31."),
        (tree(dataId="no id at all"), "dataId", "格式不正确。", "This does not have the right form."),
    ],
)
def test_a_field_is_named_as_callers_know_it_and_in_their_language(
    garden: TestClient[Litestar], body: Any, field: str, zh: str, en: str
) -> None:
    for language, message in (("zh", zh), ("en", en)):
        answer = garden.post("/trees", json=body, headers={"Accept-Language": language})
        assert answer.json()["errors"] == [{"field": field, "message": message}]
        assert SECRET not in answer.text


def test_parameters_are_named_as_callers_know_them(garden: TestClient[Litestar]) -> None:
    answer = garden.get("/trees", params={"atMost": 9, "from": SECRET}, headers={"Last-Event-ID": "-1"})
    assert {error["field"]: error["message"] for error in answer.json()["errors"]} == {
        "atMost": "This must be 5 or less.",
        "from": "This must be a time such as 2026-01-31T08:00:00Z.",
        "Last-Event-ID": "This must be 0 or more.",
    }


def test_a_parameter_that_is_missing_is_named(garden: TestClient[Litestar]) -> None:
    assert garden.get("/trees").json()["errors"] == [{"field": "atMost", "message": "This is required."}]


def test_what_is_not_understood_is_only_said_to_be_wrong(garden: TestClient[Litestar]) -> None:
    @get("/stumble")
    async def stumble() -> None:
        raise ValidationException(SECRET, extra=[{"key": "note", "message": SECRET}])

    with TestClient(Litestar([stumble], exception_handlers=EXCEPTION_HANDLERS, logging_config=None)) as client:
        answer = client.get("/stumble")
    assert answer.json()["errors"] == [{"field": "note", "message": "This value is not accepted."}]
    assert SECRET not in answer.text
