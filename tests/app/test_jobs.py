from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from app.client import Client
from broker import run_in_transaction
from studio.jobs import LiveJobExists
from tests.app.problems import problem_of
from tests.app.traces import Traces
from tests.app.uploads import picture, put
from tests.product import Product, forget_step_times, new_artwork
from tests.studio import made
from tests.waiting import eventually

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


# Canceling. What a cancel stops is tested with the actor.


def test_any_number_of_taps_cancel_a_job_once(http: httpx.Client, artwork_id: str, traces: Traces) -> None:
    job_id = order(http, artworkId=artwork_id).json()["jobId"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: http.post(f"/generation/jobs/{job_id}/cancel"), range(4)))
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(202, "canceled")}
    assert {answer.headers["location"] for answer in answers} == {f"/generation/jobs/{job_id}"}
    assert [event["data"]["status"] for event in traces.documents("events")] == ["queued", "canceled"]


@pytest.mark.parametrize("ended", ["succeeded", "failed", "needs_attention"])
def test_a_job_that_has_ended_is_not_canceled(
    ended: str, http: httpx.Client, artwork_id: str, product: Product
) -> None:
    job = order(http, artworkId=artwork_id).json()
    product.studio.database["jobs"].update_one({"_id": job["jobId"]}, {"$set": {"status": ended, "live": False}})
    problem_of(http.post(f"/generation/jobs/{job['jobId']}/cancel"), "JOB_NOT_CANCELABLE")


def test_a_canceled_job_is_not_retried(http: httpx.Client, artwork_id: str) -> None:
    job_id = order(http, artworkId=artwork_id).json()["jobId"]
    http.post(f"/generation/jobs/{job_id}/cancel")
    problem_of(http.post(f"/generation/jobs/{job_id}/retry"), "JOB_NOT_RETRYABLE")


# Capture


def capture(http: httpx.Client, job_id: str) -> httpx.Response:
    return http.post(f"/generation/jobs/{job_id}/capture", json={})


def test_a_capture_brings_the_next_look_forward_and_then_tells_where_the_film_is(
    http: httpx.Client, client: Client, artwork_id: str, product: Product, worker: object
) -> None:
    product.service.behave("later")
    job_id = order(http, artworkId=artwork_id).json()["jobId"]
    waits = {"msg.args": job_id, "msg.actor_name": "poll_video", "state": "DELAYED"}
    eventually(lambda: product.studio.database["queue_default"].find_one(waits))
    product.service.behave("")
    answer = capture(http, job_id)
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert answer.headers["location"] == f"/generation/jobs/{job_id}"
    assert [event["status"] for event in client.watch(job_id, patience_s=60)][-1] == "succeeded"
    answer = capture(http, job_id)
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert answer.json()["videoUrl"] == client.get(f"/artworks/{artwork_id}")["videoUrl"]


@pytest.mark.usefixtures("worker")
def test_a_capture_tells_of_the_film_of_its_own_job_alone(
    http: httpx.Client, client: Client, artwork_id: str, product: Product
) -> None:
    first = order(http, artworkId=artwork_id).json()["jobId"]
    assert [event["status"] for event in client.watch(first, patience_s=60)][-1] == "succeeded"
    older = urlsplit(capture(http, first).json()["videoUrl"]).path
    product.service.behave("later")
    second = order(http, artworkId=artwork_id).json()["jobId"]
    assert capture(http, second).json()["videoUrl"] is None, "what is there is another job's"
    product.service.behave("")
    assert [event["status"] for event in client.watch(second, patience_s=60)][-1] == "succeeded"
    assert urlsplit(capture(http, second).json()["videoUrl"]).path != older
    assert urlsplit(capture(http, first).json()["videoUrl"]).path == older


def test_a_capture_without_a_clip_to_look_for_changes_nothing(http: httpx.Client, artwork_id: str) -> None:
    job = order(http, artworkId=artwork_id).json()
    answer = capture(http, job["jobId"])
    assert answer.status_code == 200
    assert answer.json() == {**job, "queuePosition": None, "etaS": None, "videoUrl": None}


@pytest.mark.usefixtures("worker")
def test_a_capture_looks_once_more_for_a_clip_that_was_late(
    http: httpx.Client, client: Client, artwork_id: str, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product.studio.providers.animator_named("fake"), "limit_s", 0.0)
    product.service.behave("never")
    job_id = order(http, artworkId=artwork_id).json()["jobId"]
    assert [event["error"] for event in client.watch(job_id, patience_s=60)][-1]["code"] == "PROVIDER_TIMEOUT"
    product.service.behave("")
    answer = capture(http, job_id)
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert [event["status"] for event in client.watch(job_id, patience_s=60)][-1] == "succeeded"
    assert len(product.service.calls("submits")) == 1


@pytest.mark.usefixtures("worker")
def test_a_capture_never_pays_for_another_clip(
    http: httpx.Client, client: Client, artwork_id: str, product: Product
) -> None:
    product.service.behave("fails")
    job_id = order(http, artworkId=artwork_id).json()["jobId"]
    assert [event["error"] for event in client.watch(job_id, patience_s=60)][-1]["code"] == "RENDER_FAILED"
    answer = capture(http, job_id)
    assert (answer.status_code, answer.json()["status"], answer.json()["videoUrl"]) == (200, "failed", None)
    assert len(product.service.calls("submits")) == 1


# Lists


def test_jobs_are_listed_newest_first_by_pages_that_stay_right(
    http: httpx.Client, client: Client, drawing: Path
) -> None:
    artwork_ids = [new_artwork(client, drawing)["artworkId"] for _ in range(2)]
    ids = [order(http, artworkId=artwork_id).json()["jobId"] for artwork_id in artwork_ids]
    ids.append(order(http, artworkId=artwork_ids[0], kind="analysis").json()["jobId"])
    first = http.get("/generation/jobs", params={"limit": 2}).json()
    assert [job["jobId"] for job in first["items"]] == [ids[2], ids[1]]
    order(http, artworkId=artwork_ids[1], kind="analysis")
    second = http.get("/generation/jobs", params={"limit": 2, "cursor": first["nextCursor"]}).json()
    assert [job["jobId"] for job in second["items"]] == [ids[0]]
    assert second["nextCursor"] is None
    assert http.get(f"/generation/jobs/{ids[0]}").json() == second["items"][0]


def test_jobs_are_listed_by_status_kind_and_artwork(http: httpx.Client, artwork_id: str) -> None:
    video = order(http, artworkId=artwork_id).json()["jobId"]
    analysis = order(http, artworkId=artwork_id, kind="analysis").json()["jobId"]
    http.post(f"/generation/jobs/{analysis}/cancel")

    def listed(**wanted: str) -> list[str]:
        return [job["jobId"] for job in http.get("/generation/jobs", params=wanted).json()["items"]]

    assert listed(status="queued") == listed(kind="video") == [video]
    assert listed(status="canceled", kind="analysis", artworkId=artwork_id) == [analysis]
    assert listed(status="succeeded") == []


@pytest.mark.parametrize(
    ("params", "symbol"),
    [
        ({"status": "done"}, "INVALID_INPUT"),
        ({"kind": "$ne"}, "INVALID_INPUT"),
        ({"limit": "101"}, "INVALID_INPUT"),
        ({"cursor": "nowhere"}, "CURSOR_INVALID"),
        ({"artworkId": "nobodys"}, "NOT_FOUND"),
    ],
)
def test_a_list_that_cannot_be_is_refused(http: httpx.Client, params: dict[str, str], symbol: str) -> None:
    problem_of(http.get("/generation/jobs", params=params), symbol)


# Forecasts


def test_a_job_in_line_tells_its_place(
    http: httpx.Client, client: Client, drawing: Path, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    product.broker.flush("default")
    artwork_ids = [new_artwork(client, drawing)["artworkId"] for _ in range(3)]
    product.broker.flush("default")
    jobs = [order(http, artworkId=artwork_id).json() for artwork_id in artwork_ids]
    assert [job["queuePosition"] for job in jobs] == [1, 2, 3]

    def places() -> list[int | None]:
        return [http.get(f"/generation/jobs/{job['jobId']}").json()["queuePosition"] for job in jobs]

    monkeypatch.setattr("app.forecasts.KEEP_LINE_S", 0.0)
    http.post(f"/generation/jobs/{jobs[0]['jobId']}/cancel")
    assert places() == [None, 1, 2]
    monkeypatch.setattr("app.forecasts.LAST_PLACE", 2)
    assert places() == [None, 1, 2], "the last place means that one or a later one"
    order(http, artworkId=artwork_ids[0])
    monkeypatch.undo()
    assert [job["queuePosition"] for job in http.get("/generation/jobs").json()["items"]] == [3, 2, 1, None]


def test_a_job_tells_how_long_it_may_take_once_others_have_shown_it(
    http: httpx.Client, artwork_id: str, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.forecasts.KEEP_HISTORY_S", 0.0)
    studio = product.studio
    forget_step_times(product)
    ordered = order(http, artworkId=artwork_id).json()
    assert ordered["etaS"] is None, "nothing is known yet"
    job = studio.jobs.load(ordered["jobId"])
    assert job is not None
    for step in job.steps:
        for seconds in (9.0, 10.0, 50.0):
            studio.step_times.note(msgspec.structs.replace(job, step=step), seconds=seconds)
    studio.step_times.write()
    path = f"/generation/jobs/{job.id}"
    assert http.get(path).json()["etaS"] == 10 * len(job.steps)
    started = run_in_transaction(studio.client, lambda session: studio.jobs.start(job, session=session))
    assert started is not None
    assert 10 * (len(job.steps) - 1) < http.get(path).json()["etaS"] <= 10 * len(job.steps)
    view = http.get(path).json()
    assert view["startedAt"]
    assert view["queuePosition"] is None
    forget_step_times(product)
