from __future__ import annotations

import pytest
from litestar import Litestar, get
from litestar.di import NamedDependency, Provide
from litestar.routes import HTTPRoute

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
    )


def batches(app: Litestar) -> list[list[str]]:
    (route,) = app.routes
    assert isinstance(route, HTTPRoute)
    _, model = route.route_handler_map["GET"]
    return [sorted(dependency.key for dependency in batch) for batch in model.dependency_batches]


@pytest.mark.usefixtures("product")
def test_dependencies_are_resolved_one_by_one_and_those_they_need_before_them(app: Litestar) -> None:
    # Imported here, because with it come the actors, and they are wired by the settings of the tests.
    from app.dependencies import resolve_in_turn

    assert batches(app) == [["one", "two"], ["both"]]
    resolve_in_turn(app)
    *first, last = batches(app)
    assert (sorted(first), last) == ([["one"], ["two"]], ["both"])
