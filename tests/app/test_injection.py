from __future__ import annotations

import pytest
from litestar import Litestar, get
from litestar.di import NamedDependency, Provide
from litestar.routes import HTTPRoute

from app.injection import resolve_in_turn

Number = NamedDependency[int]


def add(one: Number, two: Number) -> int:
    return one + two


@get("/")
async def handler(one: Number, two: Number, both: Number) -> list[int]:
    return [one, two, both]


@pytest.fixture
def app() -> Litestar:
    return Litestar(
        [handler],
        dependencies={
            "both": Provide(add, sync_to_thread=False),
            "one": Provide(lambda: 1, sync_to_thread=False),
            "two": Provide(lambda: 2, sync_to_thread=False),
        },
        openapi_config=None,
        # Its own would take over what the whole process logs.
        logging_config=None,
    )


def batches(app: Litestar) -> list[list[str]]:
    (route,) = app.routes
    assert isinstance(route, HTTPRoute)
    _, model = route.route_handler_map["GET"]
    return [sorted(dependency.key for dependency in batch) for batch in model.dependency_batches]


def test_dependencies_are_resolved_one_by_one_and_those_they_need_before_them(app: Litestar) -> None:
    assert batches(app) == [["one", "two"], ["both"]]
    resolve_in_turn(app)
    *first, last = batches(app)
    assert (sorted(first), last) == ([["one"], ["two"]], ["both"])
