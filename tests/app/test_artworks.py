from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from app.client import Client
from tests.app.problems import problem_of
from tests.app.uploads import picture, put
from tests.product import new_artwork, new_client
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
    assert artwork["job"] == job
    assert artwork["analysisStatus"] == "pending"
