from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any

import dramatiq
import pytest

from app.client import Client, Json, Refused
from studio.errors import NotNow
from studio.jobs import JobStatus
from studio.language import Language
from studio.providers import PaidCall, Words
from studio.providers.local_writer import LocalWriter
from tests.product import Product, forget_step_times, new_artwork
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("worker")


def film(client: Client, drawing: Path) -> Json:
    """Order a film and wait for its end."""
    job = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})
    for _ in client.watch(job["jobId"], patience_s=60):
        pass
    return client.get(f"/generation/jobs/{job['jobId']}")


def test_a_typed_story_needs_no_transcript_and_every_other_step_runs_once(client: Client, drawing: Path) -> None:
    job = film(client, drawing)
    assert job["phase"] == "completed"
    assert job["progress"] == 100
    assert [step["name"] for step in job["steps"]] == [
        "refine_text", "submit_video", "poll_video", "capture_video", "analyze",
    ]  # fmt: skip
    artwork = client.get(f"/artworks/{job['artworkId']}")
    assert artwork["status"] == "ready"
    assert artwork["videoUrl"]
    assert artwork["refinedText"]
    assert [version["version"] for version in artwork["versions"]] == [1]
    assert client.get(f"/ai/analyses/{job['artworkId']}")["boxes"]


def test_what_a_film_took_is_remembered_and_counted(client: Client, drawing: Path, product: Product) -> None:
    from actors import roll_up_statistics

    studio = product.studio
    forget_step_times(product)
    job = film(client, drawing)

    def are_all_known() -> bool:
        studio.step_times.write()
        return len(studio.step_times.list_all().now()) == len(job["steps"])

    eventually(are_all_known)
    times = {time.step: time for time in studio.step_times.list_all().now()}
    assert set(times) == {step["name"] for step in job["steps"]}
    assert (times["poll_video"].provider, times["analyze"].provider) == ("fake", "local")
    stored = studio.jobs.load(job["jobId"])
    assert stored is not None
    assert stored.started_at
    assert stored.finished_at
    took_s = (stored.finished_at - stored.started_at).total_seconds()
    assert sum(time.seconds[0] for time in times.values()) == pytest.approx(took_s, abs=0.01)
    roll_up_statistics.fn()
    counted = next(day for day in studio.statistics.list_newest(days=1).now() if day.kind == "video")
    assert counted.outcomes[JobStatus.SUCCEEDED] >= 1
    assert counted.p50_s is not None


def test_a_busy_provider_is_waited_for_without_an_attempt(client: Client, drawing: Path, product: Product) -> None:
    product.service.behave("busy")
    job = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})
    watched = client.watch(job["jobId"], patience_s=60)
    eventually(lambda: len(product.service.calls("submits")) >= 5)
    product.service.behave("")
    assert [event["status"] for event in watched][-1] == "succeeded"
    assert len(set(product.service.calls("submits"))) == 1, "one idempotency key for all attempts"


def test_a_refused_request_fails_with_its_symbol(client: Client, drawing: Path, product: Product) -> None:
    product.service.behave("refuses")
    job = film(client, drawing)
    assert job["phase"] == "failed"
    assert job["error"]["code"] == "PROVIDER_REFUSED"
    assert job["error"]["nextStep"]
    assert client.get(f"/artworks/{job['artworkId']}")["status"] == "failed"


@pytest.mark.parametrize(("behaviour", "symbol"), [("fails", "RENDER_FAILED"), ("garbage", "CLIP_UNREADABLE")])
def test_a_clip_that_came_to_nothing_is_asked_for_anew_by_a_retry(
    behaviour: str, symbol: str, client: Client, drawing: Path, product: Product
) -> None:
    product.service.behave(behaviour)
    failed = film(client, drawing)
    assert failed["error"]["code"] == symbol
    product.service.behave("")
    client.post(f"/generation/jobs/{failed['jobId']}/retry")
    assert [event["status"] for event in client.watch(failed["jobId"], patience_s=60)][-1] == "succeeded"
    assert len(product.service.calls("submits")) == 2
    assert client.get(f"/artworks/{failed['artworkId']}")["status"] == "ready"


def test_a_succeeded_job_is_not_retried(client: Client, drawing: Path) -> None:
    job = film(client, drawing)
    with pytest.raises(Refused) as refused:
        client.post(f"/generation/jobs/{job['jobId']}/retry")
    assert refused.value.problem["code"] == "JOB_NOT_RETRYABLE"


def test_a_busy_provider_needs_no_lookup_before_it_is_asked_again(
    client: Client, drawing: Path, product: Product
) -> None:
    product.service.behave("busy", "no-lookup")
    job = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})
    eventually(lambda: len(product.service.calls("submits")) >= 2)
    product.service.behave("no-lookup")
    assert [event["status"] for event in client.watch(job["jobId"], patience_s=60)][-1] == "succeeded"


def test_a_retry_looks_up_a_call_whose_answer_could_not_be_read(
    client: Client, drawing: Path, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.steps.MAX_RETRIES", 0)
    product.service.behave("babbles")
    job = film(client, drawing)
    assert job["error"]["code"] == "INTERNAL"
    product.service.behave("")
    client.post(f"/generation/jobs/{job['jobId']}/retry")
    assert [event["status"] for event in client.watch(job["jobId"], patience_s=60)][-1] == "succeeded"
    assert len(product.service.calls("submits")) == 1


def test_a_film_is_looked_for_where_it_was_asked_for_whatever_the_settings_say_by_now(
    client: Client, drawing: Path, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    product.service.behave("never")
    job = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})
    eventually(lambda: product.service.calls("looks"))
    providers = product.studio.providers
    changed = product.studio.settings.model_copy(update={"video_provider": "local"})
    monkeypatch.setattr(providers, "_settings", changed)
    product.service.behave("")
    assert [event["status"] for event in client.watch(job["jobId"], patience_s=60)][-1] == "succeeded"
    assert product.service.calls("forgets"), "captured from the one it was asked of"


def test_an_old_job_that_is_retried_adds_its_film_behind_the_newer_one(
    client: Client, drawing: Path, product: Product
) -> None:
    product.service.behave("fails")
    old = film(client, drawing)
    product.service.behave("")
    newer = client.post("/generation/jobs", {"artworkId": old["artworkId"]})
    for _ in client.watch(newer["jobId"], patience_s=60):
        pass
    in_front = product.studio.database["artworks"].find_one({"_id": old["artworkId"]})
    client.post(f"/generation/jobs/{old['jobId']}/retry")
    for _ in client.watch(old["jobId"], patience_s=60):
        pass
    after = product.studio.database["artworks"].find_one({"_id": old["artworkId"]})
    assert in_front is not None
    assert after is not None
    assert [version["version"] for version in after["versions"]] == [1, 2]
    assert after["video_asset_id"] == in_front["video_asset_id"]


def test_a_drawing_is_read_again_with_a_new_story(client: Client, drawing: Path) -> None:
    job = film(client, drawing)
    first = client.get(f"/ai/analyses/{job['artworkId']}")
    again = client.post("/generation/jobs", {"artworkId": job["artworkId"], "text": "Two words"})
    for _ in client.watch(again["jobId"], patience_s=60):
        pass
    assert client.get(f"/ai/analyses/{job['artworkId']}")["summary"] != first["summary"]


def test_words_are_made_again_where_the_story_was_changed_meanwhile(
    client: Client, drawing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/artworks/{new_artwork(client, drawing)['artworkId']}"
    refine = LocalWriter.refine
    told: list[str] = []

    def refine_while_edited(
        self: LocalWriter, story: str | None, *, title: str, language: Language, call: PaidCall
    ) -> Words:
        if not told:
            client._api.patch(path, json={"description": "An owl reads."})
        told.append(story or "")
        return refine(self, story, title=title, language=language, call=call)

    monkeypatch.setattr(LocalWriter, "refine", refine_while_edited)
    job = client.post(f"{path}/run-llm")
    assert [event["status"] for event in client.watch(job["jobId"], patience_s=60)][-1] == "succeeded"
    assert told[1:] == ["An owl reads."]
    assert "owl" in client.get(path)["refinedText"].lower()


def test_a_lost_answer_is_looked_up_and_not_sent_again(client: Client, drawing: Path, product: Product) -> None:
    product.service.behave("silent")
    assert film(client, drawing)["phase"] == "completed"
    assert len(product.service.calls("submits")) == 1


def test_a_call_that_never_arrived_is_sent_again_under_the_same_key(
    client: Client, drawing: Path, product: Product
) -> None:
    product.service.behave("silent", "drops")
    job = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})
    watched = client.watch(job["jobId"], patience_s=60)
    eventually(lambda: product.service.calls("submits"))
    product.service.behave("")
    assert [event["status"] for event in watched][-1] == "succeeded"
    assert len(product.service.calls("submits")) >= 2
    assert len(set(product.service.calls("submits"))) == 1


def test_an_unknowable_outcome_stops_for_a_person(client: Client, drawing: Path, product: Product) -> None:
    product.service.behave("silent", "no-lookup")
    job = film(client, drawing)
    assert job["status"] == JobStatus.NEEDS_ATTENTION
    assert job["error"]["code"] == "OUTCOME_UNKNOWN"
    assert len(product.service.calls("submits")) == 1


def test_a_clip_at_whose_address_nobody_answers_fails_after_long_and_a_retry_comes_back_for_it(
    client: Client, drawing: Path, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_arguments: object) -> None:
        raise NotNow("nobody is there", retry_after_s=0.05)

    monkeypatch.setattr(import_module("actors.capture_video"), "FETCHED_FOR_S", 0.2)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(product.studio.providers.animator_named("fake"), "fetch", away)
        job = film(client, drawing)
    assert job["error"]["code"] == "PROVIDER_TIMEOUT"
    client.post(f"/generation/jobs/{job['jobId']}/retry")
    assert [event["status"] for event in client.watch(job["jobId"], patience_s=60)][-1] == "succeeded"
    assert len(product.service.calls("submits")) == 1


@pytest.mark.parametrize("behaviour", ["never", "away"])
def test_a_clip_that_does_not_come_fails_after_the_limit_and_a_retry_looks_again(
    behaviour: str, client: Client, drawing: Path, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product.studio.providers.animator_named("fake"), "limit_s", 0.2)
    product.service.behave(behaviour)
    job = film(client, drawing)
    assert job["error"]["code"] == "PROVIDER_TIMEOUT"
    product.service.behave("")
    client.post(f"/generation/jobs/{job['jobId']}/retry")
    assert [event["status"] for event in client.watch(job["jobId"], patience_s=60)][-1] == "succeeded"
    assert len(product.service.calls("submits")) == 1, "it is paid for, and was only late"


def test_waiting_for_clips_holds_no_thread(
    client: Client, drawing: Path, product: Product, worker: dramatiq.Worker
) -> None:
    product.service.behave("never")
    jobs = [
        client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})["jobId"]
        for _ in range(2 * worker.worker_threads)
    ]
    for job_id in jobs:
        next(event for event in client.watch(job_id, patience_s=60) if event["step"] == "poll_video")
    product.service.behave("")
    for job_id in jobs:
        assert [event["status"] for event in client.watch(job_id, patience_s=60)][-1] == "succeeded"


def test_progress_never_falls(client: Client, drawing: Path) -> None:
    job = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})
    progress = [event["progress"] for event in client.watch(job["jobId"], patience_s=60)]
    assert progress == sorted(progress)
    assert progress[-1] == 100


def test_a_message_of_a_finished_step_changes_nothing(client: Client, drawing: Path, product: Product) -> None:
    job = film(client, drawing)
    before = client.get(f"/generation/jobs/{job['jobId']}")
    for step in job["steps"]:
        product.broker.get_actor(step["name"]).send(job["jobId"])
    product.broker.get_actor("analyze").send("no such job")
    live = {"state": {"$in": ["QUEUED", "CONSUMED"]}, "msg.actor_name": {"$ne": "sweep"}}
    eventually(lambda: not product.studio.database["queue_default"].find_one(live))
    assert client.get(f"/generation/jobs/{job['jobId']}") == before


@pytest.fixture
def stuck_job(client: Client, drawing: Path, product: Product, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job at poll_video whose clip never comes, in the eyes of a sweep that finds every job quiet."""
    # The package lists its actors by name, so the module of this one has to be asked for.
    monkeypatch.setattr(import_module("actors.sweep"), "QUIET_FOR_S", -60.0)
    product.service.behave("never")
    job = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})
    next(event for event in client.watch(job["jobId"], patience_s=60) if event["step"] == "poll_video")
    return str(job["jobId"])


def test_a_job_whose_message_was_given_up_fails_and_can_be_retried(
    client: Client, product: Product, stuck_job: str
) -> None:
    from actors import sweep

    queue = product.studio.database["queue_default"]
    waiting = {"msg.args": stuck_job, "msg.actor_name": "poll_video", "state": "DELAYED"}
    given_up = {"$set": {"state": "REJECTED", "expire_at": datetime.now(UTC) + timedelta(hours=1)}}
    eventually(lambda: queue.update_one(waiting, given_up).modified_count)
    sweep.fn()
    assert client.get(f"/generation/jobs/{stuck_job}")["error"]["code"] == "STEP_CRASHED"
    product.service.behave("")
    client.post(f"/generation/jobs/{stuck_job}/retry")
    sweep.fn()
    assert [event["status"] for event in client.watch(stuck_job, patience_s=60)][-1] == "succeeded"
    assert len(product.service.calls("submits")) == 1, "the clip under way is still good"


def test_a_job_whose_message_is_missing_gets_a_new_one(client: Client, product: Product, stuck_job: str) -> None:
    from actors import sweep

    queue = product.studio.database["queue_default"]
    waiting = {"msg.args": stuck_job, "msg.actor_name": "poll_video", "state": "DELAYED"}
    eventually(lambda: queue.delete_one(waiting).deleted_count)
    product.service.behave("")
    sweep.fn()
    assert [event["status"] for event in client.watch(stuck_job, patience_s=60)][-1] == "succeeded"


def test_an_unexpected_error_is_tried_again_and_then_told(
    client: Client, drawing: Path, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []

    def broken(*_args: object, **_named: object) -> None:
        runs.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr("actors.steps.MAX_RETRIES", 1)
    monkeypatch.setitem(product.broker.get_actor("refine_text").options, "min_backoff", 10)
    monkeypatch.setattr(LocalWriter, "refine", broken)
    job = film(client, drawing)
    assert job["error"]["code"] == "INTERNAL"
    assert len(runs) == 2


def test_a_story_and_a_film_that_are_ordered_together_pay_for_the_words_once(
    client: Client, drawing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refine, is_ordered, calls = LocalWriter.refine, Event(), []

    def slow(*story: Any, **known: Any) -> Any:
        calls.append(story)
        assert is_ordered.wait(30)
        return refine(*story, **known)

    monkeypatch.setattr(LocalWriter, "refine", slow)
    artwork_id = new_artwork(client, drawing)["artworkId"]
    story = client.post(f"/artworks/{artwork_id}/run-llm")
    eventually(lambda: calls)
    film = client.post("/generation/jobs", {"artworkId": artwork_id})
    eventually(lambda: client.get(f"/generation/jobs/{film['jobId']}")["status"] == "running")
    is_ordered.set()
    for job in (story, film):
        assert [event["status"] for event in client.watch(job["jobId"], patience_s=60)][-1] == "succeeded"
    assert len(calls) == 1
