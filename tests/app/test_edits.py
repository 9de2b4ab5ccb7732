from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.client import Client, Json
from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.app.uploads import picture, put
from tests.product import Product, new_artwork, new_client
from tests.studio import made


@pytest.fixture
def artwork(client: Client, drawing: Path) -> Json:
    return new_artwork(client, drawing)


@pytest.fixture
def path(artwork: Json) -> str:
    return f"/artworks/{artwork['artworkId']}"


@pytest.fixture
def voice(client: Client, tmp_path: Path) -> str:
    spoken = made.wav(tmp_path / "story.wav", made.tone(0.5)).read_bytes()
    return str(client.post("/media/commit", put(client, spoken, "audio", "audio/wav"))["mediaAssetId"])


def write(product: Product, artwork: Json, **fields: Any) -> None:
    """Store what a job would."""
    product.studio.database["artworks"].update_one({"_id": artwork["artworkId"]}, {"$set": fields})


def order_film(http: httpx.Client, artwork: Json, **body: Any) -> httpx.Response:
    return http.post("/generation/jobs", json={"artworkId": artwork["artworkId"], **body})


WORDS = {"narration": "A fox flies.", "prompt": "a fox that flies", "language": "en", "method": "rules"}


def test_only_what_is_given_changes(http: httpx.Client, artwork: Json, path: str) -> None:
    answer = http.patch(path, json={"title": " Owl ", "favourite": True})
    assert answer.status_code == 200
    changed = answer.json()
    assert (changed["title"], changed["favourite"], changed["description"]) == ("Owl", True, "A fox flies.")
    assert changed == http.get(path).json()
    moved = {"title", "favourite", "updatedAt"}
    assert {name for name in changed if changed[name] != artwork[name]} - {"coverUrl"} == moved


def test_a_change_that_changes_nothing_is_taken(http: httpx.Client, artwork: Json, path: str) -> None:
    for body in ({}, {"title": "Fox", "unknown": 1}):
        assert http.patch(path, json=body).json()["updatedAt"] == artwork["updatedAt"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": None}, "title"),
        ({"title": "x" * 81}, "title"),
        ({"description": "x" * 2001}, "description"),
        ({"favourite": "yes"}, "favourite"),
        ({"favourite": {"$ne": True}}, "favourite"),
        ({"coverAssetId": "../x"}, "coverAssetId"),
        ({"videoVersion": 0}, "videoVersion"),
        ({"videoVersion": None}, "videoVersion"),
    ],
)
def test_a_value_that_is_none_is_refused_by_name(http: httpx.Client, path: str, body: Json, field: str) -> None:
    problem = problem_of(http.patch(path, json=body), "INVALID_INPUT")
    assert [error["field"] for error in problem["errors"]] == [field]


def test_another_story_voids_the_words_that_were_made_of_it(
    http: httpx.Client, artwork: Json, path: str, product: Product
) -> None:
    write(product, artwork, words=WORDS)
    assert http.patch(path, json={"title": "Owl"}).json()["refinedText"] == WORDS["narration"]
    changed = http.patch(path, json={"description": " An owl reads. "}).json()
    assert (changed["description"], changed["refinedText"]) == ("An owl reads.", None)


def test_another_recording_voids_what_was_heard_in_the_old_one(
    http: httpx.Client, artwork: Json, path: str, voice: str, product: Product
) -> None:
    assert http.patch(path, json={"audioAssetId": voice}).json()["transcriptStatus"] == "pending"
    write(product, artwork, transcript="A fox.", heard=True, words=WORDS)
    without = http.patch(path, json={"audioAssetId": None}).json()
    assert (without["audioUrl"], without["transcript"], without["refinedText"]) == (None, None, None)


def test_another_drawing_voids_the_reading_of_the_old_one(
    client: Client, artwork: Json, path: str, product: Product, traces: Traces
) -> None:
    product.studio.database["ai_analyses"].insert_one({"_id": artwork["artworkId"], "owner": traces.owner})
    other = client.post("/media/commit", put(client, picture()))["mediaAssetId"]
    assert client._api.patch(path, json={"coverAssetId": other}).json()["analysisStatus"] == "missing"
    assert traces.documents("ai_analyses") == []


@pytest.mark.parametrize("field", ["coverAssetId", "audioAssetId"])
def test_media_of_somebody_else_or_of_another_kind_change_nothing(
    client: Client, web: str, path: str, voice: str, field: str
) -> None:
    http = client._api
    before = http.get(path).json()["updatedAt"]
    with new_client(web) as stranger:
        theirs = stranger.post("/media/commit", put(stranger, picture()))["mediaAssetId"]
    mine = client.post("/media/commit", put(client, picture()))["mediaAssetId"]
    for asset_id in (theirs, voice if field == "coverAssetId" else mine, "nothing"):
        problem_of(http.patch(path, json={"title": "Owl", field: asset_id}), "NOT_FOUND")
    assert http.get(path).json()["updatedAt"] == before


def test_what_a_film_is_being_made_of_stays_until_it_is_finished(
    client: Client, http: httpx.Client, artwork: Json, path: str, voice: str
) -> None:
    job = order_film(http, artwork).json()
    other = client.post("/media/commit", put(client, picture()))["mediaAssetId"]
    problem_of(http.patch(path, json={"description": "An owl reads.", "title": "Owl"}), "STORY_IN_USE")
    problem_of(http.patch(path, json={"audioAssetId": voice}), "STORY_IN_USE")
    problem_of(http.patch(path, json={"coverAssetId": other}), "DRAWING_IN_USE")
    problem_of(
        http.post("/generation/jobs", json={"artworkId": artwork["artworkId"], "kind": "story", "text": "An owl."}),
        "STORY_IN_USE",
    )
    assert http.patch(path, json={"description": "A fox flies.", "favourite": True}).json()["title"] == "Fox"
    assert http.get(path).json()["job"]["jobId"] == job["jobId"]


def test_a_story_and_a_film_at_the_same_time_never_meet(
    http: httpx.Client, artwork: Json, path: str, traces: Traces
) -> None:
    calls = [
        lambda: http.patch(path, json={"description": "An owl reads."}),
        lambda: order_film(http, artwork, text="A bear swims."),
    ] * 4
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda call: call(), calls))
    ordered = [answer for answer in answers if answer.status_code == 202]
    assert {answer.status_code for answer in answers} <= {200, 202, 409}
    assert len({answer.json()["jobId"] for answer in ordered}) == 1
    assert [artwork["description"] for artwork in traces.documents("artworks")] == ["A bear swims."]


def films_of(product: Product, artwork: Json, asset_id: str, *versions: int) -> None:
    entries = [
        {
            "version": version,
            "job_id": f"job-{version}",
            "video_asset_id": f"{asset_id}-{version}",
            "created_at": product.studio.clients.register("anybody").created_at,
        }
        for version in versions
    ]
    write(product, artwork, versions=entries, video_asset_id=f"{asset_id}-{versions[-1]}", status="ready")


def test_an_older_film_can_be_shown(http: httpx.Client, artwork: Json, path: str, product: Product) -> None:
    films_of(product, artwork, "film", 1, 2)
    assert http.get(path).json()["videoVersion"] == 2
    assert http.patch(path, json={"videoVersion": 1}).json()["videoVersion"] == 1
    problem_of(http.patch(path, json={"videoVersion": 3}), "NOT_FOUND")
    assert http.get(path).json()["videoVersion"] == 1


def test_a_deleted_artwork_is_nowhere_but_in_the_bin(http: httpx.Client, artwork: Json, path: str) -> None:
    answer = http.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    artwork_id = artwork["artworkId"]
    problem_of(http.get(path), "NOT_FOUND")
    problem_of(http.patch(path, json={"title": "Owl"}), "NOT_FOUND")
    problem_of(http.get(f"/ai/analyses/{artwork_id}"), "NOT_FOUND")
    problem_of(order_film(http, artwork), "NOT_FOUND")
    problem_of(http.post(f"{path}/regenerate", json={}), "NOT_FOUND")
    upload = {"type": "image", "mime": "image/png", "size": 1, "artworkId": artwork_id}
    problem_of(http.post("/upload/presign", json=upload), "NOT_FOUND")
    problem_of(http.post("/artworks", json={"artworkId": artwork_id}), "NOT_FOUND")
    assert http.get("/gallery").json()["items"] == []
    binned = http.get("/gallery", params={"deleted": "true"}).json()["items"]
    assert [item["artworkId"] for item in binned] == [artwork_id]


def test_deleting_and_restoring_twice_change_nothing_more(http: httpx.Client, artwork: Json, path: str) -> None:
    http.delete(path)
    deleted = http.get("/gallery", params={"deleted": "true"}).json()["items"][0]["deletedAt"]
    assert http.delete(path).status_code == 204
    assert http.get("/gallery", params={"deleted": "true"}).json()["items"][0]["deletedAt"] == deleted
    restored = http.post(f"{path}/restore")
    assert (restored.status_code, restored.json()["title"], restored.json()["deletedAt"]) == (200, "Fox", None)
    again = http.post(f"{path}/restore").json()
    assert again["updatedAt"] == restored.json()["updatedAt"]
    assert [item["artworkId"] for item in http.get("/gallery").json()["items"]] == [artwork["artworkId"]]


def test_what_is_not_there_is_neither_deleted_nor_restored(http: httpx.Client) -> None:
    problem_of(http.delete("/artworks/nothing"), "NOT_FOUND")
    problem_of(http.post("/artworks/nothing/restore"), "NOT_FOUND")


def test_a_drawing_whose_artwork_was_deleted_can_be_used_again(http: httpx.Client, client: Client) -> None:
    cover = client.post("/media/commit", put(client, picture()))["mediaAssetId"]
    first = http.post("/artworks", json={"coverAssetId": cover}).json()["artworkId"]
    http.delete(f"/artworks/{first}")
    second = http.post("/artworks", json={"coverAssetId": cover}).json()["artworkId"]
    assert second != first


def test_an_order_and_a_deletion_at_the_same_time_leave_no_film_of_a_deleted_artwork(
    http: httpx.Client, client: Client, drawing: Path, traces: Traces
) -> None:
    for _ in range(5):
        artwork = new_artwork(client, drawing)
        with ThreadPoolExecutor(2) as pool:
            ordered = pool.submit(order_film, http, artwork)
            deleted = pool.submit(http.delete, f"/artworks/{artwork['artworkId']}")
        assert deleted.result().status_code == 204
        assert ordered.result().status_code in {202, 404}
        jobs = [job for job in traces.documents("jobs") if job["artwork_id"] == artwork["artworkId"]]
        assert len(jobs) == (ordered.result().status_code == 202)
