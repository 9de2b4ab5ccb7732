"""Watching a job. No worker runs here: the jobs are moved by hand, so what was missed is known exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo.client_session import ClientSession

from app.client import Client, Json
from broker import run_in_transaction
from studio.jobs import Failure, Job
from tests.app.problems import problem_of
from tests.product import Product, new_artwork


class Moved:
    """A job, and the moves that a worker would make."""

    def __init__(self, product: Product, job_id: str) -> None:
        self.studio = product.studio
        self.id = job_id

    def start(self) -> None:
        self._move(lambda job, session: self.studio.jobs.start(job, session=session))

    def advance(self) -> None:
        self._move(lambda job, session: self.studio.jobs.advance(job, outside_ms=0, session=session))

    def fail(self) -> None:
        failure = Failure("AUDIO_TOO_LONG", {"seconds": 300, "max_seconds": 180})
        self._move(lambda job, session: self.studio.jobs.fail(job, failure, session=session))

    def retry(self) -> None:
        artworks, jobs = self.studio.artworks, self.studio.jobs

        def again(job: Job, session: ClientSession) -> Job | None:
            artwork = artworks.get(job.owner, job.artwork_id).now()
            assert artwork
            return jobs.retry(job, artwork, request_id="", session=session)

        self._move(again)

    def _move(self, move: Callable[[Job, ClientSession], Job | None]) -> None:
        job = self.studio.jobs.load(self.id)
        assert job is not None
        assert run_in_transaction(self.studio.client, lambda session: move(job, session)) is not None


@pytest.fixture
def job(client: Client, http: httpx.Client, drawing: Path, product: Product) -> Moved:
    """An analysis: queued, then running, then done, by one event each."""
    artwork_id = new_artwork(client, drawing)["artworkId"]
    ordered = http.post("/generation/jobs", json={"artworkId": artwork_id, "kind": "analysis"}).json()
    return Moved(product, ordered["jobId"])


def watch(
    http: httpx.Client, job: Moved, *, after: int | None = None, language: str = "en"
) -> Generator[Json, None, None]:
    """The events of a stream; each has its `id`."""
    headers = {"Accept-Language": language}
    if after is not None:
        headers["Last-Event-ID"] = str(after)
    with http.stream("GET", f"/generation/jobs/{job.id}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, Any] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                yield {"id": int(fields["id"]), "event": fields["event"], **json.loads(fields["data"])}
                fields = {}


def test_a_stream_begins_at_the_beginning_and_ends_at_the_end(http: httpx.Client, job: Moved) -> None:
    events = watch(http, job)
    assert next(events)["status"] == "queued"
    job.start()
    assert next(events)["status"] == "running"
    job.advance()
    assert next(events)["status"] == "succeeded"
    assert next(events, None) is None


def test_an_event_says_all_that_a_bar_needs(http: httpx.Client, job: Moved) -> None:
    event = next(watch(http, job))
    assert event.pop("id") > 0
    assert event == {
        "event": "job",
        "jobId": job.id,
        "status": "queued",
        "phase": "queued",
        "step": "analyze",
        "stepProgress": 0,
        "progress": 0,
        "error": None,
    }


def test_coming_back_replays_exactly_what_was_missed(http: httpx.Client, job: Moved) -> None:
    job.start()
    job.advance()
    all_of_them = list(watch(http, job))
    assert len(all_of_them) == 3
    for seen in range(3):
        last = all_of_them[seen - 1]["id"] if seen else 0
        assert list(watch(http, job, after=last)) == all_of_them[seen:]


def test_every_watcher_is_told(http: httpx.Client, job: Moved) -> None:
    watchers = [watch(http, job) for _ in range(3)]
    assert [next(events)["status"] for events in watchers] == ["queued"] * 3
    job.start()
    assert [next(events)["status"] for events in watchers] == ["running"] * 3
    job.advance()
    assert [[event["status"] for event in events] for events in watchers] == [["succeeded"]] * 3


def test_two_jobs_of_one_client_are_not_mixed_up(
    client: Client, http: httpx.Client, drawing: Path, product: Product, job: Moved
) -> None:
    artwork_id = new_artwork(client, drawing)["artworkId"]
    other = Moved(
        product, http.post("/generation/jobs", json={"artworkId": artwork_id, "kind": "analysis"}).json()["jobId"]
    )
    for moved in (job, other):
        moved.start()
    for moved in (job, other):
        moved.advance()
    assert {event["jobId"] for event in watch(http, job)} == {job.id}
    assert [event["status"] for event in watch(http, other)] == ["queued", "running", "succeeded"]


def test_an_error_is_told_in_the_watchers_language(http: httpx.Client, job: Moved) -> None:
    job.start()
    job.fail()
    *_, english = watch(http, job)
    *_, chinese = watch(http, job, language="zh-CN")
    assert english["error"]["code"] == chinese["error"]["code"] == "AUDIO_TOO_LONG"
    assert "lasts 300 s" in english["error"]["message"]
    assert "300 秒" in chinese["error"]["message"]
    assert http.get(f"/generation/jobs/{job.id}").json()["error"] == english["error"]


def test_a_stream_goes_past_a_failure_that_was_retried(http: httpx.Client, job: Moved) -> None:
    job.start()
    job.fail()
    job.retry()
    job.start()
    job.advance()
    seen = [event["status"] for event in watch(http, job)]
    assert seen == ["queued", "running", "failed", "queued", "running", "succeeded"]


def test_nothing_more_to_come_is_said_with_204(http: httpx.Client, job: Moved) -> None:
    job.start()
    job.advance()
    *_, last = watch(http, job)
    answer = http.get(f"/generation/jobs/{job.id}/events", headers={"Last-Event-ID": str(last["id"])})
    assert (answer.status_code, answer.content) == (204, b"")


def test_an_id_from_the_future_waits_for_what_is_to_come_and_is_no_error(http: httpx.Client, job: Moved) -> None:
    job.start()
    job.advance()
    answer = http.get(f"/generation/jobs/{job.id}/events", headers={"Last-Event-ID": str(2**63 - 1)})
    assert answer.status_code == 204


@pytest.mark.parametrize("last", ["-1", "abc", "1.5", "9" * 30, "٣", ""])
def test_an_event_id_that_is_no_number_is_refused(http: httpx.Client, job: Moved, last: str) -> None:
    answer = http.get(f"/generation/jobs/{job.id}/events", headers={b"Last-Event-ID": last.encode()})
    problem_of(answer, "INVALID_INPUT")


def test_a_watcher_who_leaves_is_forgotten(http: httpx.Client, job: Moved) -> None:
    for _ in range(3):
        leaving = watch(http, job)
        next(leaving)
        leaving.close()
    job.start()
    job.advance()
    assert [event["status"] for event in watch(http, job)][-1] == "succeeded"
