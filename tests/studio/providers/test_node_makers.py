"""Against the simulator of a model node, over real HTTP."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from studio.errors import NotNow, OutcomeUnknown
from studio.providers import Capability, Made, PaintingRequest, Pending, SpeechRequest
from studio.providers.node_makers import NodeAnimator, NodePainter, NodeVoice
from studio.settings import Settings
from tests.providers.node import NodeSimulator
from tests.providers.simulator import Fault, Reply
from tests.studio.made import drawing, tone, wav
from tests.studio.providers.animators import KEY, Bench, at, nothing
from tests.studio.providers.asking import BUYING, outcome
from tests.studio.providers.hostile import WORDS, changed, is_clean, text_at
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]

PICTURE = PaintingRequest(folder="paint/v1/", prompt="a fox --seed 3", language="en", model="sd_turbo", size="512x768")
SPEECH = SpeechRequest(
    folder="speech/v1/", text="从前有一只小狐狸。", language="zh", model="cosyvoice_mini", voice="default"
)


@pytest.fixture
def node() -> NodeSimulator:
    return NodeSimulator()


@pytest.fixture
def bench(node: NodeSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with at("node", node, tmp_path, monkeypatch) as bench:
        yield bench


@pytest.fixture(params=[Capability.ANIMATOR, Capability.PAINTER, Capability.VOICE])
def maker_and_request(
    request: pytest.FixtureRequest, bench: Bench, node: NodeSimulator, tmp_path: Path
) -> Iterator[tuple[Any, Any]]:
    """Each of the three, and what it is asked for. The node makes what each of them wants."""
    picture, speech = drawing(tmp_path / "picture.png"), wav(tmp_path / "speech.wav", tone(1.0))
    made: dict[Capability, tuple[type[Any], Any, bytes]] = {
        Capability.ANIMATOR: (NodeAnimator, bench.request(), node.film),
        Capability.PAINTER: (NodePainter, PICTURE, picture.read_bytes()),
        Capability.VOICE: (NodeVoice, SPEECH, speech.read_bytes()),
    }
    kind, asked, node.film = made[request.param]
    maker = kind(Settings(), bench.store.as_store)
    yield maker, asked
    maker._api._client.close()


def sent(node: NodeSimulator) -> dict[str, Any]:
    return dict(node.asked("create")[-1].json)


@pytest.mark.parametrize("hands_in", [False, True])
def test_what_was_made_is_fetched_from_the_node_or_was_handed_in(
    maker_and_request: tuple[Any, Any], node: NodeSimulator, bench: Bench, tmp_path: Path, *, hands_in: bool
) -> None:
    maker, request = maker_and_request
    node.hands_in = hands_in
    provider_id = maker.submit(request, idempotency_key=KEY)
    assert provider_id == KEY
    made = maker.look(provider_id, request, progress=nothing)
    assert isinstance(made, Made)
    assert made.location.startswith(request.folder if hands_in else node.url)
    maker.fetch(made, tmp_path / "made")
    assert (tmp_path / "made").read_bytes() == node.film
    maker.forget(made)
    assert bench.store.head(made.location) is None


def test_what_was_handed_in_is_stored_once(bench: Bench, node: NodeSimulator) -> None:
    node.hands_in = True
    provider_id = bench.submit()
    assert bench.look(provider_id) == bench.look(provider_id) == Made(f"render/v1/{KEY}.mp4")
    assert bench.store.uploads == 1
    bench.animator.forget(Made(f"render/v1/{KEY}.mp4"))
    assert outcome(lambda: bench.fetch(Made(f"render/v1/{KEY}.mp4"))) == "CLIP_GONE"


def test_a_node_charges_nothing(bench: Bench) -> None:
    assert bench.animator.is_free
    assert bench.animator.estimate(bench.request()) == 0


def test_a_film_is_asked_for_with_its_drawing_and_words(bench: Bench, node: NodeSimulator) -> None:
    bench.submit(seconds=4)
    body = sent(node)
    assert (body["id"], body["type"], body["model"]) == (KEY, "video", "svd_img2vid")
    assert set(body["input"]) == {"prompt", "language", "image", "seconds"}
    assert body["input"]["seconds"] == 4
    assert "--" not in body["input"]["prompt"]


def test_ratio_and_resolution_are_said_where_a_deployers_card_offers_them(bench: Bench, node: NodeSimulator) -> None:
    bench.change_card(
        '[animator.models.svd_img2vid]\nresolutions = ["576p"]\ndefault_resolution = "576p"\n'
        'ratios = { "16:9" = "1024x576" }\n'
    )
    bench.submit()
    assert (sent(node)["input"]["ratio"], sent(node)["input"]["resolution"]) == ("1024x576", "576p")


def test_a_job_that_is_asked_for_twice_is_one_job(bench: Bench, node: NodeSimulator) -> None:
    assert bench.submit() == bench.submit()
    assert len(node.tasks) == 1


# There is no money in it.
@pytest.mark.parametrize("fault", [Fault.SLOW, *(fault for fault in BUYING if fault is not Fault.SPENT)])
def test_a_fault_of_the_call_comes_to(maker_and_request: tuple[Any, Any], node: NodeSimulator, fault: Fault) -> None:
    maker, request = maker_and_request
    node.fail("create", fault)
    assert outcome(lambda: maker.submit(request, idempotency_key=KEY)) == BUYING.get(fault, KEY)
    assert len(node.asked("create")) == 1


def test_a_lost_answer_is_looked_up_by_our_own_id(bench: Bench, node: NodeSimulator) -> None:
    node.fail("create", Fault.DROPPED, Fault.LOST)
    with pytest.raises(OutcomeUnknown):
        bench.submit()
    assert bench.reconcile(0.0) == KEY
    node.forget()
    node.fail("create", Fault.LOST)
    with pytest.raises(OutcomeUnknown):
        bench.submit()
    with pytest.raises(NotNow):
        bench.reconcile(0.0)
    assert bench.reconcile(10.0) is None


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.GATEWAY, Fault.BROKEN, Fault.MALFORMED, Fault.UNAUTHORIZED])
def test_a_lookup_without_an_answer_proves_nothing(bench: Bench, node: NodeSimulator, fault: Fault) -> None:
    node.fail("look", fault)
    assert outcome(lambda: bench.reconcile(3600.0)) == "away"


def test_a_tunnel_that_finds_nobody_is_not_a_node_that_knows_no_job(
    bench: Bench, node: NodeSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.providers.node.error", lambda *_: Reply(404, b"<html>Not found</html>"))
    assert outcome(lambda: bench.reconcile(3600.0)) == "away"
    assert outcome(lambda: bench.look(KEY)) == "away"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [(Fault.REJECTED_LATER, "CONTENT_REJECTED"), (Fault.FAILED, "RENDER_FAILED")],
)
def test_what_goes_wrong_in_the_making_is_told_by_a_look(
    bench: Bench, node: NodeSimulator, fault: Fault, expected: str
) -> None:
    node.fail("create", fault)
    provider_id = bench.submit()
    assert outcome(lambda: bench.look(provider_id)) == expected


@pytest.mark.parametrize("code", ["unknown_model", "unauthorized", "busy", "unknown_job", "", "anything"])
def test_a_job_that_failed_is_over_whatever_its_code(
    bench: Bench, node: NodeSimulator, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    provider_id = bench.submit()
    failed = {"id": KEY, "status": "failed", "error": {"code": code, "message": "words"}}
    monkeypatch.setattr(node, "described", lambda _task: failed)
    assert outcome(lambda: bench.look(provider_id)) == "RENDER_FAILED"


def test_a_node_that_was_started_again_has_lost_its_jobs(bench: Bench, node: NodeSimulator) -> None:
    provider_id = bench.submit()
    node.tasks.clear()
    assert outcome(lambda: bench.look(provider_id)) == "RENDER_FAILED"


def test_progress_is_passed_on(bench: Bench, node: NodeSimulator) -> None:
    node.generation_s = 3600.0
    found = bench.look(bench.submit())
    assert isinstance(found, Pending)
    assert found.progress == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        {"url": ""},
        {"base64": "QUJD"},
        {"base64": "QUJD", "mime": "text/html"},
        {"base64": "no base64", "mime": "video/mp4"},
    ],
)
def test_a_result_that_makes_no_sense_is_no_clip(
    bench: Bench, node: NodeSimulator, monkeypatch: pytest.MonkeyPatch, result: object
) -> None:
    provider_id = bench.submit()
    monkeypatch.setattr(node, "described", lambda _task: {"id": KEY, "status": "finished", "result": result})
    assert outcome(lambda: bench.look(provider_id)) == "CLIP_UNREADABLE"


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_whatever_is_said_changes_the_words_and_nothing_else(
    maker_and_request: tuple[Any, Any], node: NodeSimulator, words: str
) -> None:
    maker, request = maker_and_request
    field = "text" if maker.kind == "speech" else "prompt"
    for said in ("A sun rises.", words[:400]):
        node.tasks.clear()
        maker.submit(msgspec.structs.replace(request, **{field: said}), idempotency_key=KEY)
    harmless, order = node.asked("create")
    assert changed(harmless, order) == [f".input.{field}"]
    # What is spoken is spoken as it is.
    assert is_clean(text_at(order, f".input.{field}")) or maker.kind == "speech"


@pytest.mark.parametrize("hands_in", [False, True])
def test_pictures_and_speech_that_do_not_decode_are_not_taken(
    maker_and_request: tuple[Any, Any], node: NodeSimulator, tmp_path: Path, *, hands_in: bool
) -> None:
    maker, request = maker_and_request
    node.film, node.hands_in = node.film[: len(node.film) // 2] if maker.kind == "image" else b"RIFF", hands_in
    made = maker.look(maker.submit(request, idempotency_key=KEY), request, progress=nothing)
    # A clip is looked at by the step that captures it.
    expected = None if maker.kind == "video" else "CLIP_UNREADABLE"
    assert outcome(lambda: maker.fetch(made, tmp_path / "made")) == expected


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/film.mp4", "http://169.254.169.254/", "file:///etc/passwd", "http://[::1/film"]
)
def test_nothing_is_fetched_from_the_nodes_neighbours(
    bench: Bench, node: NodeSimulator, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    provider_id = bench.submit()
    monkeypatch.setattr(node, "described", lambda _task: {"id": KEY, "status": "finished", "result": {"url": url}})
    assert outcome(lambda: bench.fetch(bench.look(provider_id))) == "CLIP_UNREADABLE"


def test_what_runs_is_stopped_and_what_is_unknown_is_no_error(bench: Bench, node: NodeSimulator) -> None:
    node.generation_s = 3600.0
    provider_id = bench.submit()
    for told in (provider_id, provider_id, "unknown"):
        bench.animator.cancel(told)
    assert node.tasks[provider_id].is_canceled
    assert outcome(lambda: bench.look(provider_id)) == "RENDER_FAILED"
    node.fail("cancel", Fault.BROKEN)
    assert outcome(lambda: bench.animator.cancel(provider_id)) == "away"


def test_a_node_without_a_key_is_asked_without_one(bench: Bench, node: NodeSimulator) -> None:
    bench.patch.delenv("NODE_API_KEY")
    assert outcome(bench.submit) == "PROVIDER_ACCOUNT"
    assert node.asked("create")[-1].headers.get("Authorization") is None


def test_the_address_of_the_node_has_to_be_set(bench: Bench) -> None:
    bench.patch.delenv("NODE_BASE_URL")
    with pytest.raises(ValueError, match=r"VIDEO_PROVIDER=node needs NODE_BASE_URL\."):
        bench.submit()


@pytest.mark.parametrize(
    ("kind", "request_"),
    [
        (NodeVoice, msgspec.structs.replace(SPEECH, text="啊" * 2001)),
        (NodeVoice, msgspec.structs.replace(SPEECH, voice="nobody")),
        (NodePainter, msgspec.structs.replace(PICTURE, size="100x100")),
        (NodePainter, msgspec.structs.replace(PICTURE, size="large")),
    ],
)
def test_what_the_card_does_not_offer_is_not_asked_for(
    bench: Bench, node: NodeSimulator, kind: type[Any], request_: Any
) -> None:
    maker = kind(Settings(), bench.store.as_store)
    assert outcome(lambda: maker.submit(request_, idempotency_key=KEY)) == "CLIP_NOT_OFFERED"
    assert not node.requests


def test_a_drawing_larger_than_the_node_takes_is_made_smaller(bench: Bench, node: NodeSimulator) -> None:
    Image.effect_noise((3000, 2000), 80).convert("RGB").save(bench.folder / "large.png")
    bench.store.put("drawing.png", bench.folder / "large.png")
    assert bench.submit() == KEY


@pytest.mark.parametrize(
    "change",
    [{"id": "a/b"}, {"type": "story"}, {"input": {}}, {"style": "movie"}, {"callback_url": "file:///x"}],
)
def test_the_simulator_takes_nothing_that_the_protocol_does_not_know(
    bench: Bench, node: NodeSimulator, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    animator = bench.animator
    assert isinstance(animator, NodeAnimator)
    buy = animator._api.buy

    def altered(method: str, path: str, **request: Any) -> Any:
        return buy(method, path, **{**request, "json": {**request["json"], **change}})

    monkeypatch.setattr(animator._api, "buy", altered)
    assert outcome(bench.submit) == "PROVIDER_REFUSED"
    assert not node.tasks


def test_the_program_in_the_documentation_is_a_node(bench: Bench, node: NodeSimulator, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "model-node.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "film.mp4").write_bytes(node.film)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "FILM": str(tmp_path / "film.mp4"), "PORT": str(port)}
    bench.patch.setenv("NODE_BASE_URL", f"http://127.0.0.1:{port}")
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL) as running:
        try:
            eventually(lambda: outcome(lambda: bench.reconcile(3600.0)) is None)
            provider_id = bench.submit()
            assert bench.submit() == provider_id
            eventually(lambda: isinstance(bench.look(provider_id), Made))
            assert bench.fetch(bench.look(provider_id)) == node.film
            bench.animator.cancel(provider_id)
            assert outcome(lambda: bench.look("unknown")) == "RENDER_FAILED"
        finally:
            running.terminate()
