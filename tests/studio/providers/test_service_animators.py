"""The promises that each animator of an outside service keeps, at its simulator: above all, which fault of a paid call
leaves it open whether it was accepted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from studio.providers import Made, Pending
from studio.providers.cards import prefix_of
from studio.providers.quoting import as_data
from tests.providers.simulator import Fault, Request, Simulator
from tests.providers.simulators import ANIMATORS
from tests.studio.providers.animators import KEY, Bench, at
from tests.studio.providers.asking import BUYING, outcome
from tests.studio.providers.hostile import WORDS, changed, is_clean, text_at

# A node of one's own charges nothing, and has tests of its own.
PROVIDERS = [name for name in ANIMATORS if name != "node"]

# What a service of films says of its own faults does not tell that it accepted nothing. Only "unknown" is looked up
# before anything else is sent.
CREATING = BUYING | {Fault.BROKEN: "unknown"}
ELSEWHERE = {
    # Its documentation says that these may be sent again, and it checks the content later.
    ("runway", Fault.BROKEN): "away",
    ("runway", Fault.GATEWAY): "away",
    ("runway", Fault.REJECTED): "PROVIDER_REFUSED",
}

# What becomes of a look, which may always be repeated.
LOOKING = {
    Fault.BUSY: "not now",
    Fault.BROKEN: "away",
    Fault.GATEWAY: "away",
    Fault.DROPPED: "away",
    Fault.MALFORMED: "away",
    Fault.UNAUTHORIZED: "PROVIDER_ACCOUNT",
}


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def simulator(provider: str) -> Simulator:
    simulator = ANIMATORS[provider]()
    simulator.slow_s = 0.3
    return simulator


@pytest.fixture
def bench(provider: str, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with at(provider, simulator, tmp_path, monkeypatch) as bench:
        yield bench


def test_a_clip_is_asked_for_looked_at_and_brought_home(bench: Bench, simulator: Simulator) -> None:
    provider_id = bench.submit()
    assert list(simulator.tasks) == [provider_id]
    clip = bench.look(provider_id)
    assert isinstance(clip, Made)
    assert bench.fetch(clip) == simulator.film
    bench.animator.forget(clip)


@pytest.mark.parametrize("fault", CREATING)
def test_a_fault_of_the_paid_call_comes_to(bench: Bench, simulator: Simulator, fault: Fault) -> None:
    simulator.fail("create", fault)
    assert outcome(bench.submit) == ELSEWHERE.get((bench.name, fault), CREATING[fault])
    assert len(simulator.asked("create")) == 1, "nothing is sent twice"


def test_a_slow_answer_is_an_answer(bench: Bench, simulator: Simulator) -> None:
    simulator.fail("create", Fault.SLOW)
    simulator.fail("look", Fault.SLOW)
    assert isinstance(bench.look(bench.submit()), Made)


def test_an_answer_that_does_not_come_in_time_leaves_it_open(bench: Bench, simulator: Simulator) -> None:
    bench.change_card("[animator]\ntimeout_s = 0.1\n")
    simulator.fail("create", Fault.SLOW)
    assert outcome(bench.submit) == "unknown"


def test_without_a_connection_nothing_was_sent(bench: Bench) -> None:
    bench.patch.setenv(f"{prefix_of(bench.name)}_BASE_URL", "http://127.0.0.1:9")
    assert outcome(bench.submit) == "away"


@pytest.mark.parametrize(
    ("fault", "symbol"), [(Fault.REJECTED_LATER, "CONTENT_REJECTED"), (Fault.FAILED, "RENDER_FAILED")]
)
def test_what_goes_wrong_in_the_making_is_told_by_a_look(
    bench: Bench, simulator: Simulator, fault: Fault, symbol: str
) -> None:
    simulator.fail("create", fault)
    provider_id = bench.submit()
    assert outcome(lambda: bench.look(provider_id)) == symbol


def test_what_is_not_finished_is_pending(bench: Bench, simulator: Simulator) -> None:
    simulator.fail("create", Fault.NEVER)
    assert isinstance(bench.look(bench.submit()), Pending)


@pytest.mark.parametrize("fault", LOOKING)
def test_a_fault_of_a_look_comes_to(bench: Bench, simulator: Simulator, fault: Fault) -> None:
    provider_id = bench.submit()
    simulator.fail("look", fault)
    assert outcome(lambda: bench.look(provider_id)) == LOOKING[fault]
    assert isinstance(bench.look(provider_id), Made)


@pytest.mark.parametrize(("fault", "expected"), [(Fault.EXPIRED, "CLIP_GONE"), (Fault.TRUNCATED, "away")])
def test_a_fault_of_the_download_comes_to(bench: Bench, simulator: Simulator, fault: Fault, expected: str) -> None:
    provider_id = bench.submit()
    clip = bench.look(provider_id)
    simulator.fail("download", fault)
    assert outcome(lambda: bench.fetch(clip)) == expected
    assert bench.fetch(bench.look(provider_id)) == simulator.film


def test_canceling_twice_and_what_is_unknown_is_no_error(bench: Bench, simulator: Simulator) -> None:
    simulator.fail("create", Fault.NEVER)
    provider_id = bench.submit()
    for told in (provider_id, provider_id, "unknown"):
        bench.animator.cancel(told)


def test_a_childs_words_are_in_the_prompt_and_nowhere_else(bench: Bench, simulator: Simulator) -> None:
    provider_id = bench.submit()
    bench.look(provider_id)
    (order,) = simulator.asked("create")
    holding = [where for where, text in texts_in(order.json) if "小狐狸" in text]
    assert len(holding) == 1
    assert holding[0].rpartition(".")[2] in {"prompt", "promptText", "text"}
    assert "--" not in str([text for where, text in texts_in(order.json) if where == holding[0]])
    others = [f"{request.path} {request.query} {request.headers}" for _, request in simulator.requests]
    assert not any("狐" in words for words in others)


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_whatever_is_said_changes_the_prompt_and_nothing_else(bench: Bench, simulator: Simulator, words: str) -> None:
    """Whether a writer has quoted it or not."""
    harmless, bare, quoted = (
        asked_with(bench, simulator, prompt)
        for prompt in ("A sun rises.", words, f"A sun rises. {as_data(words, 'en')}")
    )
    clip, card = bench.request().format, bench.providers.card(bench.name)
    assert clip
    assert card
    assert card.animator
    for order in (bare, quoted):
        (where,) = changed(harmless, order)
        assert where.rpartition(".")[2] in {"prompt", "promptText", "text"}
        told = text_at(order, where)
        assert is_clean(told)
        assert len(told.encode("utf-16-le")) / 2 <= card.animator.models[clip.model].prompt_max_chars
    assert told.startswith('A sun rises. "')
    assert told.index('"', told.index('"') + 1) == len(told) - 1, "it ends where it is said to end"


def asked_with(bench: Bench, simulator: Simulator, prompt: str) -> Request:
    simulator.forget()
    bench.animator.submit(msgspec.structs.replace(bench.request(), prompt=prompt), idempotency_key=KEY)
    (order,) = simulator.asked("create")
    return order


def test_neither_keys_nor_words_nor_addresses_are_logged(bench: Bench, simulator: Simulator) -> None:
    simulator.fail("look", Fault.BROKEN)
    with capture_logs() as logs:
        provider_id = bench.submit()
        outcome(lambda: bench.look(provider_id))
        bench.fetch(bench.look(provider_id))
    assert logs
    for secret in (simulator.key, provider_id, KEY, "狐", simulator.url):
        assert secret not in str(logs)


def test_a_prompt_keeps_to_what_the_model_reads(bench: Bench) -> None:
    long = msgspec.structs.replace(bench.request(), prompt='A fox flies. "' + "小狐狸🦊 flew far away, " * 400 + '"')
    assert bench.animator.submit(long, idempotency_key=KEY)


def test_every_model_of_the_card_is_asked_as_the_service_documents_it(bench: Bench) -> None:
    card = bench.providers.card(bench.name)
    assert card
    assert card.animator
    for number, (name, model) in enumerate(card.animator.models.items()):
        for seconds in model.seconds:
            for resolution in model.resolutions or (None,):
                request = bench.request(model=name, seconds=seconds, resolution=resolution)
                key = f"{KEY}-{number}-{seconds}-{resolution}"
                assert bench.animator.submit(request, idempotency_key=key)


def test_a_model_that_the_card_has_not_any_more_is_told_before_anything_is_sent(
    bench: Bench, simulator: Simulator
) -> None:
    request = bench.request()
    assert request.format
    old = msgspec.structs.replace(request, format=msgspec.structs.replace(request.format, model="retired"))
    assert outcome(lambda: bench.animator.submit(old, idempotency_key=KEY)) == "MODEL_UNKNOWN"
    assert not simulator.requests


def test_a_drawing_that_is_gone_is_told_before_anything_is_sent(bench: Bench, simulator: Simulator) -> None:
    request = msgspec.structs.replace(bench.request(), drawing_key="none.png")
    assert outcome(lambda: bench.animator.submit(request, idempotency_key=KEY)) == "NO_DRAWING"
    assert not simulator.requests


def test_the_price_is_estimated_where_the_card_knows_one(bench: Bench) -> None:
    request = bench.request()
    assert request.format
    assert bench.animator.estimate(request) is None
    model = json.dumps(request.format.model)
    price = f"{json.dumps(request.format.resolution)} = 50000"
    bench.change_card(f"[animator.models.{model}.micros_per_second]\n{price}\n")
    assert bench.animator.estimate(request) == 50_000 * request.format.seconds


def texts_in(value: object, where: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a JSON value, with the names that lead to it."""
    match value:
        case str():
            yield where, value
        case dict():
            for name, inner in value.items():
                yield from texts_in(inner, f"{where}.{name}")
        case list():
            for inner in value:
                yield from texts_in(inner, where)
