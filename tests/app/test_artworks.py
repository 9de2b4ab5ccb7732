from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.client import Client, Json
from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.app.uploads import picture, put
from tests.product import Product, new_artwork, new_client
from tests.studio import made


def test_an_artwork_may_begin_empty(http: httpx.Client) -> None:
    artwork = http.post("/artworks", json={}).json()
    assert (artwork["title"], artwork["description"], artwork["status"]) == ("", "", "draft")
    assert (artwork["coverUrl"], artwork["videoUrl"], artwork["job"]) == (None, None, None)
    assert (artwork["transcriptStatus"], artwork["analysisStatus"]) == ("missing", "missing")


def test_an_artwork_shows_its_drawing_and_its_recording(client: Client, http: httpx.Client, tmp_path: Path) -> None:
    cover = client.post("/media/commit", put(client, picture()))
    spoken = made.wav(tmp_path / "story.wav", made.tone(1.0)).read_bytes()
    voice = client.post("/media/commit", put(client, spoken, "audio", "audio/wav"))
    body = {"title": " Fox ", "coverAssetId": cover["mediaAssetId"], "audioAssetId": voice["mediaAssetId"]}
    made_artwork = http.post("/artworks", json=body)
    assert made_artwork.status_code == 201
    artwork = http.get(f"/artworks/{made_artwork.json()['artworkId']}").json()
    assert artwork["title"] == "Fox"
    assert client._bucket.get(artwork["coverUrl"]).headers["content-type"] == "image/png"
    assert client._bucket.get(artwork["audioUrl"]).content == spoken
    assert artwork["transcriptStatus"] == "pending", "nobody has listened yet"


@pytest.mark.parametrize("field", ["coverAssetId", "audioAssetId"])
def test_media_of_somebody_else_are_not_found(http: httpx.Client, web: str, field: str) -> None:
    with new_client(web) as stranger:
        theirs = stranger.post("/media/commit", put(stranger, picture()))["mediaAssetId"]
    problem_of(http.post("/artworks", json={field: theirs}), "NOT_FOUND")
    problem_of(http.post("/generation/jobs", json={field: theirs, "text": "A fox."}), "NOT_FOUND")


def test_a_drawing_is_no_recording(client: Client, http: httpx.Client) -> None:
    drawing = client.post("/media/commit", put(client, picture()))["mediaAssetId"]
    problem_of(http.post("/artworks", json={"audioAssetId": drawing}), "NOT_FOUND")


def test_nothing_is_made_of_media_that_are_not_found(http: httpx.Client) -> None:
    http.post("/artworks", json={"title": "Fox", "coverAssetId": "no-such-asset"})
    http.post("/generation/jobs", json={"title": "Fox", "coverAssetId": "no-such-asset", "text": "A fox."})
    assert http.get("/gallery").json()["items"] == []


def test_the_longest_title_and_story_are_taken(http: httpx.Client) -> None:
    body = {"title": "狐" * 80, "description": "狐" * 2000}
    artwork = http.post("/artworks", json=body).json()
    assert (artwork["title"], artwork["description"]) == (body["title"], body["description"])


def test_an_artwork_tells_of_its_newest_job(client: Client, http: httpx.Client, drawing: Path) -> None:
    artwork_id = new_artwork(client, drawing)["artworkId"]
    job = http.post("/generation/jobs", json={"artworkId": artwork_id}).json()
    artwork = http.get(f"/artworks/{artwork_id}").json()
    assert artwork["job"] == {**job, "queuePosition": None, "etaS": None}
    assert artwork["analysisStatus"] == "pending"


@pytest.fixture
def cover(client: Client) -> Json:
    """A drawing whose artwork does not exist yet."""
    return client.post("/media/commit", put(client, picture()))


def test_an_artwork_has_the_id_that_its_drawing_was_uploaded_for(http: httpx.Client, cover: Json) -> None:
    artwork = http.post("/artworks", json={"coverAssetId": cover["mediaAssetId"]}).json()
    assert artwork["artworkId"] == cover["artworkId"]


def test_an_artwork_can_be_given_its_reserved_id(http: httpx.Client, cover: Json) -> None:
    body = {"artworkId": cover["artworkId"], "title": "Fox"}
    assert http.post("/artworks", json=body).json()["artworkId"] == cover["artworkId"]


@pytest.mark.parametrize("named", [True, False])
def test_a_second_tap_gives_the_same_artwork(http: httpx.Client, traces: Traces, cover: Json, *, named: bool) -> None:
    body = {"coverAssetId": cover["mediaAssetId"], **({"artworkId": cover["artworkId"]} if named else {})}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: http.post("/artworks", json=body), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.json()["artworkId"] for answer in answers} == {cover["artworkId"]}
    assert len(traces.documents("artworks")) == 1


def test_an_id_stands_for_one_set_of_media(http: httpx.Client, cover: Json) -> None:
    body = {"artworkId": cover["artworkId"], "coverAssetId": cover["mediaAssetId"]}
    http.post("/artworks", json=body)
    problem_of(http.post("/artworks", json={"artworkId": cover["artworkId"]}), "ARTWORK_EXISTS")


def test_another_artwork_of_the_same_drawing_gets_an_id_of_its_own(
    client: Client, http: httpx.Client, cover: Json, tmp_path: Path
) -> None:
    first = http.post("/artworks", json={"coverAssetId": cover["mediaAssetId"]}).json()
    spoken = made.wav(tmp_path / "story.wav", made.tone(0.5)).read_bytes()
    voice = client.post("/media/commit", put(client, spoken, "audio", "audio/wav"))["mediaAssetId"]
    body = {"coverAssetId": cover["mediaAssetId"], "audioAssetId": voice}
    assert http.post("/artworks", json=body).json()["artworkId"] != first["artworkId"]


def test_a_recording_is_pending_until_it_was_listened_to(
    client: Client, http: httpx.Client, drawing: Path, product: Product, tmp_path: Path
) -> None:
    spoken = made.wav(tmp_path / "story.wav", made.tone(0.5)).read_bytes()
    voice = client.post("/media/commit", put(client, spoken, "audio", "audio/wav"))["mediaAssetId"]
    artwork_id = new_artwork(client, drawing, audioAssetId=voice)["artworkId"]
    http.post("/generation/jobs", json={"artworkId": artwork_id})
    assert http.get(f"/artworks/{artwork_id}").json()["transcriptStatus"] == "pending"
    product.studio.database["artworks"].update_one({"_id": artwork_id}, {"$set": {"heard": True}})
    assert http.get(f"/artworks/{artwork_id}").json()["transcriptStatus"] == "none"
    product.studio.database["artworks"].update_one({"_id": artwork_id}, {"$set": {"transcript": "A fox."}})
    assert http.get(f"/artworks/{artwork_id}").json()["transcriptStatus"] == "ready"


def test_the_newest_film_comes_first(http: httpx.Client, cover: Json, product: Product) -> None:
    artwork_id = http.post("/artworks", json={"coverAssetId": cover["mediaAssetId"]}).json()["artworkId"]
    artworks = product.studio.database["artworks"]
    created_at = artworks.find_one({"_id": artwork_id}, {"created_at": 1})["created_at"]  # type: ignore[index]
    films = [
        {
            "version": version,
            "job_id": f"job-{version}",
            "video_asset_id": cover["mediaAssetId"],
            "created_at": created_at,
        }
        for version in (1, 3, 2)
    ]
    artworks.update_one({"_id": artwork_id}, {"$set": {"versions": films}})
    shown = http.get(f"/artworks/{artwork_id}").json()["versions"]
    assert [version["version"] for version in shown] == [3, 2, 1]


def test_a_transcript_outlives_its_recording(client: Client, drawing: Path, product: Product) -> None:
    artwork_id = new_artwork(client, drawing)["artworkId"]
    assert client.get(f"/artworks/{artwork_id}")["transcriptStatus"] == "missing"
    product.studio.database["artworks"].update_one({"_id": artwork_id}, {"$set": {"transcript": "A fox."}})
    shown = client.get(f"/artworks/{artwork_id}")
    assert (shown["transcriptStatus"], shown["transcript"], shown["audioUrl"]) == ("ready", "A fox.", None)
