from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.product import Product, new_client


def page(http: httpx.Client, **params: Any) -> tuple[list[str], str | None]:
    shown = http.get("/gallery", params=params).json()
    return [item["title"] for item in shown["items"]], shown["nextCursor"]


def walk(http: httpx.Client, limit: int) -> list[str]:
    """The titles of all pages, one after the other."""
    titles, cursor = page(http, limit=limit)
    while cursor:
        more, cursor = page(http, limit=limit, cursor=cursor)
        titles += more
    return titles


def draw(http: httpx.Client, *titles: str) -> None:
    for title in titles:
        http.post("/artworks", json={"title": title})


def test_a_new_client_has_an_empty_gallery(http: httpx.Client) -> None:
    assert http.get("/gallery").json() == {"items": [], "nextCursor": None}


def test_the_newest_comes_first(http: httpx.Client, traces: Traces) -> None:
    draw(http, "one", "two", "three")
    times = {artwork["title"]: artwork["created_at"] for artwork in traces.documents("artworks")}
    titles, _ = page(http)
    assert sorted(titles) == ["one", "three", "two"]
    assert [times[title] for title in titles] == sorted(times.values(), reverse=True)


def test_everybody_sees_their_own(http: httpx.Client, web: str) -> None:
    draw(http, "mine")
    with new_client(web) as stranger:
        draw(stranger._api, "theirs")
        assert walk(stranger._api, 10) == ["theirs"]
    assert walk(http, 10) == ["mine"]


@pytest.mark.parametrize(("count", "limit"), [(5, 2), (4, 2), (1, 1), (3, 100)])
def test_pages_hold_everything_once(http: httpx.Client, count: int, limit: int) -> None:
    drawn = [f"picture {number}" for number in range(count)]
    draw(http, *drawn)
    assert sorted(walk(http, limit)) == drawn


def test_a_last_page_that_is_full_has_no_next_one(http: httpx.Client) -> None:
    draw(http, "one", "two")
    assert page(http, limit=2)[1] is None


def test_pages_stay_as_they_are_while_pictures_are_added(http: httpx.Client) -> None:
    draw(http, "one", "two", "three", "four")
    seen, cursor = page(http, limit=2)
    draw(http, "five", "six")
    rest, end = page(http, limit=2, cursor=cursor)
    assert sorted(seen + rest) == ["four", "one", "three", "two"]
    assert end is None


def test_pictures_of_the_same_moment_are_each_shown_once(http: httpx.Client, traces: Traces, product: Product) -> None:
    drawn = [f"picture {number}" for number in range(7)]
    draw(http, *drawn)
    moment = datetime(2026, 2, 17, 8, 30, 0, 123_000, tzinfo=UTC)
    product.studio.database["artworks"].update_many({"owner": traces.owner}, {"$set": {"created_at": moment}})
    assert sorted(walk(http, 2)) == drawn


def coded(place: str) -> str:
    return urlsafe_b64encode(place.encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "nowhere",
        "\0",
        "画",
        coded("2026-02-17T08:30:00+00:00 some-id"),
        coded("0001-01-01T00:00:00+14:00 some-id"),
        coded("1771317000000"),
        coded("1771317000000 "),
        coded('1771317000000 {"$ne": 1}'),
        coded("-1 some-id"),
        coded("999999999999999 some-id"),
        coded("1771317000000 画"),
    ],
)
def test_a_cursor_that_no_page_gave_is_refused(http: httpx.Client, cursor: str) -> None:
    problem_of(http.get("/gallery", params={"cursor": cursor}), "CURSOR_INVALID")


def test_the_latest_moment_that_a_cursor_can_name_is_taken(http: httpx.Client) -> None:
    draw(http, "one")
    assert page(http, cursor=coded("99999999999999 some-id"))[0] == ["one"]


def test_a_cursor_of_somebody_else_shows_nothing_of_theirs(http: httpx.Client, web: str) -> None:
    with new_client(web) as stranger:
        draw(stranger._api, "theirs", "too")
        _, cursor = page(stranger._api, limit=1)
    draw(http, "mine")
    assert "theirs" not in page(http, cursor=cursor)[0]


@pytest.mark.parametrize("limit", ["0", "-1", "101", "many", "1.5", "٣", "9" * 30])
def test_a_limit_out_of_range_is_refused(http: httpx.Client, limit: str) -> None:
    problem = problem_of(http.get("/gallery", params={"limit": limit}), "INVALID_INPUT")
    assert [error["field"] for error in problem["errors"]] == ["limit"]


def test_a_cursor_that_is_too_long_is_refused(http: httpx.Client) -> None:
    problem_of(http.get("/gallery", params={"cursor": "x" * 201}), "INVALID_INPUT")


# --- What is wanted ---


def tell(http: httpx.Client, title: str, **fields: Any) -> str:
    return str(http.post("/artworks", json={"title": title, **fields}).json()["artworkId"])


def titles(http: httpx.Client, **params: Any) -> set[str]:
    return set(page(http, **params)[0])


def test_words_are_looked_for_in_title_story_and_transcript(
    http: httpx.Client, web: str, product: Product, traces: Traces
) -> None:
    tell(http, "The Fox")
    tell(http, "typed", description="Ein Fuchs, une fée: 小狐狸飞上天。")
    tell(http, "heard")
    heard = {"owner": traces.owner, "title": "heard"}
    product.studio.database["artworks"].update_one(heard, {"$set": {"transcript": "The balloon (red) costs $5."}})
    with new_client(web) as stranger:
        tell(stranger._api, "a stranger's fox")
    assert titles(http, q="fox") == titles(http, q=" FOX ") == {"The Fox"}
    assert titles(http, q="狐狸飞") == titles(http, q="狐") == titles(http, q="FÉE") == {"typed"}
    assert titles(http, q="(red) costs $5.") == {"heard"}
    assert titles(http, q="") == titles(http, q="  ") == {"The Fox", "typed", "heard"}
    assert titles(http, q="owl") == set()


@pytest.mark.parametrize(
    "words", [".", ".*", "^", "$", "|", "[a-z]", "\\", "\\w", "(", "\0", "(?i)", "$ne", '{"$gt": ""}']
)
def test_a_search_has_no_operators(http: httpx.Client, words: str) -> None:
    tell(http, "plain")
    tell(http, f"with {words} in it")
    assert titles(http, q=words) == {f"with {words} in it"}


def test_a_search_that_reached_its_depth_goes_on_from_there(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.routes.gallery.SEARCH_DEPTH", 3)
    for number in range(8):
        tell(http, f"{'fox' if number in {0, 7} else 'owl'} {number}")
    found, cursor = page(http, q="fox")
    assert (found, bool(cursor)) == (["fox 7"], True)
    assert page(http, q="fox", cursor=cursor)[0] == []
    pages = []
    while cursor:
        found, cursor = page(http, q="fox", cursor=cursor)
        pages += found
    assert pages == ["fox 0"]


def test_a_gallery_shows_what_is_chosen(http: httpx.Client, product: Product, traces: Traces) -> None:
    ids = {title: tell(http, title) for title in ("one", "two", "three", "four")}
    artworks = product.studio.database["artworks"]
    for day, title in enumerate(ids, start=1):
        moment = datetime(2026, 3, day, 23, 30, tzinfo=UTC)
        status = "ready" if day == 4 else "draft"
        artworks.update_one({"_id": ids[title]}, {"$set": {"created_at": moment, "status": status}})
    http.patch(f"/artworks/{ids['two']}", json={"favourite": True})
    http.patch(f"/artworks/{ids['three']}", json={"favourite": True})
    assert titles(http, favourite="true") == {"two", "three"}
    assert titles(http, favourite="false") == {"one", "four"}
    assert titles(http, status="ready") == {"four"}
    assert titles(http, status="draft", favourite="true", q="three") == {"three"}
    for asked, expected in (
        ({"from": "2026-03-02"}, {"two", "three", "four"}),
        ({"to": "2026-03-02"}, {"one", "two"}),
        ({"from": "2026-03-02", "to": "2026-03-03"}, {"two", "three"}),
        ({"from": "2026-03-02T23:30:00Z", "to": "2026-03-02T23:30:00"}, {"two"}),
        ({"from": "2026-03-03T01:00:00+02:00", "to": "2026-03-03T07:31:00+08:00"}, {"two"}),
        ({"from": "2026-03-05"}, set()),
        ({"from": "2026-03-03", "to": "2026-03-02"}, set()),
        ({"from": "0001-01-01", "to": "9999-12-31"}, set(ids)),
        ({"from": "2026-03-02", "favourite": "true", "q": "T"}, {"two", "three"}),
    ):
        assert titles(http, **asked) == expected, asked


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("from", "yesterday"),
        ("from", "2026-02-30"),
        ("to", "2026-03-02 25:00"),
        ("to", "9999-12-31T23:59:59-10:00"),
        ("from", "1" * 41),
        ("status", "finished"),
        ("favourite", "perhaps"),
        ("deleted", "{}"),
        ("q", "x" * 101),
    ],
)
def test_a_wish_that_means_nothing_is_refused(http: httpx.Client, field: str, value: str) -> None:
    problem = problem_of(http.get("/gallery", params={field: value}), "INVALID_INPUT")
    assert [error["field"] for error in problem["errors"]] == [field]


def test_the_bin_shows_what_was_deleted_last_first(http: httpx.Client) -> None:
    ids = {title: tell(http, title) for title in ("one", "two", "three", "four")}
    for title in ("four", "one", "three"):
        http.delete(f"/artworks/{ids[title]}")
    assert page(http)[0] == ["two"]
    seen, cursor = page(http, deleted="true", limit=2)
    assert seen + page(http, deleted="true", limit=2, cursor=cursor)[0] == ["three", "one", "four"]
    assert page(http, deleted="true", q="ON")[0] == ["one"]
    item = http.get("/gallery", params={"deleted": "true"}).json()["items"][0]
    kept = datetime.fromisoformat(item["restorableUntil"]) - datetime.fromisoformat(item["deletedAt"])
    assert kept == timedelta(days=30)


def test_a_parameter_without_a_value_is_not_given(http: httpx.Client) -> None:
    draw(http, "one", "two")
    first = http.get("/gallery?cursor=&limit=1").json()
    assert first["nextCursor"]
    # A value that ends like a parameter without one: base64 does.
    rest = http.get(f"/gallery?limit=&q=&cursor={first['nextCursor']}").json()
    assert len(first["items"]) == len(rest["items"]) == 1
