from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from app.client import Client, Json
from studio.providers import Heard
from studio.providers.local_transcriber import LocalTranscriber
from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.app.uploads import picture, put
from tests.product import Product, new_client
from tests.studio import made


@pytest.fixture
def spoken(tmp_path: Path) -> bytes:
    return made.wav(tmp_path / "story.wav", made.tone(0.5)).read_bytes()


@pytest.fixture
def path(client: Client, http: httpx.Client) -> str:
    """An artwork made of the key of an upload."""
    made_artwork = http.post("/artworks/from-image-key", json={"imageKey": put(client, picture())["key"]})
    assert made_artwork.status_code == 201
    return f"/artworks/{made_artwork.json()['artworkId']}"


def ended(client: Client, answer: httpx.Response) -> Json:
    """The job in an answer, once it has ended."""
    assert answer.status_code == 202
    for _ in client.watch(answer.json()["jobId"], patience_s=60):
        pass
    return client.get(f"/generation/jobs/{answer.json()['jobId']}")


def test_an_image_key_makes_one_artwork_however_it_is_named(client: Client, http: httpx.Client) -> None:
    upload = put(client, picture())["key"]
    first, second = (http.post("/artworks/from-image-key", json={"imageKey": upload}).json() for _ in range(2))
    finished = client.post("/media/commit", {"key": upload})["key"]
    third = http.post("/artworks/from-image-key", json={"imageKey": finished}).json()
    assert first["artworkId"] == second["artworkId"] == third["artworkId"]
    assert (first["status"], first["lineageStatus"]) == ("draft", "draft")


@pytest.mark.usefixtures("worker")
def test_the_old_calls_lead_from_a_drawing_to_its_film(
    client: Client, http: httpx.Client, path: str, spoken: bytes
) -> None:
    door = http.post(f"{path}/audio/presign", json={"mime": "audio/wav", "size": len(spoken)}).json()
    client._bucket.put(door["url"], content=spoken, headers=door["headers"])
    told = http.post(f"{path}/audio/commit", json={"audioKey": door["key"]})
    assert (told.status_code, told.json()["transcriptStatus"]) == (201, "pending")
    assert client._bucket.get(told.json()["audioUrl"]).content == spoken
    heard = ended(client, http.post(f"{path}/transcribe", json={"text": " A fox flies. "}))
    assert [step["name"] for step in heard["steps"]] == ["refine_text"]
    artwork = http.get(path).json()
    assert (artwork["transcript"], artwork["lineageStatus"]) == ("A fox flies.", "llm_ready")
    assert artwork["refinedText"]
    assert ended(client, http.post(f"{path}/run-llm"))["status"] == "succeeded", "there is nothing left to do"
    assert ended(client, http.post(f"{path}/generate"))["status"] == "succeeded"
    film = http.get(path).json()
    assert (film["lineageStatus"], film["videoVersion"]) == ("ready", 1)
    assert http.get("/gallery").json()["items"][0]["videoKey"] == film["videoKey"]
    story = http.get("/artworks/by-video-key", params={"key": film["videoKey"]}).json()
    assert story["artworkId"] == film["artworkId"]
    assert (story["descriptionText"], story["llmText"]) == ("A fox flies.", film["refinedText"])
    assert client._bucket.get(story["audio"]["url"]).content == spoken


@pytest.mark.usefixtures("worker")
def test_a_recording_is_listened_to_without_a_film(
    client: Client, path: str, spoken: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = client._api
    http.post(f"{path}/audio/commit", json={"audioKey": put(client, spoken, "audio", "audio/wav")["key"]})
    job = ended(client, http.post(f"{path}/transcribe"))
    assert [step["name"] for step in job["steps"]] == ["transcribe", "refine_text"]
    assert (job["kind"], job["status"], job["version"]) == ("story", "succeeded", 0)
    artwork = http.get(path).json()
    assert (artwork["transcriptStatus"], artwork["status"], artwork["versions"]) == ("none", "draft", [])
    monkeypatch.setattr(LocalTranscriber, "transcribe", lambda *_, **__: Heard("A fox."))
    ended(client, http.post(f"{path}/transcribe", json={}))
    understood = http.get(path).json()
    assert understood["transcript"] == "A fox."
    assert "fox" in understood["refinedText"].lower(), "what was made of no words at all is void"


def test_an_artwork_without_a_story_has_nothing_to_tidy(http: httpx.Client, path: str) -> None:
    for call in ("transcribe", "run-llm", "generate"):
        problem_of(http.post(f"{path}/{call}"), "NO_STORY")


def test_a_job_can_be_ordered_by_a_key(client: Client, http: httpx.Client, traces: Traces) -> None:
    body = {"key": put(client, picture())["key"], "text": "A fox flies."}
    first, second = (http.post("/generation/jobs/from-key", json=body) for _ in range(2))
    assert (first.status_code, first.json()["jobId"]) == (202, second.json()["jobId"])
    assert [artwork["description"] for artwork in traces.documents("artworks")] == ["A fox flies."]


def test_every_order_tells_its_place_in_line(
    client: Client, http: httpx.Client, path: str, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.forecasts.KEEP_LINE_S", 0.0)
    product.broker.flush("default")
    by_key = {"key": put(client, picture())["key"], "text": "A fox flies."}
    client.post("/media/commit", {"key": by_key["key"]})
    product.broker.flush("default")
    orders = [
        http.post(f"{path}/transcribe", json={"text": "A fox."}),
        http.post(f"{path}/regenerate"),
        http.post(f"{path}/generate"),
        http.post(f"{path}/run-llm"),
        http.post("/generation/jobs/from-key", json=by_key),
    ]
    assert [order.status_code for order in orders] == [202] * 5
    assert [order.json()["queuePosition"] for order in orders] == [1, 2, 2, 1, 3]


def test_a_key_of_another_kind_or_of_nobody_is_not_found(
    client: Client, http: httpx.Client, web: str, path: str, spoken: bytes
) -> None:
    voice, drawing = put(client, spoken, "audio", "audio/wav")["key"], put(client, picture())["key"]
    with new_client(web) as stranger:
        theirs = put(stranger, spoken, "audio", "audio/wav")["key"]
        their_asset = stranger.post("/media/commit", {"key": theirs})["key"]
    for key in (voice, "nothing", "../x", "clients//artworks", "\0"):
        problem_of(http.post("/artworks/from-image-key", json={"imageKey": key}), "NOT_FOUND")
        problem_of(http.post("/generation/jobs/from-key", json={"key": key, "text": "A fox."}), "NOT_FOUND")
    for key in (drawing, theirs, their_asset, "nothing"):
        problem_of(http.post(f"{path}/audio/commit", json={"audioKey": key}), "NOT_FOUND")
        problem_of(http.get("/artworks/by-video-key", params={"key": key}), "NOT_FOUND")
    assert http.get(path).json()["audioUrl"] is None
