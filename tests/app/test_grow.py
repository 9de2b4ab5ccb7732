"""The growth page: a profile that nobody has to fill in, and a report that makes nothing up."""

from __future__ import annotations

import io
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from PIL import Image
from pymongo.client_session import ClientSession

from app.client import Client
from broker import run_in_transaction
from studio import reports
from studio.records import new_id
from studio.reports import MOST_WORKS, Period, Report
from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.product import Product, new_artwork, new_client
from tests.studio import works as made
from tests.studio.works import seen
from tests.waiting import eventually

NOTHING = {
    "nickname": None,
    "age": None,
    "ageBand": None,
    "description": None,
    "avatarAssetId": None,
    "avatarUrl": None,
    "createdAt": None,
    "updatedAt": None,
}


def told(answer: httpx.Response) -> dict[str, Any]:
    """What an answer tells, apart from times and addresses."""
    assert answer.status_code == 200, answer.text
    return {
        name: value for name, value in answer.json().items() if value is not None and not name.endswith(("At", "Url"))
    }


def test_nobody_has_to_tell_anything(http: httpx.Client) -> None:
    assert http.get("/grow/profile").json() == NOTHING
    made = http.post("/grow/profile", json={})

    assert told(made) == {}
    assert made.json()["createdAt"]


def test_what_is_given_changes_and_the_rest_stays(http: httpx.Client) -> None:
    http.post("/grow/profile", json={"nickname": " 小羊 $name ", "description": "Draws foxes."})

    assert told(http.post("/grow/profile", json={"age": 5})) == {
        "nickname": "小羊 $name",
        "description": "Draws foxes.",
        "age": 5,
        "ageBand": "4-6",
    }
    assert told(http.post("/grow/profile", json={"nickname": None, "description": "  "})) == {
        "age": 5,
        "ageBand": "4-6",
    }
    assert told(http.get("/grow/profile")) == {"age": 5, "ageBand": "4-6"}


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"ageBand": "7-9"}, {"ageBand": "7-9"}),
        ({"age": 9, "ageBand": "1-3"}, {"age": 9, "ageBand": "7-9"}),
        ({"age": None}, {}),
        ({"age": None, "ageBand": "1-3"}, {"ageBand": "1-3"}),
        ({"ageBand": None}, {}),
    ],
)
def test_an_age_and_its_band_never_disagree(http: httpx.Client, body: dict[str, Any], left: dict[str, Any]) -> None:
    http.post("/grow/profile", json={"age": 5})

    assert told(http.post("/grow/profile", json=body)) == left


@pytest.mark.parametrize(
    "body",
    [
        {"nickname": "x" * 31},
        {"nickname": 5},
        {"nickname": {"$ne": 1}},
        {"age": 0},
        {"age": 19},
        {"age": 5.5},
        {"ageBand": "5"},
        {"description": "x" * 501},
        {"avatarAssetId": "$where"},
    ],
)
def test_a_field_out_of_its_range_is_named(http: httpx.Client, body: dict[str, Any]) -> None:
    problem = problem_of(http.post("/grow/profile", json=body), "INVALID_INPUT")

    assert [error["field"] for error in problem["errors"]] == list(body)
    assert http.get("/grow/profile").json() == NOTHING


def test_an_avatar_is_a_picture_of_ones_own(client: Client, http: httpx.Client, web: str, drawing: Path) -> None:
    own = client.upload(drawing, "image")["mediaAssetId"]
    sound = client.upload(Path("app/samples/story.ogg"), "audio")["mediaAssetId"]
    with new_client(web) as stranger:
        foreign = stranger.upload(drawing, "image")["mediaAssetId"]

    profile = http.post("/grow/profile", json={"avatarAssetId": own}).json()
    assert profile["avatarAssetId"] == own
    assert httpx.get(profile["avatarUrl"], follow_redirects=True).status_code == 200
    for other in (foreign, sound, "nothing"):
        problem_of(http.post("/grow/profile", json={"avatarAssetId": other}), "NOT_FOUND")
    assert http.get("/grow/profile").json()["avatarAssetId"] == own


@pytest.mark.parametrize(
    ("query", "field"),
    [("period=day", "period"), ("range=0", "range"), ("range=13", "range"), ("range=x", "range"), ("lang=fr", "lang")],
)
def test_a_report_of_another_kind_is_refused(http: httpx.Client, query: str, field: str) -> None:
    for path in ("/grow/report", "/grow/report.png", "/grow/report.pdf"):
        problem = problem_of(http.get(f"{path}?{query}"), "INVALID_INPUT")
        assert [error["field"] for error in problem["errors"]] == [field]


def test_an_unknown_time_zone_is_refused(http: httpx.Client) -> None:
    for zone in ("Mars/Olympus", "../../etc/passwd", "America"):
        problem_of(http.get("/grow/report", params={"tz": zone}), "TIME_ZONE_UNKNOWN")
    problem_of(http.get("/grow/report", params={"tz": "x" * 65}), "INVALID_INPUT")


def test_empty_periods_are_stated(http: httpx.Client) -> None:
    report = http.get("/grow/report?period=month&range=3").json()

    assert (report["period"], report["range"], report["timeZone"], report["enoughWorks"]) == ("month", 3, "UTC", 3)
    assert report["artworks"] == {}
    assert len(report["periods"]) == 3
    for period in report["periods"]:
        assert period["summary"] == "There are no works of this time."
        assert period["counts"]["works"] == 0
        assert period["insights"] == []
        assert {ability["value"] for ability in period["radar"]} == {None}
        assert {ability["note"] for ability in period["radar"]} == {"Not enough works yet (0 of 3)"}
    assert [period["isOver"] for period in report["periods"]] == [False, True, True]
    firsts = [period["firstDay"] for period in report["periods"]]
    assert firsts == sorted(firsts, reverse=True)


@pytest.mark.parametrize("machine", ["Etc/GMT-14", "Etc/GMT+12"])
def test_the_day_of_a_report_is_not_that_of_the_machine(
    product: Product, monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    began = datetime.now(UTC).date()
    # One of these two is on another day, whatever the time is.
    with monkeypatch.context() as patch:
        patch.setenv("TZ", machine)
        time.tzset()
        report = reports.make(product.studio, new_id(), period=Period.WEEK, count=1, zone=ZoneInfo("UTC"))
    time.tzset()
    assert began <= report.day <= datetime.now(UTC).date()


class Shelf:
    """One drawing that was really uploaded, and works of it that are only documents."""

    def __init__(self, client: Client, product: Product, drawing: Path) -> None:
        self.works = product.studio.database["artworks"]
        self.assets = product.studio.database["media_assets"]
        self.studio = product.studio
        self._first = new_artwork(client, drawing)["artworkId"]
        self._document = self.works.find_one({"_id": self._first}) or {}
        self.ids = [self._first]

    def add(self, count: int, **fields: Any) -> list[str]:
        """More works of the same drawing."""
        added = [{**self._document, "_id": new_id(), **fields} for _ in range(count)]
        self.works.insert_many(added)
        return [document["_id"] for document in added]

    def read(self, ids: list[str]) -> None:
        """Store a reading of each."""
        reading = seen(60, palette={"red": 0.8, "blue": 0.2}, tags=("warm colours",))

        def store(session: ClientSession) -> None:
            for artwork_id in ids:
                self.studio.analyses.put(
                    self._document["owner"], artwork_id, made_of="it", reading=reading, session=session
                )

        run_in_transaction(self.studio.client, store)

    def set_thumb(self, key: str) -> None:
        self.assets.update_one({"_id": self._document["cover_asset_id"]}, {"$set": {"thumb_key": key}})

    def add_thumb(self, folder: Path) -> None:
        """A small picture of the drawing, as its actor would make one."""
        path, key = folder / "thumb.jpg", f"clients/{self._document['owner']}/thumb.jpg"
        Image.new("RGB", (48, 36), "#308030").save(path)
        self.studio.objects.upload(path, key, mime="image/jpeg")
        self.set_thumb(key)


@pytest.fixture
def shelf(client: Client, product: Product, drawing: Path) -> Shelf:
    return Shelf(client, product, drawing)


def test_every_claim_links_to_the_works_behind_it(http: httpx.Client, web: str, drawing: Path, shelf: Shelf) -> None:
    mine = [*shelf.ids, *shelf.add(3)]
    (binned,) = shelf.add(1, deleted_at=datetime.now(UTC))
    shelf.read([*mine, binned])
    with new_client(web) as stranger:
        new_artwork(stranger, drawing)

    report = http.get("/grow/report?tz=Asia/Shanghai").json()

    (week,) = report["periods"]
    assert week["counts"] == {
        "works": 4, "activeDays": 1, "films": 0, "stories": 4, "storyWords": 12, "voiceSeconds": 0,
    }  # fmt: skip
    assert sum(day["works"] for day in week["days"]) == 4
    assert set(report["artworks"]) == set(mine)
    address = report["artworks"][mine[0]]["thumbUrl"]
    assert httpx.get(address, follow_redirects=True).headers["content-type"].startswith("image/")
    values = {ability["key"]: ability["value"] for ability in week["radar"]}
    assert (values["detail"], values["composition"], values["elements"]) == (60, 80, 50)
    for claim in [*week["radar"], *week["insights"]]:
        assert claim["method"]
        assert claim["sampleSize"] >= len(claim["artworkIds"]) > 0
        assert set(claim["artworkIds"]) <= set(mine)
    assert [(use["name"], use["share"], len(use["artworkIds"])) for use in week["palette"]] == [
        ("red", 0.8, 4),
        ("blue", 0.2, 4),
    ]
    assert [(tag["tag"], tag["count"]) for tag in week["tags"]] == [("warm colours", 4)]


def test_a_report_speaks_the_callers_language_or_the_one_asked_for(http: httpx.Client) -> None:
    by_header = http.get("/grow/report", headers={"Accept-Language": "zh-CN"}).json()
    by_query = http.get("/grow/report?lang=zh").json()

    assert by_header["periods"][0]["radar"][0]["label"] == "色彩"
    assert (by_header["language"], by_query["language"]) == ("zh", "zh")
    assert http.get("/grow/report").json()["language"] == "en"


def test_a_report_is_also_a_picture_and_a_print(http: httpx.Client, shelf: Shelf, tmp_path: Path) -> None:
    shelf.add_thumb(tmp_path)

    picture = http.get("/grow/report.png?period=month&lang=zh")
    document = http.get("/grow/report.pdf")

    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    with Image.open(io.BytesIO(picture.content)) as drawn:
        assert drawn.size == (1200, 880)
    assert (document.status_code, document.headers["content-type"]) == (200, "application/pdf")
    assert document.headers["cache-control"] == "no-store"
    assert re.fullmatch(r'inline; filename="huaban-week-\d{4}-\d\d-\d\d\.pdf"', document.headers["content-disposition"])
    assert b"/Subtype /Image" in document.content, "the drawing is printed"
    assert document.content == http.get("/grow/report.pdf").content


def test_a_picture_that_is_gone_leaves_its_place_empty(http: httpx.Client, shelf: Shelf) -> None:
    shelf.set_thumb("clients/nobody/gone.jpg")

    document = http.get("/grow/report.pdf")

    assert document.status_code == 200
    assert b"/Subtype /Image" not in document.content


def test_very_many_works_are_cut_and_found_through_an_index(http: httpx.Client, shelf: Shelf, traces: Traces) -> None:
    shelf.add(MOST_WORKS + 5)
    shelf.add(2 * MOST_WORKS, created_at=datetime(2025, 1, 1, tzinfo=UTC))

    (week,) = http.get("/grow/report").json()["periods"]
    now = datetime.now(UTC)
    wanted = shelf.studio.artworks.list_made(traces.owner, since=now - timedelta(7), before=now, limit=MOST_WORKS)
    looked = wanted.collection.find(wanted.query, sort=wanted.sort, limit=wanted.limit).explain()

    assert (week["isCut"], week["counts"]["works"]) == (True, MOST_WORKS)
    assert http.get("/grow/report.pdf").status_code == 200
    assert "'stage': 'SORT'" not in str(looked["queryPlanner"]["winningPlan"])
    assert looked["executionStats"]["totalDocsExamined"] <= MOST_WORKS


def test_reports_are_made_two_at_a_time_and_hold_nobody_else_up(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def make(*arguments: Any, **options: Any) -> Report:
        begun.append(1)
        go_on.wait(30)
        return made.report([])

    monkeypatch.setattr("studio.reports.make", make)
    with ThreadPoolExecutor(6) as callers:
        answers = [callers.submit(http.get, "/grow/report") for _ in range(6)]
        eventually(lambda: len(begun) == 2)
        assert http.get("/grow/profile").status_code == 200
        assert len(begun) == 2
        go_on.set()
        assert {answer.result().status_code for answer in answers} == {200}
