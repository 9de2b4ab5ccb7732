"""Both generations of Kling's API: what is particular to them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from studio.errors import NotNow
from studio.providers import Made, Pending, kling_legacy_animator
from studio.providers.api import Answer, Meaning
from studio.providers.kling import read
from tests.providers.kling import KlingSimulator
from tests.providers.simulator import Fault
from tests.studio.providers.animators import KEY, Bench, at
from tests.studio.providers.asking import outcome


@pytest.fixture
def simulator() -> KlingSimulator:
    return KlingSimulator()


@pytest.fixture(params=["kling", "kling-legacy"])
def kling(
    request: pytest.FixtureRequest, simulator: KlingSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    with at(request.param, simulator, tmp_path, monkeypatch) as bench:
        yield bench


@pytest.mark.parametrize("fault", [Fault.DROPPED, Fault.MALFORMED])
def test_a_task_whose_answer_was_lost_is_found_by_our_mark(
    kling: Bench, simulator: KlingSimulator, fault: Fault
) -> None:
    simulator.fail("create", Fault.NEVER, fault)
    kling.animator.submit(kling.request(), idempotency_key="another")
    assert outcome(kling.submit) == "unknown"
    (task,) = simulator.marked(KEY)
    assert kling.reconcile(1.0) == task.id


def test_what_no_lookup_knows_was_never_accepted_once_it_would_have_turned_up(
    kling: Bench, simulator: KlingSimulator
) -> None:
    simulator.fail("create", Fault.LOST)
    assert outcome(kling.submit) == "unknown"
    with pytest.raises(NotNow) as early:
        kling.reconcile(1.0)
    assert early.value.retry_after_s == 5.0
    assert kling.reconcile(121.0) is None
    kling.submit()
    assert len(simulator.marked(KEY)) == 1


def test_a_mark_that_is_taken_means_that_it_was_accepted_before(kling: Bench, simulator: KlingSimulator) -> None:
    task_id = kling.submit()
    assert outcome(kling.submit) == "unknown"
    assert kling.reconcile(1.0) == task_id
    assert len(simulator.tasks) == 1


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault.BUSY, Fault.BROKEN, Fault.GATEWAY, Fault.DROPPED, Fault.MALFORMED),
        # What the account is refused says nothing of the call, and is set right by whoever runs the deployment.
        *(Fault.UNAUTHORIZED, Fault.SPENT, Fault.REJECTED),
    ],
)
def test_a_lookup_that_fails_is_no_proof(kling: Bench, simulator: KlingSimulator, fault: Fault) -> None:
    for operation in ("look", "list"):
        simulator.fail(operation, fault)
    assert outcome(lambda: kling.reconcile(3600.0)) in {"not now", "away"}


def test_a_call_is_looked_up_for_a_week(kling: Bench) -> None:
    kling.submit()
    assert outcome(lambda: kling.reconcile(8 * 24 * 3600.0)) == "unknown"


def test_a_list_that_begins_with_the_newest_is_looked_through_as_far_as_the_call(
    simulator: KlingSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kling_legacy_animator, "MOST_PAGES", 1)
    monkeypatch.setattr(kling_legacy_animator, "PAGE_SIZE", 1)
    with at("kling-legacy", simulator, tmp_path, monkeypatch) as kling:
        for number in range(3):
            kling.animator.submit(kling.request(), idempotency_key=f"before-{number}")
        for task in simulator.tasks.values():
            task.accepted_at -= 3600.0
        assert kling.reconcile(121.0) is None


def test_a_list_that_is_too_long_leaves_it_open(
    simulator: KlingSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kling_legacy_animator, "MOST_PAGES", 1)
    with at("kling-legacy", simulator, tmp_path, monkeypatch) as kling:
        kling.animator.submit(kling.request(), idempotency_key="another")
        assert outcome(lambda: kling.reconcile(3600.0)) == "unknown"


def test_a_lookup_that_tells_of_other_tasks_leaves_it_open(
    simulator: KlingSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with at("kling", simulator, tmp_path, monkeypatch) as kling:
        kling.submit()
        monkeypatch.setattr(KlingSimulator, "external_id_of", lambda _self, _task: "another")
        assert outcome(lambda: kling.reconcile(3600.0)) == "unknown"


def test_a_mark_is_looked_for_on_every_page(
    kling: Bench, simulator: KlingSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kling_legacy_animator, "PAGE_SIZE", 2)
    for number in range(5):
        kling.animator.submit(kling.request(), idempotency_key=f"mark-{number}")
    oldest = simulator.marked("mark-0")[0].id
    assert kling.animator.reconcile(kling.request(), idempotency_key="mark-0", age_s=1.0) == oldest


@pytest.mark.parametrize("code", [5000, 5001, 5002])
@pytest.mark.parametrize("status", [500, 503, 504])
def test_a_fault_of_its_own_leaves_it_open_whether_it_accepted(code: int, status: int) -> None:
    assert read(_answer(status, code)) is Meaning.UNCLEAR


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (200, 0, None),
        (401, 1000, Meaning.ACCOUNT),
        (401, 1001, Meaning.ACCOUNT),
        (401, 1002, Meaning.ACCOUNT),
        (401, 1003, Meaning.AWAY),
        (401, 1004, Meaning.AWAY),
        (429, 1100, Meaning.SPENT),
        (429, 1101, Meaning.SPENT),
        (429, 1102, Meaning.SPENT),
        (403, 1103, Meaning.ACCOUNT),
        (400, 1200, Meaning.REFUSED),
        (400, 1201, Meaning.REFUSED),
        (404, 1202, Meaning.REFUSED),
        (404, 1203, Meaning.NO_MODEL),
        (400, 1300, Meaning.REJECTED),
        (400, 1301, Meaning.REJECTED),
        (429, 1302, Meaning.BUSY),
        (429, 1303, Meaning.BUSY),
        (429, 1304, Meaning.ACCOUNT),
        # A code is a failure whatever the status says.
        (200, 1303, Meaning.BUSY),
        (200, 4711, Meaning.UNCLEAR),
        (500, 4711, Meaning.UNCLEAR),
    ],
)
def test_the_code_tells_what_a_refusal_means(status: int, code: int, meaning: Meaning | None) -> None:
    assert read(_answer(status, code)) is meaning


def _answer(status: int, code: int) -> Answer:
    return Answer(status, {}, msgspec.json.encode({"code": code, "message": "words"}), "kling-2.6")


def test_one_task_too_many_waits_for_another_to_end(kling: Bench, simulator: KlingSimulator) -> None:
    simulator.concurrent, simulator.generation_s = 1, 3600.0
    kling.submit()
    request = kling.request()
    assert outcome(lambda: kling.animator.submit(request, idempotency_key="another")) == "not now"
    assert len(simulator.tasks) == 1


@pytest.mark.parametrize(
    "words", ["Failure to pass the risk control system", "content violates our policy", "内容审核未通过"]
)
def test_a_failure_that_speaks_of_content_is_a_rejection(kling: Bench, simulator: KlingSimulator, words: str) -> None:
    simulator.failure_words = words
    simulator.fail("create", Fault.FAILED)
    task_id = kling.submit()
    assert outcome(lambda: kling.look(task_id)) == "CONTENT_REJECTED"


def test_units_become_money_where_the_card_knows_their_price(kling: Bench) -> None:
    kling.change_card("[animator]\nmicros_per_unit = 140001\n")
    found = kling.look(kling.submit())
    assert isinstance(found, Made)
    assert found.micros == 210_002, "1.5 units, and what is left of them is charged, too"


def test_a_public_deployment_tells_its_address(kling: Bench, simulator: KlingSimulator) -> None:
    simulator.is_prompt = False
    address = "https://huaban.example/api/webhook/kling/token"
    request = msgspec.structs.replace(kling.request(), callback_url=address)
    kling.animator.submit(request, idempotency_key=KEY)
    asked = simulator.asked("create")[0].json
    assert asked.get("options", asked)["callback_url"] == address


def test_a_task_that_a_query_does_not_show_yet_is_waited_for(kling: Bench) -> None:
    assert kling.look("800000000000") == Pending()


def test_a_narrow_drawing_gets_the_shape_that_kling_takes(kling: Bench, tmp_path: Path) -> None:
    from tests.studio import made

    kling.store.put("drawing.png", made.drawing(tmp_path / "narrow.png", (1200, 200)))
    assert kling.submit()


@pytest.mark.parametrize("ahead_s", [3600, -3600])
def test_a_token_of_a_wrong_clock_is_signed_anew_later(
    simulator: KlingSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    with at("kling-legacy", simulator, tmp_path, monkeypatch) as kling:
        with monkeypatch.context() as patch:
            patch.setattr(kling_legacy_animator, "_now", lambda: time.time() + ahead_s)
            assert outcome(kling.submit) == "away"
        assert kling.submit()


def test_the_key_of_one_generation_does_not_open_the_other(simulator: KlingSimulator) -> None:
    with simulator.running() as url:
        answer = httpx.get(f"{url}/v1/videos/image2video/1", headers={"Authorization": f"Bearer {simulator.key}"})
    assert answer.status_code == 401
