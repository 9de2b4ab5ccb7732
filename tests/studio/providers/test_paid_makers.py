"""What holds for all painters and voices that are paid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from structlog.testing import capture_logs

from studio.errors import StudioError
from studio.objects import StoreUnavailable
from studio.providers import Capability, cards
from studio.settings import Settings
from tests.providers.simulator import Fault
from tests.studio.providers.asking import BUYING, outcome
from tests.studio.providers.makers import CASES, KEY, PAINTERS, TASKS, Bench, at

FETCHING = {
    Fault.EXPIRED: "CLIP_GONE",
    Fault.MALFORMED: "CLIP_UNREADABLE",
    Fault.TRUNCATED: "away",
    Fault.LOST: "away",
    Fault.DROPPED: "away",
    Fault.GATEWAY: "away",
    Fault.BROKEN: "away",
}


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with at(CASES[request.param], tmp_path) as bench:
        yield bench


each = pytest.mark.parametrize("bench", CASES, indirect=True)
each_at_once = pytest.mark.parametrize("bench", [name for name in CASES if name not in TASKS], indirect=True)
each_with_an_address = pytest.mark.parametrize(
    "bench", [name for name, case in CASES.items() if case.fetches], indirect=True
)


# --- what is refused before anything is sent


@each
def test_an_unknown_model_is_told_before_anything_is_sent(bench: Bench) -> None:
    request = msgspec.structs.replace(bench.case.request, model="none")
    assert outcome(lambda: bench.provider.estimate(request)) == "MODEL_UNKNOWN"
    assert bench.submit(model="none") == "MODEL_UNKNOWN"
    assert not bench.simulator.requests


@pytest.mark.parametrize(
    ("bench", "field", "value", "named"),
    [
        (name, field, value, named)
        for name in CASES
        for field, value, named in (
            [("size", size, size) for size in ("9999x9999", "1025x1024", "large")]
            if name in PAINTERS
            else [("voice", "nobody", "nobody"), ("text", "了" * 5000, "5000")]
        )
    ],
    indirect=["bench"],
)
def test_what_the_card_does_not_offer_is_refused_before_anything_is_sent(
    bench: Bench, field: str, value: str, named: str
) -> None:
    request = msgspec.structs.replace(bench.case.request, **{field: value})
    with pytest.raises(StudioError) as caught:
        bench.provider.submit(request, idempotency_key=KEY)
    assert caught.value.symbol == "CLIP_NOT_OFFERED"
    assert named in caught.value.params.values()
    assert not bench.simulator.requests


# --- what comes of a purchase


@each
@pytest.mark.parametrize("fault", BUYING)
def test_each_fault_of_a_purchase_is_told_for_what_it_is(bench: Bench, fault: Fault) -> None:
    bench.simulator.fail(bench.case.buys, fault)
    assert bench.submit() == BUYING[fault]
    assert bench.bought == 1, "nothing is sent twice"
    assert bench.kept == []


@each
def test_a_slow_answer_is_an_answer(bench: Bench) -> None:
    bench.simulator.slow_s = 0.1
    bench.simulator.fail(bench.case.buys, Fault.SLOW)
    assert bench.buy()


@each
def test_a_service_that_cannot_be_reached_has_accepted_nothing(bench: Bench) -> None:
    bench.simulator.url = "http://127.0.0.1:9"
    assert bench.submit() == "away"


@each
def test_the_logs_hold_neither_words_nor_keys_nor_addresses(bench: Bench) -> None:
    with capture_logs() as logs:
        bench.fetch(bench.buy())
    assert logs
    for secret in ("狐狸", bench.simulator.key, KEY, "Signature", "http"):
        assert secret not in str(logs)


@each_with_an_address
@pytest.mark.parametrize("fault", FETCHING)
def test_each_fault_of_a_download_is_told_for_what_it_is(bench: Bench, fault: Fault) -> None:
    made = bench.buy()
    bench.simulator.fail(bench.case.fetches, fault)
    assert bench.fetch(made) == FETCHING[fault]
    assert bench.fetch(made) is None, "it is kept there, and can be fetched later"
    assert bench.bought == 1, "what is paid for is fetched again, not bought again"


# --- those that answer at once


@each_at_once
def test_the_same_key_buys_once(bench: Bench) -> None:
    first = bench.submit()
    assert bench.submit() == first
    assert bench.reconcile(0.0) == first
    assert bench.bought == 1


@each_at_once
def test_a_lost_answer_stays_unknown_as_soon_as_it_cannot_come_any_more(bench: Bench) -> None:
    bench.simulator.fail(bench.case.buys, Fault.DROPPED)
    assert bench.submit() == "unknown"
    capability = Capability.PAINTER if bench.case in PAINTERS.values() else Capability.VOICE
    longest_s = cards.load(bench.provider.name, Settings()).offer(capability).unknown_for_s
    assert bench.reconcile(longest_s - 3.0) == "in 3 s"
    assert bench.reconcile(longest_s) == "unknown"


@each_at_once
def test_what_is_forgotten_is_gone(bench: Bench) -> None:
    made = bench.buy()
    bench.provider.forget(made)
    bench.provider.forget(made)
    assert bench.kept == []
    assert bench.fetch(made) == "CLIP_GONE"


@each_at_once
def test_while_the_bucket_is_away_nothing_is_bought(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.store, "head", away)
    assert bench.submit() == "not now"
    assert not bench.simulator.requests


@each_at_once
def test_what_was_bought_and_cannot_be_kept_is_lost_and_not_to_be_bought_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.store, "upload", away)
    assert bench.submit() == "unknown"
    assert bench.bought == 1


def away(*_arguments: object, **_options: object) -> NoReturn:
    raise StoreUnavailable("away")
