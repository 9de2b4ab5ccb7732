from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.client import Client
from studio.jobs import LiveJobExists
from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.app.uploads import picture, put
from tests.product import Product, new_artwork
from tests.studio import made

VIDEO_STEPS = ["refine_text", "submit_video", "poll_video", "capture_video", "analyze"]


def order(http: httpx.Client, **body: Any) -> httpx.Response:
    return http.post("/generation/jobs", json=body)


def messages_of(product: Product, job_id: str) -> int:
    return product.studio.database["queue_default"].count_documents({"msg.args": job_id})


@pytest.fixture
def cover(client: Client) -> str:
    return str(client.post("/media/commit", put(client, picture()))["mediaAssetId"])


@pytest.fixture
def artwork_id(client: Client, drawing: Path) -> str:
    return str(new_artwork(client, drawing)["artworkId"])


def test_a_new_job_is_accepted_with_its_place(http: httpx.Client, artwork_id: str, product: Product) -> None:
    answer = order(http, artworkId=artwork_id)
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/generation/jobs/{job['jobId']}"
    assert (job["status"], job["phase"], job["progress"], job["error"]) == ("queued", "queued", 0, None)
    assert [step["name"] for step in job["steps"]] == VIDEO_STEPS
    assert {step["state"] for step in job["steps"]} == {"waiting"}
    assert http.get(answer.headers["location"]).json() == job
    assert messages_of(product, job["jobId"]) == 1


def test_a_second_tap_gets_the_first_ones_job(http: httpx.Client, artwork_id: str, product: Product) -> None:
    first, second = order(http, artworkId=artwork_id).json(), order(http, artworkId=artwork_id)
    assert second.status_code == 202
    assert second.json()["jobId"] == first["jobId"]
    assert messages_of(product, first["jobId"]) == 1


def test_taps_at_the_same_time_make_one_job(
    http: httpx.Client, artwork_id: str, product: Product, traces: Traces
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: order(http, artworkId=artwork_id), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["jobId"] for answer in answers}) == 1
    assert len(traces.documents("jobs")) == 1
    assert messages_of(product, answers[0].json()["jobId"]) == 1
    assert [artwork["last_version"] for artwork in traces.documents("artworks")] == [1]


def test_a_film_and_an_analysis_can_be_asked_for_at_once(http: httpx.Client, artwork_id: str) -> None:
    video, analysis = (
        order(http, artworkId=artwork_id).json(),
        order(http, artworkId=artwork_id, kind="analysis").json(),
    )
    assert analysis["jobId"] != video["jobId"]
    assert [step["name"] for step in analysis["steps"]] == ["analyze"]
    assert (analysis["kind"], analysis["version"]) == ("analysis", 0)


def test_a_job_can_be_ordered_with_media_alone(http: httpx.Client, cover: str) -> None:
    job = order(http, coverAssetId=cover, title="Fox", text=" A fox flies. ").json()
    artwork = http.get(f"/artworks/{job['artworkId']}").json()
    assert (artwork["title"], artwork["description"]) == ("Fox", "A fox flies.")
    assert http.get("/gallery").json()["items"][0]["artworkId"] == job["artworkId"]


def test_taps_with_media_alone_make_one_artwork_and_one_job(http: httpx.Client, cover: str, traces: Traces) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: order(http, coverAssetId=cover, text="A fox flies."), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["jobId"] for answer in answers}) == 1
    assert len(traces.documents("jobs")) == len(traces.documents("artworks")) == 1


def test_another_story_does_not_go_into_a_film_that_is_being_made(
    http: httpx.Client, artwork_id: str, traces: Traces
) -> None:
    first = order(http, artworkId=artwork_id, text="A bear swims.").json()
    problem_of(order(http, artworkId=artwork_id, text="An owl reads."), "STORY_IN_USE")
    assert order(http, artworkId=artwork_id, text=" A bear swims. ").json()["jobId"] == first["jobId"]
    assert [artwork["description"] for artwork in traces.documents("artworks")] == ["A bear swims."]
    assert len(traces.documents("jobs")) == 1


def test_stories_told_at_the_same_time_make_one_film(http: httpx.Client, artwork_id: str, traces: Traces) -> None:
    stories = ["A bear swims.", "An owl reads."] * 4
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda text: order(http, artworkId=artwork_id, text=text), stories))
    told = [story for story, answer in zip(stories, answers, strict=True) if answer.status_code == 202]
    assert {answer.status_code for answer in answers} == {202, 409}
    assert {artwork["description"] for artwork in traces.documents("artworks")} == set(told)
    assert len(traces.documents("jobs")) == 1


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"coverAssetId": "a"}, ["coverAssetId"]),
        ({"audioAssetId": "a", "title": "Fox"}, ["audioAssetId", "title"]),
        ({"kind": "analysis", "text": "A fox flies."}, ["text"]),
    ],
)
def test_fields_that_contradict_each_other_are_named(
    http: httpx.Client, artwork_id: str, body: dict[str, Any], fields: list[str]
) -> None:
    problem = problem_of(order(http, artworkId=artwork_id, **body), "INVALID_INPUT")
    assert [error["field"] for error in problem["errors"]] == fields


def test_an_order_that_another_one_overtook_gets_a_job_of_its_kind(
    http: httpx.Client, artwork_id: str, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = order(http, artworkId=artwork_id, kind="analysis").json()

    def overtaken(*_: object, **__: object) -> None:
        monkeypatch.undo()
        raise LiveJobExists

    # The other film was live when this order was stored, and has ended since.
    monkeypatch.setattr(product.studio.jobs, "create", overtaken)
    job = order(http, artworkId=artwork_id).json()
    assert (job["kind"], job["status"]) == ("video", "queued")
    assert job["jobId"] != analysis["jobId"]
    assert messages_of(product, job["jobId"]) == 1


def test_text_replaces_the_typed_story(http: httpx.Client, artwork_id: str) -> None:
    order(http, artworkId=artwork_id, text="A bear swims.")
    assert http.get(f"/artworks/{artwork_id}").json()["description"] == "A bear swims."


def test_the_story_stays_when_no_text_is_sent(http: httpx.Client, artwork_id: str) -> None:
    order(http, artworkId=artwork_id)
    assert http.get(f"/artworks/{artwork_id}").json()["description"] == "A fox flies."


@pytest.mark.parametrize("text", [None, "", "   \n"])
def test_a_film_needs_a_story(http: httpx.Client, cover: str, text: str | None) -> None:
    problem_of(order(http, coverAssetId=cover, text=text), "NO_STORY")
    assert http.get("/gallery").json()["items"] == [], "nothing is left of an order that was refused"


def test_silence_is_no_story_but_a_typed_one_stands_for_it(
    client: Client, http: httpx.Client, cover: str, tmp_path: Path
) -> None:
    silent = made.wav(tmp_path / "silent.wav", 0 * made.tone(1.0)).read_bytes()
    voice = client.post("/media/commit", put(client, silent, "audio", "audio/wav"))["mediaAssetId"]
    problem_of(order(http, coverAssetId=cover, audioAssetId=voice), "NO_STORY")
    assert order(http, coverAssetId=cover, audioAssetId=voice, text="A fox flies.").status_code == 202


def test_a_refused_text_leaves_the_story_as_it_was(http: httpx.Client, artwork_id: str) -> None:
    problem_of(order(http, artworkId=artwork_id, text=" "), "NO_STORY")
    assert http.get(f"/artworks/{artwork_id}").json()["description"] == "A fox flies."


def test_an_analysis_needs_no_story(http: httpx.Client, cover: str) -> None:
    assert order(http, coverAssetId=cover, kind="analysis").status_code == 202


@pytest.mark.parametrize("kind", ["video", "analysis"])
def test_a_job_needs_a_drawing(http: httpx.Client, kind: str) -> None:
    artwork_id = http.post("/artworks", json={"description": "A fox flies."}).json()["artworkId"]
    problem_of(order(http, artworkId=artwork_id, kind=kind), "NO_DRAWING")
    problem_of(order(http, kind=kind), "NO_DRAWING")


def test_a_job_that_has_not_failed_is_not_retried(http: httpx.Client, artwork_id: str) -> None:
    job_id = order(http, artworkId=artwork_id).json()["jobId"]
    problem_of(http.post(f"/generation/jobs/{job_id}/retry"), "JOB_NOT_RETRYABLE")


def test_a_failed_job_is_retried_once_by_any_number_of_taps(
    http: httpx.Client, artwork_id: str, product: Product, worker: object
) -> None:
    product.service.behave("refuses")
    job_id = order(http, artworkId=artwork_id).json()["jobId"]
    with http.stream("GET", f"/generation/jobs/{job_id}/events") as events:
        events.read()
    failed = http.get(f"/generation/jobs/{job_id}", headers={"Accept-Language": "zh"}).json()
    assert failed["error"]["code"] == "PROVIDER_REFUSED"
    assert failed["error"]["message"] == "动画服务没有接受这次请求。"
    product.service.behave("never")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: http.post(f"/generation/jobs/{job_id}/retry"), range(4)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
