from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from studio.errors import StudioError
from studio.providers import Made, Pending
from tests.providers.runway import RunwaySimulator
from tests.providers.simulator import Fault
from tests.studio.providers.animators import Bench, at
from tests.studio.providers.asking import outcome


@pytest.fixture
def simulator() -> RunwaySimulator:
    return RunwaySimulator()


@pytest.fixture
def runway(simulator: RunwaySimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with at("runway", simulator, tmp_path, monkeypatch) as bench:
        yield bench


def test_a_throttled_task_waits_at_runway(runway: Bench, simulator: RunwaySimulator) -> None:
    simulator.waiting_status = "THROTTLED"
    simulator.generation_s = 3600.0
    assert runway.look(runway.submit()) == Pending()


def test_an_unknown_status_is_waited_for(runway: Bench, simulator: RunwaySimulator) -> None:
    simulator.waiting_status = "DREAMING"
    simulator.generation_s = 3600.0
    assert runway.look(runway.submit()) == Pending()


def test_a_running_task_says_how_far_it_is(runway: Bench, simulator: RunwaySimulator) -> None:
    simulator.generation_s = 3600.0
    assert runway.look(runway.submit()) == Pending(0.5)


@pytest.mark.parametrize(
    ("code", "symbol"),
    [
        ("SAFETY.INPUT.TEXT", "CONTENT_REJECTED"),
        ("SAFETY.OUTPUT.IMAGE", "CONTENT_REJECTED"),
        ("INPUT_PREPROCESSING.SAFETY.TEXT", "CONTENT_REJECTED"),
        ("INPUT_PREPROCESSING.INTERNAL", "PROVIDER_REFUSED"),
        ("ASSET.INVALID", "PROVIDER_REFUSED"),
        ("INTERNAL.BAD_OUTPUT.CODE01", "RENDER_FAILED"),
        ("INTERNAL", "RENDER_FAILED"),
        ("THIRD_PARTY.UNAVAILABLE", "RENDER_FAILED"),
        (None, "RENDER_FAILED"),
    ],
)
def test_a_failure_code_is_known_by_how_it_begins(
    runway: Bench, simulator: RunwaySimulator, code: str | None, symbol: str
) -> None:
    simulator.failure_code = code
    simulator.fail("create", Fault.FAILED)
    task_id = runway.submit()
    assert outcome(lambda: runway.look(task_id)) == symbol


def test_a_clip_whose_address_has_expired_is_found_by_another_look(runway: Bench, simulator: RunwaySimulator) -> None:
    task_id = runway.submit()
    old = runway.look(task_id)
    simulator.fail("download", Fault.EXPIRED)
    assert outcome(lambda: runway.fetch(old)) == "CLIP_GONE"
    fresh = runway.look(task_id)
    assert fresh.location != old.location
    assert runway.fetch(fresh) == simulator.film


def test_a_task_that_is_gone_has_no_clip_any_more(runway: Bench) -> None:
    task_id = runway.submit()
    runway.animator.cancel(task_id)
    assert outcome(lambda: runway.look(task_id)) == "CLIP_GONE"


def test_credits_become_money_where_the_card_knows_their_price(runway: Bench) -> None:
    found = runway.look(runway.submit(seconds=4))
    assert isinstance(found, Made)
    assert found.micros is None
    runway.change_card("[animator]\nmicros_per_unit = 10000\n")
    found = runway.look(runway.submit(seconds=4))
    assert found.micros == 20 * 10_000


@pytest.mark.parametrize(("fault", "micros"), [(Fault.FAILED, 0), (Fault.REJECTED_LATER, 200_000)])
def test_a_task_that_failed_says_what_it_is_charged(
    runway: Bench, simulator: RunwaySimulator, fault: Fault, micros: int
) -> None:
    runway.change_card("[animator]\nmicros_per_unit = 10000\n")
    simulator.fail("create", fault)
    task_id = runway.submit(seconds=4)
    with pytest.raises(StudioError) as failed:
        runway.look(task_id)
    assert failed.value.micros == micros


def test_what_took_no_credits_is_free_whatever_they_cost(runway: Bench, simulator: RunwaySimulator) -> None:
    simulator.fail("create", Fault.FAILED)
    task_id = runway.submit()
    with pytest.raises(StudioError) as failed:
        runway.look(task_id)
    assert failed.value.micros == 0


def test_what_a_day_allows_is_waited_for_longer_than_a_busy_minute(runway: Bench, simulator: RunwaySimulator) -> None:
    simulator.busy_words = "You have reached the daily generation limit."
    simulator.fail("create", Fault.BUSY)
    assert outcome(runway.submit) == "in 30 s"


def test_a_ratio_is_sent_in_pixels_and_only_where_the_model_takes_one(
    runway: Bench, simulator: RunwaySimulator
) -> None:
    runway.submit()
    runway.submit(ratio="9:16", seconds=10)
    runway.submit(model="kling2.5_turbo_pro")
    asked = [request.json for request in simulator.asked("create")]
    assert [one.get("ratio") for one in asked] == ["1104:832", "720:1280", None]
    assert [one["duration"] for one in asked] == [5, 10, 5]


def test_a_drawing_that_hardly_compresses_fits_into_a_data_uri(runway: Bench, simulator: RunwaySimulator) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (2048, 2048, 3), dtype=np.uint8)
    Image.fromarray(noise).save(runway.folder / "noise.png", compress_level=0)
    runway.store.put("drawing.png", runway.folder / "noise.png")
    assert runway.submit()
    assert 3_000_000 < len(simulator.asked("create")[0].json["promptImage"]) < 5_000_000
