"""An answer is bought once, and all that may come between is told apart, in the job and in the books."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dramatiq
import pytest

from app.client import Client
from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.jobs import UNFINISHED, JobStatus
from studio.providers import Capability, Pending
from tests.actors.belongings import let_an_hour_pass
from tests.actors.paying import PRICE, WORDS, Desk, Died, Entry, PaidWriter, Said
from tests.product import Product

KEYS = {"OPENAI_API_KEY": "test-key", "ANTHROPIC_API_KEY": "test-key"}
CARD = f'[writer]\nmodel = "ours"\n[writer.models.ours]\nmicros_per_call = {PRICE}\n'

Writes = Callable[..., None]


@pytest.fixture
def desk(
    client: Client, product: Product, drawing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    for name in ("openai", "anthropic"):
        (tmp_path / f"{name}.toml").write_text(CARD)
    monkeypatch.setenv("PROVIDER_CARDS", str(tmp_path))
    yield Desk(client, product, monkeypatch, drawing)
    product.studio.database["jobs"].delete_many({"status": {"$in": UNFINISHED}})
    product.broker.flush("default")


@pytest.fixture
def writes(desk: Desk) -> Writes:
    """Choose the writers, and order a story."""

    def choose(*writers: PaidWriter | str) -> None:
        desk.choose(Capability.WRITER, "LLM_PROVIDER", writers, KEYS)
        desk.order(kind="story")

    return choose


def call(
    state: str, booked: str, *, provider: str = "openai", refusal: str | None = None, micros: int = PRICE
) -> Entry:
    return Entry(provider, state, refusal, booked, 0 if booked == "refunded" else micros)


def test_an_answer_that_is_there_is_not_bought_again_when_the_worker_dies_before_it_is_used(
    desk: Desk, writes: Writes
) -> None:
    writer = PaidWriter("openai", Said(WORDS, micros=320))
    writes(writer)
    desk.run()
    assert desk.calls() == [call("accepted", "settled", micros=320)]
    desk.settle(desk.run())
    assert len(writer.keys) == 1
    assert desk.calls() == [call("closed", "settled", micros=320)]
    assert desk.client.get(f"/artworks/{desk.artwork_id}")["refinedText"] == WORDS.narration


def test_what_costs_so_much_as_was_reserved_is_settled_where_nothing_is_reported(desk: Desk, writes: Writes) -> None:
    writes(PaidWriter("openai", WORDS))
    desk.run()
    assert desk.calls() == [call("accepted", "settled", micros=PRICE)]


def test_nothing_is_asked_again_when_the_worker_dies_before_the_answer_is_stored(
    desk: Desk, writes: Writes, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = PaidWriter("openai", WORDS)
    writes(writer)

    def die(*_arguments: object, **_named: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(product.studio.submissions, "store_answer", die)
        with pytest.raises(Died):
            desk.run()
    assert desk.calls() == [call("sending", "reserved")]
    with pytest.raises(NotNow):
        desk.run()
    let_an_hour_pass(product, desk.job_id)
    stopped = desk.run()
    assert (stopped.status, stopped.failure.symbol) == (JobStatus.NEEDS_ATTENTION, "OUTCOME_UNKNOWN")
    assert len(writer.keys) == 1


@pytest.mark.parametrize("decision", ["ask_again", "give_up"])
def test_a_lost_answer_stops_for_a_person_who_may_have_it_asked_again(
    decision: str, desk: Desk, writes: Writes, worker: dramatiq.Worker
) -> None:
    writer = PaidWriter("openai", OutcomeUnknown(), WORDS)
    writes(writer)
    ended = desk.end()
    assert (ended["status"], ended["error"]["code"], ended["billing"]) == (
        "needs_attention", "OUTCOME_UNKNOWN", "unknown",
    )  # fmt: skip
    assert desk.calls() == [call("sending", "uncertain")]
    desk.client.post(f"/generation/jobs/{desk.job_id}/resolve", {"decision": decision})
    in_doubt = call("closed", "uncertain", refusal="OUTCOME_UNKNOWN")
    if decision == "give_up":
        assert desk.end()["status"] == "canceled"
        assert desk.calls() == [in_doubt]
        return
    assert desk.end()["status"] == "succeeded"
    assert len(set(writer.keys)) == 2, "it is another call"
    assert desk.calls() == [in_doubt, call("closed", "settled")]


def test_a_changed_story_is_asked_about_anew(desk: Desk, writes: Writes) -> None:
    writer = PaidWriter("openai", WORDS, WORDS)
    writes(writer)
    desk.run()
    desk.tell("An owl reads.")
    desk.settle(desk.run())
    assert writer.stories == ["A fox flies.", "An owl reads."]
    assert desk.calls() == [call("closed", "settled"), call("closed", "settled")]


def test_what_was_not_taken_is_sent_under_its_key_again_unless_the_story_has_changed(
    desk: Desk, writes: Writes
) -> None:
    writer = PaidWriter("openai", NotNow("busy"), NotNow("busy"), WORDS)
    writes(writer)
    for _ in range(2):
        with pytest.raises(NotNow):
            desk.run()
        assert desk.calls() == [call("unsent", "reserved")]
    assert len(set(writer.keys)) == 1
    desk.tell("An owl reads.")
    desk.run()
    assert len(set(writer.keys)) == 2
    assert desk.calls() == [call("closed", "refunded", refusal="CANCELED"), call("accepted", "settled")]


def test_a_lost_answer_is_asked_for_again_where_the_same_key_is_the_same_call(desk: Desk, writes: Writes) -> None:
    from actors.steps import LookAgain

    writer = PaidWriter("openai", OutcomeUnknown(), WORDS, repeats_safely=True)
    writes(writer)
    assert isinstance(desk.run(), LookAgain)
    assert desk.calls() == [call("sending", "reserved")]
    desk.run()
    assert len(set(writer.keys)) == 1
    assert desk.calls() == [call("accepted", "settled")]


def test_an_answer_that_is_always_lost_stops_for_a_person_in_the_end(desk: Desk, writes: Writes) -> None:
    writes(PaidWriter("openai", OutcomeUnknown(), repeats_safely=True))
    desk.set(give_up_after_s=0.0)
    assert desk.run().status is JobStatus.NEEDS_ATTENTION


def test_an_answer_that_takes_its_time_is_come_for_under_the_same_key(desk: Desk, writes: Writes) -> None:
    from actors.steps import LookAgain

    writer = PaidWriter("openai", Pending(look_again_s=7.0), NotNow("busy"), WORDS, repeats_safely=True)
    writes(writer)
    assert desk.run() == LookAgain(after_s=7.0)
    assert desk.calls() == [call("accepted", "accepted")]
    with pytest.raises(NotNow):
        desk.run()
    assert desk.calls() == [call("accepted", "accepted")], "it has it all the same"
    desk.run()
    assert len(set(writer.keys)) == 1
    assert desk.calls() == [call("accepted", "settled")]


def test_an_answer_that_was_refused_after_a_while_is_not_charged(desk: Desk, writes: Writes) -> None:
    writes(PaidWriter("openai", Pending(), StudioError("CONTENT_REJECTED"), repeats_safely=True))
    desk.run()
    assert desk.run().failure.symbol == "CONTENT_REJECTED"
    assert desk.calls() == [call("closed", "refunded", refusal="CONTENT_REJECTED")]


def test_an_answer_that_is_awaited_to_a_story_that_has_changed_is_not_taken_for_the_new_ones(
    desk: Desk, writes: Writes
) -> None:
    writer = PaidWriter("openai", Pending(), WORDS, repeats_safely=True)
    writes(writer)
    desk.run()
    desk.tell("An owl reads.")
    desk.run()
    assert len(set(writer.keys)) == 2
    assert desk.calls() == [call("closed", "settled"), call("accepted", "settled")]


@pytest.mark.parametrize(
    ("symbol", "reported", "booked", "micros"),
    [
        ("ANSWER_UNREADABLE", 210, "settled", 210),
        ("ANSWER_UNREADABLE", None, "settled", PRICE),
        ("CONTENT_REJECTED", 210, "settled", 210),
        ("CONTENT_REJECTED", None, "refunded", 0),
        ("PROVIDER_REFUSED", None, "refunded", 0),
    ],
)
def test_what_was_answered_is_charged_whatever_use_it_is_of(
    symbol: str, reported: int | None, booked: str, micros: int, *, desk: Desk, writes: Writes
) -> None:
    second = PaidWriter("anthropic", WORDS)
    writes(PaidWriter("openai", Said(StudioError(symbol, provider="OpenAI"), reported)), second)
    assert desk.run().failure.symbol == symbol
    assert desk.calls() == [call("closed", booked, refusal=symbol, micros=micros)]
    assert not second.keys, "nor is another one asked"


@pytest.mark.parametrize(
    "refusal",
    [
        StudioError("PROVIDER_ACCOUNT", provider="OpenAI", setting="OPENAI_API_KEY"),
        StudioError("PROVIDER_QUOTA", provider="OpenAI"),
        StudioError("MODEL_UNKNOWN", provider="OpenAI", model="m", offered="–", setting="OPENAI_LLM_MODEL"),
    ],
    ids=lambda refusal: refusal.symbol,
)
def test_who_says_nothing_of_the_story_is_passed_over_at_once(refusal: StudioError, desk: Desk, writes: Writes) -> None:
    first = PaidWriter("openai", refusal)
    second = PaidWriter("anthropic", NotNow("busy"), WORDS)
    writes(first, second)
    with pytest.raises(NotNow):
        desk.run()
    desk.run()
    assert len(first.keys) == 1, "not once more in this try"
    assert desk.calls() == [
        call("closed", "refunded", refusal=refusal.symbol),
        call("accepted", "settled", provider="anthropic"),
    ]


def test_who_is_away_is_waited_for_and_then_passed_over(desk: Desk, writes: Writes) -> None:
    first = PaidWriter("openai", Away("no answer"), Away("no answer"))
    writes(first, PaidWriter("anthropic", WORDS))
    with pytest.raises(Away):
        desk.run()
    assert desk.calls() == [call("unsent", "reserved")]
    desk.set(fall_back_after_s=0.0)
    desk.run()
    assert desk.calls() == [
        call("closed", "refunded", refusal="PROVIDER_UNAVAILABLE"),
        call("accepted", "settled", provider="anthropic"),
    ]


def test_who_is_away_is_given_up_where_there_is_nobody_else(desk: Desk, writes: Writes) -> None:
    writes(PaidWriter("openai", Away("no answer")))
    desk.set(give_up_after_s=0.0)
    assert desk.run().failure.symbol == "PROVIDER_UNAVAILABLE"
    assert desk.calls() == [call("closed", "refunded", refusal="PROVIDER_UNAVAILABLE")]


def test_who_is_busy_is_waited_for_however_long_that_takes(desk: Desk, writes: Writes) -> None:
    second = PaidWriter("anthropic")
    writes(PaidWriter("openai", NotNow("busy")), second)
    desk.set(fall_back_after_s=0.0, give_up_after_s=0.0)
    with pytest.raises(NotNow):
        desk.run()
    assert desk.calls() == [call("unsent", "reserved")]
    assert not second.keys


def test_nobody_else_is_asked_where_an_answer_was_lost(desk: Desk, writes: Writes) -> None:
    second = PaidWriter("anthropic")
    writes(PaidWriter("openai", OutcomeUnknown()), second)
    desk.set(fall_back_after_s=0.0)
    assert desk.run().status is JobStatus.NEEDS_ATTENTION
    assert desk.run().status is JobStatus.NEEDS_ATTENTION
    assert not second.keys


def test_who_may_not_be_paid_any_more_is_passed_over_for_one_that_is_free(desk: Desk, writes: Writes) -> None:
    writer = PaidWriter("openai", WORDS)
    writes(writer, "local")
    desk.set(spend_cap_client_day={"USD": PRICE - 1})
    desk.settle(desk.run())
    assert desk.calls() == []
    assert not writer.keys
    assert desk.client.get(f"/artworks/{desk.artwork_id}")["refinedText"]


def test_what_was_not_taken_by_one_that_was_dropped_from_the_settings_is_asked_of_another(
    desk: Desk, writes: Writes
) -> None:
    writes(PaidWriter("openai", NotNow("busy")))
    with pytest.raises(NotNow):
        desk.run()
    desk.choose(Capability.WRITER, "LLM_PROVIDER", [PaidWriter("anthropic", WORDS)], KEYS)
    desk.run()
    assert desk.calls() == [
        call("closed", "refunded", refusal="CANCELED"),
        call("accepted", "settled", provider="anthropic"),
    ]


def test_a_retry_asks_everybody_again(desk: Desk, writes: Writes, worker: dramatiq.Worker) -> None:
    refusal = StudioError("PROVIDER_QUOTA", provider="OpenAI")
    writes(PaidWriter("openai", refusal, WORDS), PaidWriter("anthropic", refusal))
    assert desk.end()["error"]["code"] == "PROVIDER_QUOTA"
    desk.client.post(f"/generation/jobs/{desk.job_id}/retry")
    assert desk.end()["status"] == "succeeded"
    assert [one.booked for one in desk.calls()] == ["refunded", "refunded", "settled"]
