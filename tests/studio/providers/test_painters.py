"""What only painters do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from studio.errors import StudioError
from studio.providers import Made, PaintingRequest, Pending, cards
from studio.providers.cards import PictureOffer
from studio.settings import Settings
from tests.providers.pictures import Paints
from tests.providers.simulator import Fault
from tests.studio.providers.hostile import WORDS, changed, is_clean, text_at
from tests.studio.providers.makers import KEY, PAINTERS, TASKS, Bench, at


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with at(PAINTERS[request.param], tmp_path) as bench:
        yield bench


each = pytest.mark.parametrize("bench", PAINTERS, indirect=True)
each_task = pytest.mark.parametrize("bench", TASKS, indirect=True)


def offer_of(bench: Bench) -> PictureOffer:
    offer = cards.load(bench.provider.name, Settings()).painter
    assert offer
    return offer


@each
def test_a_picture_of_the_size_that_was_asked_for_comes_home(bench: Bench) -> None:
    made = bench.buy()
    assert bench.fetch(made) is None
    asked = bench.case.request
    assert isinstance(asked, PaintingRequest)
    with Image.open(bench.target) as picture:
        assert f"{picture.width}x{picture.height}" == asked.size
    bench.provider.forget(made)
    assert bench.kept == []


# What OpenAI accepts, it paints.
@pytest.mark.parametrize("bench", [name for name in PAINTERS if name != "openai"], indirect=True)
@pytest.mark.parametrize(
    # A fault that comes with the answer may pass; one of a task is the end of it.
    ("fault", "told"),
    [(Fault.REJECTED_LATER, {"CONTENT_REJECTED"}), (Fault.FAILED, {"RENDER_FAILED", "away"})],
)
def test_what_fails_in_the_making_is_told_for_what_it_is(bench: Bench, fault: Fault, told: set[str]) -> None:
    bench.simulator.fail(bench.case.buys, fault)
    submitted = bench.submit()
    assert submitted in told or bench.look(submitted) in told


@each
def test_what_is_no_picture_is_not_brought_home(bench: Bench) -> None:
    assert isinstance(bench.simulator, Paints)
    bench.simulator.picture = b"\x89PNG\r\n\x1a\nnonsense"
    assert bench.fetch(bench.buy()) == "CLIP_UNREADABLE"


@each_task
def test_a_task_is_pending_until_it_is_finished(bench: Bench) -> None:
    bench.simulator.fail(bench.case.buys, Fault.NEVER)
    task_id = bench.submit()
    assert isinstance(bench.look(task_id), Pending)
    bench.simulator.tasks[str(task_id)].fault = None
    assert isinstance(bench.look(task_id), Made)


@each_task
@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.BROKEN, Fault.GATEWAY, Fault.DROPPED, Fault.MALFORMED])
def test_a_look_that_fails_is_repeated(bench: Bench, fault: Fault) -> None:
    task_id = bench.submit()
    bench.simulator.fail("task", fault)
    assert bench.look(task_id) in {"not now", "away"}
    assert isinstance(bench.look(task_id), Made)


@each_task
def test_only_a_task_that_has_not_begun_can_be_stopped(bench: Bench) -> None:
    bench.simulator.generation_s = 3600.0
    waiting = str(bench.submit())
    bench.provider.cancel(waiting)
    assert bench.simulator.tasks[waiting].is_canceled
    assert bench.look(waiting) == "RENDER_FAILED"
    bench.simulator.fail(bench.case.buys, Fault.NEVER)
    begun = str(bench.submit())
    bench.provider.cancel(begun)
    bench.provider.cancel("unknown")
    assert not bench.simulator.tasks[begun].is_canceled


@each_task
def test_a_lost_task_cannot_be_looked_up(bench: Bench) -> None:
    assert bench.reconcile(3600.0) == "unknown"


@each
def test_every_size_of_every_model_is_one_that_the_service_takes(bench: Bench) -> None:
    offer = offer_of(bench)
    assert offer.model in offer.models
    for model, facts in offer.models.items():
        for number, size in enumerate(facts.sizes):
            request = msgspec.structs.replace(bench.case.request, model=model, size=size, seed=7)
            bench.provider.submit(request, idempotency_key=f"{model}-{number}")


@each
@pytest.mark.parametrize(
    "words", [*WORDS.values(), "fox --ratio 16:9 " + "runs and jumps " * 4000], ids=[*WORDS, "more"]
)
def test_whatever_is_said_changes_the_prompt_and_nothing_else(bench: Bench, words: str) -> None:
    for number, prompt in enumerate(("A sun rises.", words)):
        bench.submit(key=f"{KEY}{number}", prompt=prompt)
    harmless, order = bench.simulator.asked(bench.case.buys)
    (where,) = changed(harmless, order)
    assert where.rpartition(".")[2] in {"prompt", "text"}
    told = text_at(order, where)
    assert is_clean(told)
    assert len(told.encode("utf-16-le")) / 2 <= offer_of(bench).models[bench.case.request.model].prompt_max_chars


@pytest.mark.parametrize("bench", ["openai"], indirect=True)
@pytest.mark.parametrize(("size", "nearest"), [("1500x1000", "1536x1024"), ("900x1600", "1024x1536")])
def test_the_nearest_size_comes_first(bench: Bench, size: str, nearest: str) -> None:
    with pytest.raises(StudioError) as caught:
        bench.provider.submit(msgspec.structs.replace(bench.case.request, size=size), idempotency_key=KEY)
    assert str(caught.value.params["nearest"]).split(", ")[0] == nearest


@pytest.mark.parametrize(("bench", "micros"), [("z-image", 14_340), ("wan", None)], indirect=["bench"])
def test_the_price_is_the_cards(bench: Bench, micros: int | None) -> None:
    assert bench.provider.estimate(bench.case.request) == micros
