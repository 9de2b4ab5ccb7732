"""Who is asked for a clip: the preferred one, and another one only where that surely did not take it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.client import Client
from broker import run_in_transaction
from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.jobs import UNFINISHED, JobStatus
from studio.providers import Capability
from tests.actors.paying import PRICE, Desk, Entry, PaidAnimator
from tests.product import Product

KEYS = {"RUNWAYML_API_SECRET": "test-key", "FAL_KEY": "test-key"}
ACCOUNT = StudioError("PROVIDER_ACCOUNT", provider="Runway", setting="RUNWAYML_API_SECRET")

Films = Callable[..., None]


@pytest.fixture
def desk(client: Client, product: Product, drawing: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    yield Desk(client, product, monkeypatch, drawing)
    product.studio.database["jobs"].delete_many({"status": {"$in": UNFINISHED}})
    product.broker.flush("default")


@pytest.fixture
def films(desk: Desk) -> Films:
    """Choose the animators, and order a film whose story is tidied already."""

    def choose(*animators: PaidAnimator | str, **order: str) -> None:
        desk.choose(Capability.ANIMATOR, "VIDEO_PROVIDER", animators, KEYS)
        desk.order(kind="story")
        desk.settle(desk.run())
        desk.order(**order)

    return choose


def call(state: str, booked: str, *, provider: str = "runway", refusal: str | None = None) -> Entry:
    return Entry(provider, state, refusal, booked, 0 if booked == "refunded" else PRICE)


def test_the_preferred_one_is_asked(desk: Desk, films: Films) -> None:
    second = PaidAnimator("pika")
    films(PaidAnimator("runway", "task-1"), second)
    desk.run()
    assert desk.calls() == [call("accepted", "accepted")]
    assert not second.keys


def test_another_one_is_asked_at_once_where_the_first_refuses_our_account(desk: Desk, films: Films) -> None:
    first = PaidAnimator("runway", ACCOUNT)
    films(first, PaidAnimator("pika", NotNow("busy"), "task-1"))
    with pytest.raises(NotNow):
        desk.run()
    desk.run()
    assert len(first.keys) == 1, "not once more in this try"
    assert desk.calls() == [
        call("closed", "refunded", refusal="PROVIDER_ACCOUNT"),
        call("accepted", "accepted", provider="pika"),
    ]


def test_nobody_else_is_asked_where_somebody_has_chosen(desk: Desk, films: Films) -> None:
    second = PaidAnimator("pika")
    films(PaidAnimator("runway", ACCOUNT), second, provider="runway")
    assert desk.run().failure.symbol == "PROVIDER_ACCOUNT"
    assert not second.keys


def test_who_is_away_is_waited_for_and_then_passed_over(desk: Desk, films: Films) -> None:
    first = PaidAnimator("runway", Away("no answer"), Away("no answer"))
    films(first, PaidAnimator("pika", "task-1"))
    with pytest.raises(Away):
        desk.run()
    assert desk.calls() == [call("unsent", "reserved")]
    desk.set(fall_back_after_s=0.0)
    desk.run()
    assert len(set(first.keys)) == 1
    assert desk.calls() == [
        call("closed", "refunded", refusal="PROVIDER_UNAVAILABLE"),
        call("accepted", "accepted", provider="pika"),
    ]


def test_who_is_busy_is_waited_for_however_long_that_takes(desk: Desk, films: Films) -> None:
    second = PaidAnimator("pika")
    films(PaidAnimator("runway", NotNow("busy")), second)
    desk.set(fall_back_after_s=0.0, give_up_after_s=0.0)
    with pytest.raises(NotNow):
        desk.run()
    assert desk.calls() == [call("unsent", "reserved")]
    assert not second.keys


@pytest.mark.parametrize("symbol", ["CONTENT_REJECTED", "PROVIDER_REFUSED"])
def test_a_drawing_that_was_rejected_is_shown_to_nobody_else(symbol: str, desk: Desk, films: Films) -> None:
    second = PaidAnimator("pika")
    films(PaidAnimator("runway", StudioError(symbol)), second)
    assert desk.run().failure.symbol == symbol
    assert desk.calls() == [call("closed", "refunded", refusal=symbol)]
    assert not second.keys


def test_nobody_else_is_asked_where_nobody_can_know(desk: Desk, films: Films) -> None:
    from actors.steps import LookAgain

    first = PaidAnimator("runway", OutcomeUnknown(), knows=(NotNow("not yet"), OutcomeUnknown()))
    second = PaidAnimator("pika")
    films(first, second)
    desk.set(fall_back_after_s=0.0, give_up_after_s=0.0)
    assert isinstance(desk.run(), LookAgain)
    with pytest.raises(NotNow):
        desk.run()
    assert desk.run().status is JobStatus.NEEDS_ATTENTION
    assert desk.calls() == [call("sending", "reserved")]
    assert len(first.keys) == 1
    assert not second.keys


def test_what_surely_did_not_arrive_is_sent_again_under_the_same_key(desk: Desk, films: Films) -> None:
    first = PaidAnimator("runway", OutcomeUnknown(), "task-1", knows=(None,))
    films(first, PaidAnimator("pika"))
    desk.run()
    desk.run()
    assert desk.calls() == [call("unsent", "reserved")]
    desk.run()
    assert len(set(first.keys)) == 1
    assert desk.calls() == [call("accepted", "accepted")]


@pytest.mark.parametrize("is_right", [True, False])
def test_an_id_that_a_callback_has_told_is_taken_only_where_it_is_of_this_call(
    is_right: bool,  # noqa: FBT001 (a parameter of the test)
    desk: Desk,
    films: Films,
    product: Product,
) -> None:
    first = PaidAnimator("runway", OutcomeUnknown(), "task-2", knows=(None,))
    films(first)
    desk.run()
    job = desk.job()
    assert job.submission is not None
    submission, told = job.submission, f"task-{job.submission.id}" if is_right else "task-1"
    run_in_transaction(
        product.studio.client, lambda session: product.studio.submissions.hint(job, submission, told, session=session)
    )
    desk.run()
    if not is_right:
        assert desk.calls() == [call("unsent", "reserved")]
        desk.run()
    found = desk.job().submission
    assert found is not None
    assert found.provider_id == (told if is_right else "task-2")
    assert desk.calls() == [call("accepted", "accepted")]


def test_who_may_not_be_paid_any_more_is_passed_over_for_one_that_is_free(
    desk: Desk, films: Films, product: Product
) -> None:
    first = PaidAnimator("runway")
    films(first, "local")
    desk.set(spend_cap_client_day={"USD": PRICE - 1})
    desk.run()
    assert not first.keys
    found = desk.job().submission
    assert found is not None
    assert (found.provider, found.state, found.is_free) == ("local", "accepted", True)
    assert product.studio.database["ledger"].count_documents({"job_id": desk.job_id}) == 0


def test_what_was_not_taken_by_one_that_was_dropped_from_the_settings_is_asked_of_another(
    desk: Desk, films: Films
) -> None:
    films(PaidAnimator("runway", NotNow("busy")))
    with pytest.raises(NotNow):
        desk.run()
    desk.choose(Capability.ANIMATOR, "VIDEO_PROVIDER", [PaidAnimator("pika", "task-1")], KEYS)
    desk.run()
    assert desk.calls() == [
        call("closed", "refunded", refusal="CANCELED"),
        call("accepted", "accepted", provider="pika"),
    ]


def test_what_is_told_late_of_a_call_changes_nothing_of_one_that_was_taken(
    desk: Desk, films: Films, product: Product
) -> None:
    films(PaidAnimator("runway", "task-1"))
    desk.run()
    job = desk.job()
    assert job.submission is not None
    submission, submissions = job.submission, product.studio.submissions
    run_in_transaction(
        product.studio.client,
        lambda session: submissions.give_back(job, submission, refusal="PROVIDER_REFUSED", session=session),
    )
    assert desk.calls() == [call("accepted", "accepted")]
