from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from dramatiq.errors import ConnectionClosed

from app.client import Client, Json
from broker import run_in_transaction
from broker.stats import states
from studio.errors import NotNow
from studio.jobs import UNFINISHED, Failure, Job, JobStatus
from studio.media import ffmpeg
from tests.product import Product, new_artwork
from tests.waiting import eventually


class Ordered:
    """A film that was ordered, seen from outside and from within."""

    def __init__(self, client: Client, product: Product, drawing: Path) -> None:
        self.artwork_id = new_artwork(client, drawing)["artworkId"]
        self.id: str = client.post("/generation/jobs", {"artworkId": self.artwork_id})["jobId"]
        self._client = client
        self._product = product

    def view(self) -> Json:
        return self._client.get(f"/generation/jobs/{self.id}")

    def load(self) -> Job:
        job = self._product.studio.jobs.load(self.id)
        assert job is not None
        return job

    def cancel(self) -> Json:
        return self._client.post(f"/generation/jobs/{self.id}/cancel")

    def reach(self, step: str) -> None:
        next(event for event in self._client.watch(self.id, patience_s=60) if event["step"] == step)

    def end(self) -> Json:
        for _ in self._client.watch(self.id, patience_s=60):
            pass
        return self.view()

    def artwork(self) -> Json:
        return self._client.get(f"/artworks/{self.artwork_id}")

    def messages(self) -> dict[str, str]:
        """The states of its messages, by actor."""
        found = self._product.studio.database["queue_default"].find({"msg.args": self.id})
        return {message["msg"]["actor_name"]: message["state"] for message in found}


@pytest.fixture
def film(client: Client, product: Product, drawing: Path) -> Iterator[Ordered]:
    """A film that was just ordered. What is left of it is forgotten, so that no worker of a later test makes it."""
    yield Ordered(client, product, drawing)
    product.studio.database["jobs"].delete_many({"status": {"$in": UNFINISHED}})
    product.broker.flush("default")


Running = Callable[[str, str], Ordered]


@pytest.fixture
def running(client: Client, product: Product, drawing: Path, worker: object) -> Running:
    """A film under way: what the animator does, and the step that was reached."""

    def order(behaviour: str, step: str) -> Ordered:
        product.service.behave(*behaviour.split())
        ordered = Ordered(client, product, drawing)
        ordered.reach(step)
        return ordered

    return order


def submitted(product: Product) -> bool:
    return bool(product.service.calls("submits"))


# At once


def test_a_job_that_nothing_was_done_for_is_canceled_at_once(film: Ordered, client: Client) -> None:
    canceled = film.cancel()
    assert (canceled["status"], canceled["phase"], canceled["billing"]) == ("canceled", "failed", "none")
    assert canceled["error"]["code"] == "CANCELED"
    assert canceled["finishedAt"]
    assert canceled["steps"][0]["state"] == "canceled"
    assert film.messages() == {"refine_text": "DONE"}
    assert film.artwork()["status"] == "draft"
    assert [event["status"] for event in client.watch(film.id)] == ["queued", "canceled"]
    assert film.cancel() == canceled, "asking twice changes nothing"


def test_after_a_cancel_another_film_can_be_ordered(film: Ordered, client: Client) -> None:
    film.cancel()
    another = client.post("/generation/jobs", {"artworkId": film.artwork_id})
    assert another["jobId"] != film.id
    assert another["version"] == 2


# While it runs


def test_a_job_that_waits_for_its_clip_is_canceled_and_its_provider_told(product: Product, running: Running) -> None:
    film = running("never", "poll_video")
    assert film.cancel()["status"] in ("canceling", "canceled")
    ended = film.end()
    assert (ended["status"], ended["billing"]) == ("canceled", "possible")
    assert product.service.calls("cancels") == [film.load().submissions[-1].provider_id]
    assert film.artwork()["status"] == "draft"
    eventually(lambda: set(film.messages().values()) == {"DONE"})


def test_a_cancel_is_not_given_up_while_the_queue_is_away(
    product: Product, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel_job: Any = import_module("actors.cancel_job")
    monkeypatch.setattr("actors.waiting.SOONEST_S", 0.0)
    film = running("never", "poll_video")
    asked = []

    def look(*arguments: Any) -> Any:
        asked.append(arguments)
        if len(asked) <= 2 * cancel_job.MAX_RETRIES:
            raise ConnectionClosed("the database is away")
        return states(*arguments)

    monkeypatch.setattr(cancel_job, "states", look)
    film.cancel()
    assert film.end()["status"] == "canceled"
    assert product.service.calls("cancels")


def test_a_cancel_kills_the_ffmpeg_of_its_step(
    product: Product, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        return started[-1]

    ffmpeg.find()
    monkeypatch.setattr(subprocess, "Popen", start)
    film = running("renders", "poll_video")
    eventually(lambda: started)
    film.cancel()
    assert film.end()["status"] == "canceled"
    assert [process.poll() for process in started] == [-signal.SIGKILL], "before the job was called canceled"


def test_a_paid_call_is_waited_for_and_what_it_answers_is_kept(product: Product, film: Ordered, worker: object) -> None:
    product.service.behave("thinks")
    eventually(lambda: submitted(product))
    assert film.cancel()["status"] == "canceling"
    eventually(lambda: film.messages().get("cancel_job") == "DELAYED")
    view = film.view()
    assert (view["status"], view["phase"], view["billing"]) == ("canceling", "generating", "unknown")
    product.service.behave("")
    ended = film.end()
    assert (ended["status"], ended["billing"]) == ("canceled", "possible")
    assert product.service.calls("submits") == [film.load().submissions[-1].id]
    assert product.service.calls("cancels") == [film.load().submissions[-1].provider_id]
    assert "poll_video" not in film.messages()


@pytest.mark.parametrize(
    ("behaviour", "billing"), [("silent drops", "none"), ("silent", "possible"), ("silent no-lookup", "unknown")]
)
def test_a_call_whose_answer_was_lost_is_looked_up_and_not_sent_again(
    behaviour: str, billing: str, product: Product, film: Ordered, worker: object
) -> None:
    product.service.behave(*behaviour.split())
    eventually(lambda: film.messages().get("submit_video") == "DELAYED")
    film.cancel()
    ended = film.end()
    assert (ended["status"], ended["billing"]) == ("canceled", billing)
    assert len(product.service.calls("submits")) == 1
    assert len(product.service.calls("cancels")) == (billing == "possible")


def test_a_late_success_does_not_undo_a_cancel(product: Product, film: Ordered) -> None:
    from actors.steps import Done, JobMovedOn, settle

    studio = product.studio
    queued = film.load()
    job = run_in_transaction(studio.client, lambda session: studio.jobs.start(queued, session=session))
    assert job is not None
    film.cancel()
    with pytest.raises(JobMovedOn):
        settle(job, Done())
    late = (
        lambda session: studio.jobs.report(job, 0.9, session=session),
        lambda session: studio.jobs.fail(job, Failure("INTERNAL"), session=session),
    )
    assert [run_in_transaction(studio.client, change) for change in late] == [None, None]
    assert film.load().status is JobStatus.CANCELING


def test_a_retried_job_that_waits_in_line_has_its_clip_canceled(
    client: Client, product: Product, running: Running, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product.studio.providers.animator_named("fake"), "limit_s", 0.0)
    film = running("never", "poll_video")
    assert film.end()["error"]["code"] == "PROVIDER_TIMEOUT"
    worker.pause()
    client.post(f"/generation/jobs/{film.id}/retry")
    assert film.cancel()["status"] == "canceling"
    worker.resume()
    assert film.end()["status"] == "canceled"
    assert len(product.service.calls("cancels")) == 1


def test_a_film_ordered_while_another_comes_to_rest_keeps_its_artwork_generating(
    client: Client, product: Product, film: Ordered, worker: object
) -> None:
    product.service.behave("thinks")
    eventually(lambda: submitted(product))
    film.cancel()
    another = client.post("/generation/jobs", {"artworkId": film.artwork_id})
    eventually(lambda: client.get(f"/generation/jobs/{another['jobId']}")["status"] == "running")
    product.service.behave("never")
    assert film.end()["status"] == "canceled"
    assert film.artwork()["status"] == "generating"
    client.post(f"/generation/jobs/{another['jobId']}/cancel")
    eventually(lambda: film.artwork()["status"] == "draft")


# Whatever happens on the way. No worker runs here.


@pytest.fixture
def canceling(product: Product, film: Ordered) -> Ordered:
    """A film that is canceling after its clip was asked for."""
    studio = product.studio

    def begin(session: Any) -> None:
        job = studio.jobs.start(film.load(), session=session)
        assert job is not None
        for _ in range(2):
            job = studio.jobs.advance(job, outside_ms=0, session=session)
            assert job is not None

    run_in_transaction(studio.client, begin)
    job = film.load()
    # As if its submit step had stored it.
    at_submit = {"step": "submit_video"}
    studio.database["jobs"].update_one({"_id": job.id}, {"$set": at_submit})
    from studio.films import animation_request, artwork_of, drawing_of
    from studio.providers import Capability
    from studio.submissions import Intent

    artwork = artwork_of(studio, job)
    request = animation_request(studio, job, artwork, drawing_of(studio, artwork))

    def store_call(session: Any) -> None:
        intent = Intent(
            provider="fake",
            capability=Capability.ANIMATOR,
            is_free=False,
            request=request,
        )
        submission = studio.submissions.open(film.load(), intent, session=session)
        assert submission is not None
        studio.submissions.accept(job, submission, f"fake-{submission.id}", session=session)

    run_in_transaction(studio.client, store_call)
    film.cancel()
    assert film.load().status is JobStatus.CANCELING
    return film


class Killed(BaseException):
    pass


@pytest.mark.parametrize("line", ["is_at_rest", "tell_provider", "_settle"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_any_line_of_a_cancel_is_made_up_for(
    line: str, when: str, canceling: Ordered, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("actors.cancel_job")
    whole = getattr(module, line)

    def killed(*arguments: Any) -> None:
        if when == "after":
            whole(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, line, killed)
        with pytest.raises(Killed):
            module.cancel_job.fn(canceling.id)
    assert canceling.load().status is JobStatus.CANCELING
    module.cancel_job.fn(canceling.id)
    assert canceling.load().status is JobStatus.CANCELED
    before = canceling.view()
    module.cancel_job.fn(canceling.id)
    assert canceling.view() == before, "a second message changes nothing"


@pytest.mark.parametrize(("state", "expected"), [("REJECTED", "canceled"), (None, "canceling"), ("DONE", "canceling")])
def test_the_sweep_looks_after_jobs_that_are_canceling(
    state: str | None, expected: str, product: Product, canceling: Ordered, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actors import sweep

    monkeypatch.setattr(import_module("actors.sweep"), "QUIET_FOR_S", -60.0)
    queue = product.studio.database["queue_default"]
    cancel = {"msg.args": canceling.id, "msg.actor_name": "cancel_job"}
    if state is None:
        queue.delete_one(cancel)
    else:
        queue.update_one(cancel, {"$set": {"state": state, "expire_at": datetime.now(UTC) + timedelta(hours=1)}})
    sweep.fn()
    assert canceling.load().status == expected
    if expected == "canceling":
        assert canceling.messages()["cancel_job"] == "QUEUED"


def test_a_provider_that_is_away_is_tried_for_a_while_and_then_the_job_is_canceled_all_the_same(
    product: Product, canceling: Ordered, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("actors.cancel_job")
    product.service.behave("away")
    with pytest.raises(NotNow):
        module.tell_provider(canceling.load())
    module.cancel_job.fn(canceling.id)
    assert canceling.load().status is JobStatus.CANCELING
    monkeypatch.setattr(module, "TELL_FOR_S", 0.0)
    module.cancel_job.fn(canceling.id)
    view = canceling.view()
    assert (view["status"], view["billing"]) == ("canceled", "possible")
    assert len(product.service.calls("cancels")) == 3


def test_everything_of_an_owner_is_canceled_by_one_call(
    client: Client, product: Product, canceling: Ordered, drawing: Path
) -> None:
    from actors import wishes

    queued = Ordered(client, product, drawing)
    stranger = canceling.load()
    assert wishes.cancel_all(stranger.owner) == 1, "one of them has not come to rest"
    assert queued.load().status is JobStatus.CANCELED
    import_module("actors.cancel_job").cancel_job.fn(canceling.id)
    assert wishes.cancel_all(stranger.owner) == 0


def test_every_message_that_a_job_had_is_known_by_its_id(product: Product, canceling: Ordered) -> None:
    from actors.messages import message_ids

    queue = product.studio.database["queue_default"]
    sent = {message["msg"]["message_id"] for message in queue.find({"msg.args": canceling.id})}
    assert sent
    assert sent <= set(message_ids(canceling.load()))
