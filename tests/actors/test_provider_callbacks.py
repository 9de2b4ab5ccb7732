"""Service by service: a callback makes a film come early, and nothing that is wrong with one does any harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from app.client import Client, Json
from broker import State
from studio.jobs import Job
from studio.providers import Reading
from studio.providers.local_seer import LocalSeer
from tests.product import Product, forget_step_times, new_artwork, serving_with
from tests.providers.callbacks import CallingBack
from tests.providers.choosing import filming
from tests.providers.simulator import Fault, Task
from tests.waiting import eventually

CALLING = ("ark", "kling", "kling-legacy", "pika", "node")
SIGNING = {"kling", "pika", "node"}
EARLIER = {"ark": "running", "kling": "processing", "kling-legacy": "processing", "node": "processing"}
"""What each calls back with before the end; fal tells the end only."""
READING = Reading({"zh": "一幅画", "en": "A drawing"}, [], [], [], {}, 0.5, "pixels")


@dataclass
class Awaited:
    """A film that is in the making, and whose next look is due in an hour."""

    product: Product
    client: Client
    service: CallingBack
    job_id: str

    @property
    def task(self) -> Task:
        (task,) = self.service.tasks.values()
        return task

    def job(self) -> Job:
        job = self.product.studio.jobs.load(self.job_id)
        assert job is not None
        return job

    def view(self) -> Json:
        return self.client.get(f"/generation/jobs/{self.job_id}")

    def due_at(self) -> datetime | None:
        """When the next look is due; None while it is under way."""
        from actors.messages import message_id

        message = self.product.broker.queues["default"].find_one({"_id": UUID(message_id(self.job()))})
        return message["due"].replace(tzinfo=UTC) if message and message["state"] == State.DELAYED else None

    def looks(self) -> int:
        """How often it was looked, once no look is under way."""
        eventually(self.due_at)
        return len(self.service.asked("look"))

    def end(self) -> Json:
        eventually(lambda: self.view()["finishedAt"])
        return self.view()


Awaiting = Callable[..., AbstractContextManager[Awaited]]


@pytest.fixture
def awaiting(
    client: Client, drawing: Path, product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Awaiting:
    """Order a film of a provider, at a deployment that this can call back."""

    @contextmanager
    def order(provider: str, *, look_every_s: float = 3600.0) -> Iterator[Awaited]:
        from actors import looking

        forget_step_times(product)
        monkeypatch.setattr(looking, "_history", looking._Believed())
        # The reading of a drawing, which comes after the film, is not what this is about.
        monkeypatch.setattr(LocalSeer, "read", lambda *_arguments, **_named: READING)
        offer = f"look_every_s = {look_every_s}\n"
        with filming(product, monkeypatch, tmp_path, {provider: offer}) as simulators:
            service = simulators[provider]
            assert isinstance(service, CallingBack)
            service.is_prompt, service.generation_s = False, 3600.0
            changed = {"public_url": "https://huaban.example", "poll_every_s": look_every_s}
            settings = product.studio.settings.model_copy(update=changed)
            settings._variables = {**settings._variables, **service.env()}
            monkeypatch.setattr(product.studio, "settings", settings)
            monkeypatch.setattr("app.callbacks.FAL_KEYS_URL", f"{service.url}/.well-known/jwks.json")
            with serving_with(product) as service.product_url:
                artwork_id = new_artwork(client, drawing)["artworkId"]
                job_id = client.post("/generation/jobs", {"artworkId": artwork_id})["jobId"]
                film = Awaited(product, client, service, job_id)
                eventually(lambda: film.job().step == "poll_video")
                yield film

    return order


@pytest.mark.parametrize("provider", CALLING)
@pytest.mark.usefixtures("crew")
def test_a_true_callback_makes_the_film_come_early_and_no_other_does_anything(
    provider: str, awaiting: Awaiting
) -> None:
    with awaiting(provider) as film:
        service, task = film.service, film.task
        looks, due_at = film.looks(), film.due_at()

        refused = [Fault.FORGED, *([Fault.ALTERED, Fault.STALE] if provider in SIGNING else [])]
        for fault, answers in ((Fault.LOST, []), *((fault, [401]) for fault in refused)):
            service.fail("callback", fault)
            assert service.call_back(task) == answers, fault
            assert (film.looks(), film.due_at()) == (looks, due_at), fault

        if provider not in SIGNING:
            # It says that the film came to nothing. All that it brings about is a look, and that is believed.
            service.fail("callback", Fault.ALTERED)
            assert service.call_back(task) == [200]
            looks += 1
            eventually(lambda: film.looks() == looks)
        if provider in EARLIER:
            service.fail("callback", Fault.REPEATED)
            assert service.call_back(task, EARLIER[provider]) == [200, 200]
            looks += 1
            eventually(lambda: film.looks() == looks)
        assert film.view()["status"] == "running"
        due_at = film.due_at()

        finish(task)
        service.fail("callback", Fault.REPEATED)
        assert service.call_back(task) == [200, 200]
        ended = film.end()
        assert (ended["status"], ended["error"]) == ("succeeded", None)
        assert due_at is not None
        assert datetime.fromisoformat(ended["finishedAt"]) < due_at, "earlier than by looking alone"
        assert len(service.asked("look")) == looks + 1

        # That of an earlier state was on its way for long, or the end is told once more.
        assert service.call_back(task, EARLIER.get(provider, "")) == [200]
        assert film.view() == ended
        assert_made_once(film)


@pytest.mark.parametrize("provider", CALLING)
@pytest.mark.usefixtures("crew")
def test_a_film_whose_callback_is_lost_comes_all_the_same(provider: str, awaiting: Awaiting) -> None:
    with awaiting(provider, look_every_s=0.1) as film:
        finish(film.task)
        film.service.fail("callback", Fault.LOST)
        assert film.service.call_back(film.task) == []
        assert film.end()["status"] == "succeeded"
        assert_made_once(film)


def finish(task: Task) -> None:
    task.ready_at = task.accepted_at


def assert_made_once(film: Awaited) -> None:
    assert len(film.service.asked("create")) == len(film.service.tasks) == 1
    (submission,) = film.job().submissions
    entries = list(film.product.studio.database["ledger"].find({"job_id": film.job_id}))
    assert [entry["state"] for entry in entries] == ([] if submission.is_free else ["settled"])
    assert len(film.client.get(f"/artworks/{film.view()['artworkId']}")["versions"]) == 1
