"""What a provider allows, as jobs meet it: slots, and how often may be looked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from app.client import Client, Json
from broker import State
from broker.stats import states
from studio.providers import Pending
from studio.providers.cards import Card, ClipModel, ClipOffer, PictureLimits
from studio.step_times import History
from tests.product import Product, forget_step_times, new_artwork
from tests.studio.test_step_times import history, job_at
from tests.waiting import eventually

Offering = Callable[..., None]

MODEL = ClipModel(seconds=(5,), default_seconds=5, prompt_max_chars=500, picture=PictureLimits(max_bytes=10**7))


@pytest.fixture
def offering(product: Product, monkeypatch: pytest.MonkeyPatch) -> Offering:
    """Gives the fake animator a card."""

    def offer(*, concurrent: int | None = None, per_minute: int | None = None, look_every_s: float = 0.05) -> None:
        clips = ClipOffer(
            model="fake",
            models={"fake": MODEL},
            concurrent=concurrent,
            per_minute=per_minute,
            look_every_s=look_every_s,
        )
        card = Card(title="Fake", base_url="", currency="USD", name="fake", animator=clips)
        monkeypatch.setitem(product.studio.providers._cards, "fake", card)

    return offer


@pytest.fixture(autouse=True)
def _without_history(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    from actors import looking

    forget_step_times(product)
    monkeypatch.setattr(looking, "_history", looking._Believed())


def order(client: Client, drawing: Path) -> str:
    job: Json = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"]})
    job_id: str = job["jobId"]
    return job_id


def status(client: Client, job_id: str) -> str:
    found: str = client.get(f"/generation/jobs/{job_id}")["status"]
    return found


def is_in_the_making(product: Product, job_id: str) -> bool:
    job = product.studio.jobs.load(job_id)
    return job is not None and job.step == "poll_video"


def waits_for_a_slot(product: Product, job_id: str) -> bool:
    """Its message is put off until later, and so holds no thread."""
    from actors.messages import message_id

    job = product.studio.jobs.load(job_id)
    assert job
    waiting = product.studio.database["slot_waiters"].count_documents({"holder": job_id})
    found = states(product.broker, "default", [message_id(job)])
    return waiting == 1 and list(found.values()) == [State.DELAYED]


@pytest.mark.usefixtures("worker")
def test_a_job_that_finds_no_slot_waits_without_a_thread_or_an_attempt_and_is_woken(
    client: Client, drawing: Path, product: Product, offering: Offering, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actors.messages import message_id

    offering(concurrent=1)
    product.service.behave("never")
    first = order(client, drawing)
    eventually(lambda: is_in_the_making(product, first))
    others = [order(client, drawing) for _ in range(3)]
    # More than there are threads.
    eventually(lambda: all(waits_for_a_slot(product, job_id) for job_id in others))
    assert len(product.service.calls("submits")) == 1
    messages = product.studio.database["queue_default"].find({"state": State.DELAYED})
    assert not any(message["msg"]["options"].get("retries") for message in messages)
    woken, wake = list[str](), product.studio.gates.slots.wake

    def wake_and_tell(message: str) -> None:
        woken.append(message)
        wake(message)

    monkeypatch.setattr(product.studio.gates.slots, "wake", wake_and_tell)
    waiting = [message_id(job) for job_id in others if (job := product.studio.jobs.load(job_id))]
    product.service.behave("")
    eventually(lambda: all(status(client, job_id) == "succeeded" for job_id in (first, *others)), limit_s=60)
    assert woken, "somebody was, and did not only come to look by himself"
    assert set(woken) <= set(waiting)
    assert product.studio.gates.slots.list_holders() == []


@pytest.mark.usefixtures("worker")
def test_a_canceled_job_frees_its_slot(client: Client, drawing: Path, product: Product, offering: Offering) -> None:
    offering(concurrent=1)
    product.service.behave("never")
    first = order(client, drawing)
    eventually(lambda: is_in_the_making(product, first))
    second = order(client, drawing)
    eventually(lambda: waits_for_a_slot(product, second))
    client.post(f"/generation/jobs/{first}/cancel")
    eventually(lambda: is_in_the_making(product, second), limit_s=60)
    client.post(f"/generation/jobs/{second}/cancel")
    eventually(lambda: product.studio.gates.slots.list_holders() == [])


@pytest.mark.usefixtures("worker")
def test_a_job_that_failed_frees_its_slot(client: Client, drawing: Path, product: Product, offering: Offering) -> None:
    offering(concurrent=1)
    product.service.behave("fails")
    job_id = order(client, drawing)
    eventually(lambda: status(client, job_id) == "failed")
    eventually(lambda: product.studio.gates.slots.list_holders() == [])


@pytest.mark.usefixtures("worker")
def test_jobs_come_when_the_pace_lets_them(client: Client, drawing: Path, product: Product, offering: Offering) -> None:
    offering(per_minute=120)
    jobs = [order(client, drawing) for _ in range(4)]
    eventually(lambda: all(status(client, job_id) == "succeeded" for job_id in jobs), limit_s=60)
    assert len(product.service.calls("submits")) == 4


def test_the_sweep_frees_the_slots_of_jobs_that_are_no_more(product: Product) -> None:
    from actors.slots import free_slots_of_the_dead
    from studio.providers import Capability
    from studio.providers.cards import Limits

    gates = product.studio.gates
    assert gates.take_slot("swept", Capability.ANIMATOR, Limits(concurrent=1), holder="no job", for_s=3600)
    free_slots_of_the_dead()
    assert gates.take_slot("swept", Capability.ANIMATOR, Limits(concurrent=1), holder="another", for_s=0)
    gates.free_slot("another")


def test_a_clip_is_looked_for_first_when_it_may_be_there(
    product: Product, offering: Offering, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actors import looking

    animator, job = product.studio.providers.animator_named("fake"), job_at("submit_video")
    assert looking.first_look_s(job, animator) == 0, "an animator without a card is asked at once"
    offering(look_every_s=5)
    assert looking.first_look_s(job, animator) == 5, "without a history as often as the card says"
    monkeypatch.setattr(looking._history, "get", lambda: history(poll_video=[70, 60, 80]))
    assert looking.first_look_s(job, animator) == pytest.approx(54)
    monkeypatch.setattr(looking._history, "get", History)
    assert looking.first_look_s(job, animator) == 5


@pytest.mark.parametrize(
    ("passed_s", "asked_s", "again_s"), [(0, None, 5), (60, None, 5), (300, None, 15), (6000, None, 30), (60, 20, 20)]
)
def test_a_clip_that_takes_long_is_looked_for_less_often_and_never_more_often_than_documented(
    product: Product, offering: Offering, passed_s: float, asked_s: float | None, again_s: float
) -> None:
    from actors import looking

    offering(look_every_s=5)
    job = job_at("poll_video", began_s_ago=passed_s)
    job = msgspec.structs.replace(job, read_at=job.created_at)
    assert (
        looking.next_look_s(job, product.studio.providers.animator_named("fake"), Pending(look_again_s=asked_s))
        == again_s
    )


@pytest.mark.parametrize(("passed_s", "again_s"), [(180, 15), (192, 5), (195, 5), (200, 5)])
def test_a_clip_that_is_not_there_early_is_looked_for_again_shortly_before_its_usual_time(
    product: Product, offering: Offering, monkeypatch: pytest.MonkeyPatch, passed_s: float, again_s: float
) -> None:
    from actors import looking

    offering(look_every_s=5)
    monkeypatch.setattr(looking._history, "get", lambda: history(poll_video=[200, 210, 220]))
    job = job_at("poll_video", began_s_ago=passed_s)
    job = msgspec.structs.replace(job, read_at=job.created_at)
    assert looking.next_look_s(job, product.studio.providers.animator_named("fake"), Pending()) == again_s


def test_a_clip_that_takes_its_usual_time_is_looked_for_as_often_as_documented(
    product: Product, offering: Offering, monkeypatch: pytest.MonkeyPatch
) -> None:
    from actors import looking

    offering(look_every_s=5)
    monkeypatch.setattr(looking._history, "get", lambda: history(poll_video=[300, 300, 300]))
    job = job_at("poll_video", began_s_ago=390)
    job = msgspec.structs.replace(job, read_at=job.created_at)
    assert looking.next_look_s(job, product.studio.providers.animator_named("fake"), Pending()) == 5
