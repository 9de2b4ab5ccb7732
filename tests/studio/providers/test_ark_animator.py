"""Against the simulator of Ark, over real HTTP."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.providers import AnimationRequest, ClipFormat, Made, Pending, ark_animator
from studio.providers.ark_animator import ArkAnimator
from tests.providers import ark_video
from tests.providers.ark_simulator import ArkSimulator
from tests.providers.simulator import Fault
from tests.studio.providers.animators import Bench, at, nothing

FIRST = "doubao-seedance-1-0-pro-250528"
SECOND = "doubao-seedance-2-0-260128"
FORMAT = ClipFormat(model=FIRST, seconds=5, ratio="adaptive", resolution="480p")
REQUEST = AnimationRequest(
    drawing_key="drawing.png",
    voice_key=None,
    folder="render/v1/",
    title="小狗",
    prompt="小狗跑过草地",
    language="zh",
    format=FORMAT,
)
OF_SECOND = msgspec.structs.replace(REQUEST, format=msgspec.structs.replace(FORMAT, model=SECOND))
UNKNOWN_FOR_S = 120.0


@pytest.fixture
def ark() -> ArkSimulator:
    return ArkSimulator()


@pytest.fixture
def bench(ark: ArkSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with at("ark", ark, tmp_path, monkeypatch) as bench:
        yield bench


@pytest.fixture
def animator(bench: Bench) -> ArkAnimator:
    animator = bench.animator
    assert isinstance(animator, ArkAnimator)
    return animator


def sent(ark: ArkSimulator) -> dict[str, Any]:
    return dict(ark.asked("create")[-1].json)


# --- what is asked for


def test_all_that_is_charged_for_is_named_in_fields_of_its_own(animator: ArkAnimator, ark: ArkSimulator) -> None:
    animator.submit(REQUEST, idempotency_key="k1")
    body = sent(ark)
    content = body.pop("content")
    seed = body.pop("seed")
    assert 0 <= seed < 2**32
    assert body == {
        "model": FIRST,
        "resolution": "480p",
        "ratio": "adaptive",
        "duration": 5,
        "watermark": True,
        "execution_expires_after": 3600,
    }
    assert content[0] == {"type": "text", "text": "小狗跑过草地"}
    assert (content[1]["type"], content[1]["role"]) == ("image_url", "first_frame")


def test_the_second_generation_is_marked_in_another_way_and_told_to_be_silent(
    animator: ArkAnimator, ark: ArkSimulator
) -> None:
    animator.submit(OF_SECOND, idempotency_key="k1")
    body = sent(ark)
    assert "seed" not in body
    assert len(body["safety_identifier"]) == 64
    assert body["generate_audio"] is False


def test_the_mark_follows_from_the_key_and_hides_it(animator: ArkAnimator, ark: ArkSimulator) -> None:
    for key in ("k1", "k1", "k2"):
        animator.submit(OF_SECOND, idempotency_key=key)
    marks = [request.json["safety_identifier"] for request in ark.asked("create")]
    assert marks[0] == marks[1] != marks[2]
    assert "k1" not in marks[0]


@pytest.mark.parametrize("size", [(1600, 200), (200, 1600), (90, 60), (7000, 5000)])
def test_a_drawing_of_any_shape_is_made_to_fit(
    bench: Bench, animator: ArkAnimator, ark: ArkSimulator, size: tuple[int, int]
) -> None:
    Image.new("RGB", size, "red").save(bench.folder / "other.png")
    bench.store.put("drawing.png", bench.folder / "other.png")
    animator.submit(REQUEST, idempotency_key="k1")
    assert sent(ark)["content"][1]["image_url"]["url"].startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("words", ["--dur 12", "他说 --duration 12 --rs 1080p", "x--seed 3", "-- --dur 12"])
def test_a_childs_words_cannot_become_parameters(animator: ArkAnimator, ark: ArkSimulator, words: str) -> None:
    request = msgspec.structs.replace(REQUEST, prompt=f"小狗跑过草地「{words}」")
    task = ark.tasks[animator.submit(request, idempotency_key="k1")]
    assert (task.asked["duration"], task.asked["resolution"]) == (5, "480p")
    assert task.asked["seed"] == sent(ark)["seed"]


def test_a_long_prompt_is_cut_and_its_quotation_closed(animator: ArkAnimator, ark: ArkSimulator) -> None:
    animator.submit(msgspec.structs.replace(REQUEST, prompt=f"故事：「{'很久以前，' * 300}」"), idempotency_key="k1")
    text = sent(ark)["content"][0]["text"]
    assert len(text) <= 500
    assert text.endswith("」")


def test_the_tokens_that_were_used_are_charged(animator: ArkAnimator) -> None:
    provider_id = animator.submit(REQUEST, idempotency_key="k1")
    found = animator.look(provider_id, REQUEST, progress=nothing)
    assert isinstance(found, Made)
    # 736x544, 24 frames a second, 5 seconds: 46,920 tokens at 15 yuan for a million.
    assert found.micros == 703_800


def test_the_price_is_told_before(animator: ArkAnimator) -> None:
    assert animator.estimate(REQUEST) == 729_000
    assert animator.estimate(OF_SECOND) is None
    assert not animator.is_free


def test_no_less_is_estimated_than_is_charged(animator: ArkAnimator) -> None:
    model = animator.offer.models[FIRST]
    assert model.micros_per_million_tokens
    for resolution, sizes in ark_video.SIZES.items():
        for width, height in sizes:
            micros = width * height * 24 / 1024 * model.micros_per_million_tokens / 1e6
            assert model.micros_per_second[resolution] >= micros


# --- what becomes of a call


@pytest.mark.parametrize("fault", [Fault.DROPPED, Fault.MALFORMED])
@pytest.mark.parametrize("request_", [REQUEST, OF_SECOND], ids=["seed", "identifier"])
def test_a_lost_answer_is_found_in_the_list(
    animator: ArkAnimator, ark: ArkSimulator, fault: Fault, request_: AnimationRequest
) -> None:
    animator.submit(request_, idempotency_key="another")
    ark.fail("create", fault)
    with pytest.raises(OutcomeUnknown):
        animator.submit(request_, idempotency_key="k1")
    accepted = list(ark.tasks)[-1]
    assert animator.reconcile(request_, idempotency_key="k1", age_s=1.0) == accepted
    assert len(ark.tasks) == 2


# --- looking it up


def test_what_is_not_in_the_list_may_turn_up_for_a_while_and_then_never_was(animator: ArkAnimator) -> None:
    with pytest.raises(NotNow) as early:
        animator.reconcile(REQUEST, idempotency_key="k1", age_s=UNKNOWN_FOR_S - 1)
    assert early.value.retry_after_s == pytest.approx(1.0)
    assert animator.reconcile(REQUEST, idempotency_key="k1", age_s=UNKNOWN_FOR_S + 1) is None


@pytest.mark.parametrize("newest_first", [True, False])
def test_the_list_is_walked_in_whatever_order_it_is(
    animator: ArkAnimator, ark: ArkSimulator, monkeypatch: pytest.MonkeyPatch, *, newest_first: bool
) -> None:
    monkeypatch.setattr("studio.providers.ark_animator.PAGE_SIZE", 2)
    ark.newest_first = newest_first
    ids = [animator.submit(REQUEST, idempotency_key=f"k{number}") for number in range(5)]
    for number, provider_id in enumerate(ids):
        ark.tasks[provider_id].accepted_at += number - 5
    assert animator.reconcile(REQUEST, idempotency_key="k0", age_s=10.0) == ids[0]
    assert animator.reconcile(REQUEST, idempotency_key="k4", age_s=10.0) == ids[4]


def test_a_list_that_begins_with_the_newest_is_read_no_further_than_the_call(
    animator: ArkAnimator, ark: ArkSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.providers.ark_animator.PAGE_SIZE", 2)
    for number in range(6):
        ark.tasks[animator.submit(REQUEST, idempotency_key=f"k{number}")].accepted_at -= 24 * 3600 + number
    assert animator.reconcile(REQUEST, idempotency_key="new", age_s=UNKNOWN_FOR_S + 1) is None
    assert len(ark.asked("list")) == 1


@pytest.mark.parametrize(("hidden", "request_"), [("safety_identifier", OF_SECOND), ("seed", REQUEST)])
def test_a_list_that_shows_no_marks_proves_nothing(
    animator: ArkAnimator, ark: ArkSimulator, hidden: str, request_: AnimationRequest
) -> None:
    ark.list_hides = frozenset({hidden})
    animator.submit(request_, idempotency_key="k1")
    with pytest.raises(NotNow):
        animator.reconcile(request_, idempotency_key="k1", age_s=1.0)
    with pytest.raises(OutcomeUnknown):
        animator.reconcile(request_, idempotency_key="k1", age_s=UNKNOWN_FOR_S + 1)


def test_what_is_older_than_the_list_is_not_known(animator: ArkAnimator, ark: ArkSimulator) -> None:
    with pytest.raises(OutcomeUnknown):
        animator.reconcile(REQUEST, idempotency_key="k1", age_s=8 * 24 * 3600.0)
    assert not ark.requests


@pytest.mark.parametrize(
    "fault",
    [Fault.LOST, Fault.GATEWAY, Fault.BROKEN, Fault.MALFORMED, Fault.UNAUTHORIZED, Fault.SPENT, Fault.NO_MODEL],
)
def test_a_list_that_cannot_be_read_proves_nothing(animator: ArkAnimator, ark: ArkSimulator, fault: Fault) -> None:
    ark.fail("list", fault)
    with pytest.raises(NotNow):
        animator.reconcile(REQUEST, idempotency_key="k1", age_s=UNKNOWN_FOR_S + 1)


def test_an_id_from_outside_is_believed_only_where_the_task_bears_the_mark(
    animator: ArkAnimator, ark: ArkSimulator
) -> None:
    ours = animator.submit(REQUEST, idempotency_key="k1")
    other = animator.submit(REQUEST, idempotency_key="k2")
    assert animator.recognises(ours, REQUEST, idempotency_key="k1")
    assert not animator.recognises(other, REQUEST, idempotency_key="k1")
    assert not animator.recognises("cgt-unknown", REQUEST, idempotency_key="k1")
    asked = len(ark.requests)
    assert not animator.recognises("../../chat/completions", REQUEST, idempotency_key="k1")
    assert len(ark.requests) == asked
    ark.fail("look", Fault.BROKEN)
    with pytest.raises(Away):
        animator.recognises(ours, REQUEST, idempotency_key="k1")


# --- looking


@pytest.mark.parametrize(
    ("code", "symbol"),
    [
        ("OutputVideoSensitiveContentDetected.PolicyViolation", "CONTENT_REJECTED"),
        ("InputImageRiskDetection", "CONTENT_REJECTED"),
        ("InvalidParameter.duration", "PROVIDER_REFUSED"),
        ("ServerOverloaded", "RENDER_FAILED"),
        ("ContentSecurityDetectionError", "RENDER_FAILED"),
        ("AccountOverdueError", "RENDER_FAILED"),
        ("ModelNotOpen", "RENDER_FAILED"),
        ("", "RENDER_FAILED"),
    ],
)
def test_a_failed_task_ends_whatever_its_code(
    animator: ArkAnimator, ark: ArkSimulator, monkeypatch: pytest.MonkeyPatch, code: str, symbol: str
) -> None:
    monkeypatch.setattr(ark_video, "_failure", lambda _fault: {"code": code, "message": "小狗"})
    ark.fail("create", Fault.FAILED)
    provider_id = animator.submit(REQUEST, idempotency_key="k1")
    with pytest.raises(StudioError) as caught:
        animator.look(provider_id, REQUEST, progress=nothing)
    assert caught.value.symbol == symbol
    assert "小狗" not in str(caught.value.params)


def test_an_expired_task_is_late(animator: ArkAnimator, ark: ArkSimulator) -> None:
    ark.fail("create", Fault.NEVER)
    provider_id = animator.submit(REQUEST, idempotency_key="k1")
    assert animator.look(provider_id, REQUEST, progress=nothing) == Pending()
    ark.tasks[provider_id].accepted_at -= 3601
    with pytest.raises(StudioError) as caught:
        animator.look(provider_id, REQUEST, progress=nothing)
    assert caught.value.symbol == "PROVIDER_TIMEOUT"


def test_a_task_ends_at_ark_before_nobody_waits_for_it_any_more(animator: ArkAnimator, ark: ArkSimulator) -> None:
    animator.submit(REQUEST, idempotency_key="k1")
    assert animator.limit_s is not None
    assert sent(ark)["execution_expires_after"] < animator.limit_s


def test_a_record_that_is_missing_may_only_be_late(animator: ArkAnimator) -> None:
    assert animator.look("cgt-unknown", REQUEST, progress=nothing) == Pending()


def test_a_state_that_nobody_knows_is_waited_for(
    animator: ArkAnimator, ark: ArkSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider_id = animator.submit(REQUEST, idempotency_key="k1")
    monkeypatch.setattr(ark, "state", lambda _task: "dreaming")
    assert animator.look(provider_id, REQUEST, progress=nothing) == Pending()


# --- canceling


def test_what_waits_is_taken_out_of_the_queue(animator: ArkAnimator, ark: ArkSimulator) -> None:
    ark.queue_s = 60.0
    provider_id = animator.submit(REQUEST, idempotency_key="k1")
    animator.cancel(provider_id)
    assert ark.tasks[provider_id].is_canceled
    with pytest.raises(StudioError):
        animator.look(provider_id, REQUEST, progress=nothing)


def test_what_runs_is_finished_or_unknown_is_left_alone(animator: ArkAnimator, ark: ArkSimulator) -> None:
    finished = animator.submit(REQUEST, idempotency_key="k1")
    ark.fail("create", Fault.NEVER)
    running = animator.submit(REQUEST, idempotency_key="k2")
    for provider_id in (finished, running, "cgt-unknown"):
        animator.cancel(provider_id)
    assert set(ark.tasks) == {finished, running}
    assert not ark.asked("delete")


def test_a_task_that_began_to_run_just_then_is_no_error(
    animator: ArkAnimator, ark: ArkSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider_id = animator.submit(REQUEST, idempotency_key="k1")
    states = iter(["queued", "running"])
    monkeypatch.setattr(ark, "state", lambda _task: next(states))
    animator.cancel(provider_id)
    assert len(ark.asked("delete")) == 1
    assert not ark.tasks[provider_id].is_canceled


@pytest.mark.parametrize("fault", [Fault.BROKEN, Fault.BUSY, Fault.LOST])
def test_a_cancellation_that_did_not_arrive_is_repeated(animator: ArkAnimator, ark: ArkSimulator, fault: Fault) -> None:
    ark.queue_s = 60.0
    provider_id = animator.submit(REQUEST, idempotency_key="k1")
    ark.fail("delete", fault)
    with pytest.raises(NotNow):
        animator.cancel(provider_id)


# --- callbacks


@contextmanager
def hearing(answer: Callable[[int], int] = lambda _count: 200) -> Iterator[tuple[str, queue.Queue[dict[str, Any]]]]:
    """An address that takes callbacks, and what came to it. `answer` is the status by how many came."""
    heard: queue.Queue[dict[str, Any]] = queue.Queue()
    counts: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            counts.append(1)
            self.send_response(answer(len(counts)))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the base class's)
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_ark_calls_back_at_every_change(animator: ArkAnimator, ark: ArkSimulator) -> None:
    ark.queue_s, ark.generation_s = 0.1, 0.1
    with hearing() as (url, heard):
        provider_id = animator.submit(msgspec.structs.replace(REQUEST, callback_url=url), idempotency_key="k1")
        told = [heard.get(timeout=60) for _ in range(3)]
    assert [task["status"] for task in told] == ["queued", "running", "succeeded"]
    assert {task["id"] for task in told} == {provider_id}


def test_a_callback_tells_the_id_of_a_call_whose_answer_was_lost(animator: ArkAnimator, ark: ArkSimulator) -> None:
    with hearing() as (url, heard):
        ark.fail("create", Fault.DROPPED)
        request = msgspec.structs.replace(REQUEST, callback_url=url)
        with pytest.raises(OutcomeUnknown):
            animator.submit(request, idempotency_key="k1")
        assert animator.recognises(heard.get(timeout=60)["id"], request, idempotency_key="k1")


def test_an_end_that_is_not_acknowledged_is_told_three_times(animator: ArkAnimator, ark: ArkSimulator) -> None:
    with hearing(lambda _count: 500) as (url, heard):
        animator.submit(msgspec.structs.replace(REQUEST, callback_url=url), idempotency_key="k1")
        told = [heard.get(timeout=60)["status"] for _ in range(5)]
    assert told == ["queued", "running", "succeeded", "succeeded", "succeeded"]


# --- the simulator is strict


@pytest.mark.parametrize(
    "change",
    [
        {"duration": 13},
        {"duration": "5"},
        {"resolution": "4k"},
        {"ratio": "2:1"},
        {"seed": 2**32},
        {"generate_audio": False},
        {"negative_prompt": "x"},
        {"execution_expires_after": 60},
        {"safety_identifier": "x" * 65},
        {"content": []},
        {"content": [{"type": "image_url", "image_url": {"url": "data:image/JPEG;base64,AAAA"}}]},
        {"model": "doubao-seedance-0-9"},
    ],
)
def test_the_simulator_takes_nothing_that_ark_would_not(
    animator: ArkAnimator, ark: ArkSimulator, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    right = ark_animator._mark
    body = ArkAnimator._body
    monkeypatch.setattr(ArkAnimator, "_body", lambda *given: {**body(*given), **change})
    if change.keys() & {"seed", "safety_identifier"}:
        # The mark comes after the body.
        ((field, value),) = change.items()
        monkeypatch.setattr(ark_animator, "_mark", lambda *given: right(*given)._replace(field=field, value=value))
    with pytest.raises(StudioError):
        animator.submit(REQUEST, idempotency_key="k1")
    assert not ark.tasks
