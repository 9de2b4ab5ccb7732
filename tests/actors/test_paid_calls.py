"""No call is paid for twice, whoever else is at it, and the books end as the calls did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from msgspec.structs import replace
from pymongo.client_session import ClientSession

from app.client import Client, Refused
from broker import run_in_transaction
from studio import films
from studio.errors import NotNow, OutcomeUnknown, StudioError
from studio.jobs import Failure, Job, JobStatus
from studio.providers import AnimationRequest, Capability, fuse
from studio.providers.api import Api
from studio.providers.cards import Card, ClipModel, ClipOffer, PictureLimits, TextModel, TextOffer
from studio.submissions import Intent, Submission, SubmissionState
from tests.actors.belongings import let_an_hour_pass
from tests.product import Product, new_artwork, new_client

MODEL = ClipModel(seconds=(5,), default_seconds=5, prompt_max_chars=500, picture=PictureLimits(max_bytes=10**7))
CARD = Card(
    title="Fake",
    base_url="",
    currency="USD",
    name="fake",
    animator=ClipOffer(model="fake", models={"fake": MODEL}),
    writer=TextOffer(model="fake", models={"fake": TextModel(micros_per_call=5)}),
)


@dataclass
class Film:
    """A job at the step that asks for its clip; no worker runs."""

    product: Product
    id: str

    def load(self) -> Job:
        job = self.product.studio.jobs.load(self.id)
        assert job is not None
        return job

    def store(self, work: Callable[[ClientSession], Any]) -> Any:
        return run_in_transaction(self.product.studio.client, work)

    def request(self) -> AnimationRequest:
        studio, job = self.product.studio, self.load()
        artwork = films.artwork_of(studio, job)
        return films.animation_request(studio, job, artwork, films.drawing_of(studio, artwork))

    def intend(self, name: str = "fake", unsent: Submission | None = None) -> Submission:
        from actors.paid_calls import intend

        job = self.load()

        def intent() -> Intent:
            return Intent(
                provider=name,
                capability=Capability.ANIMATOR,
                currency="USD",
                micros=7,
                is_free=False,
                request=self.request(),
            )

        return intend(job, name, unsent, intent)

    def give_back(self, submission: Submission, refusal: str | None = None) -> None:
        job, submissions = self.load(), self.product.studio.submissions
        self.store(lambda session: submissions.give_back(job, submission, refusal=refusal, session=session))

    def accept(self, submission: Submission, provider_id: str) -> None:
        job, submissions = self.load(), self.product.studio.submissions
        self.store(lambda session: submissions.accept(job, submission, provider_id, session=session))

    def hint(self, submission: Submission, hinted_id: str) -> None:
        job, submissions = self.load(), self.product.studio.submissions
        self.store(lambda session: submissions.hint(job, submission, hinted_id, session=session))

    def stop(self, symbol: str = "INTERNAL", status: JobStatus = JobStatus.FAILED) -> None:
        studio, job = self.product.studio, self.load()
        self.store(lambda session: films.stop_job(studio, job, Failure(symbol), session, status=status))

    def run(self, actor: str) -> None:
        import actors

        getattr(actors, actor).fn(self.id)

    def call(self) -> Submission:
        return self.load().submissions[-1]

    def entry(self, submission: Submission) -> Any:
        found = self.product.studio.database["ledger"].find_one({"_id": submission.id})
        return found and found["state"]


@pytest.fixture
def new_film(client: Client, product: Product, drawing: Path) -> Iterator[Callable[..., Film]]:
    studio = product.studio

    def order(by: Client = client) -> Film:
        artwork = new_artwork(by, drawing)
        film = Film(product, by.post("/generation/jobs", {"artworkId": artwork["artworkId"]})["jobId"])
        job = film.store(lambda session: studio.jobs.start(film.load(), session=session))
        moved = film.store(lambda session: studio.jobs.advance(job, outside_ms=0, session=session))
        assert moved.step == "submit_video"
        return film

    yield order
    product.forget()


@pytest.fixture
def film(new_film: Callable[[], Film]) -> Film:
    return new_film()


@pytest.fixture
def card(product: Product, monkeypatch: pytest.MonkeyPatch) -> Card:
    """The fake animator is a service with a card."""
    monkeypatch.setitem(product.studio.providers._cards, "fake", CARD)
    monkeypatch.setattr("studio.gates.gates.BUSY_S", 0.0)
    # Those before have left it shut for a moment.
    product.studio.database["gates"].delete_many({})
    product.studio.gates._believed.clear()
    return CARD


# Two at one call


@pytest.mark.parametrize("behaviour", ["drops", "no-lookup"])
@pytest.mark.usefixtures("card")
def test_nothing_is_concluded_of_a_call_that_another_worker_may_still_be_making(
    behaviour: str, film: Film, product: Product
) -> None:
    product.service.behave(behaviour)
    film.intend()
    film.run("submit_video")
    assert film.load().status is JobStatus.RUNNING
    assert film.call().state is SubmissionState.SENDING
    let_an_hour_pass(product, film.id)
    film.run("submit_video")
    if behaviour == "drops":
        assert film.call().state is SubmissionState.UNSENT
    else:
        assert film.load().status is JobStatus.NEEDS_ATTENTION
    assert product.service.calls("submits") == []


@pytest.mark.usefixtures("card")
def test_what_became_of_a_call_whose_end_was_seen_is_looked_up_at_once(film: Film, product: Product) -> None:
    product.service.behave("silent", "drops")
    film.run("submit_video")
    assert film.call().is_answer_lost
    film.run("submit_video")
    assert film.call().state is SubmissionState.UNSENT
    product.service.behave("silent", "thinks")
    sent = film.intend(unsent=film.call())
    assert not sent.is_answer_lost, "it is on its way once more"


def test_a_refusal_that_comes_late_says_nothing_of_the_sending_after_it(film: Film) -> None:
    first = film.intend()
    film.give_back(first)
    second = film.intend(unsent=film.call())
    for refusal in (None, "PROVIDER_QUOTA"):
        film.give_back(first, refusal)
        assert film.call().state is SubmissionState.SENDING
        assert film.entry(first) == "reserved"
    film.accept(second, "ours")
    film.give_back(second, "PROVIDER_QUOTA")
    assert (film.call().state, film.entry(second)) == (SubmissionState.ACCEPTED, "accepted")


def test_a_call_that_is_taken_after_it_was_given_up_is_in_the_job_and_in_the_books(film: Film) -> None:
    call = film.intend()
    film.give_back(call, "PROVIDER_UNAVAILABLE")
    film.accept(call, "late")
    assert (film.call().state, film.call().provider_id) == (SubmissionState.CLOSED, "late")
    assert film.entry(call) == "accepted"
    assert film.load().billing == "possible"


# Hints


def test_a_call_is_not_made_again_that_a_callback_has_named_meanwhile(film: Film) -> None:
    from actors.steps import JobMovedOn

    film.give_back(film.intend())
    seen = film.call()
    film.hint(seen, "theirs")
    with pytest.raises(JobMovedOn):
        film.intend(unsent=seen)


def test_a_hint_that_comes_while_a_call_is_given_back_is_not_forgotten(film: Film) -> None:
    seen = film.intend()
    film.hint(seen, "theirs")
    film.give_back(seen)
    assert (film.call().state, film.call().hinted_id) == (SubmissionState.SENDING, "theirs")


def test_a_hint_of_nothing_is_looked_up_once(film: Film, product: Product) -> None:
    film.give_back(film.intend())
    film.hint(film.call(), "theirs")
    product.service.behave("drops")
    film.run("submit_video")
    assert film.call().hinted_id is None
    film.run("submit_video")
    assert len(product.service.calls("submits")) == 1


# Other providers


def test_an_unsent_call_does_not_stand_in_the_way_of_another_provider(film: Film) -> None:
    first = film.intend("away")
    film.give_back(first)
    second = film.intend("fake", film.call())
    calls = film.load().submissions
    assert [(call.provider, call.state) for call in calls] == [("away", "closed"), ("fake", "sending")]
    assert (film.entry(first), film.entry(second)) == ("refunded", "reserved")


# The books at the end


@pytest.mark.parametrize("end", ["failed", "canceled"])
def test_the_books_end_as_the_calls_of_a_job_do(end: str, film: Film, client: Client) -> None:
    call = film.intend()
    film.give_back(call)
    if end == "failed":
        film.stop()
    else:
        studio, job = film.product.studio, film.load()
        film.store(lambda session: films.end_canceled(studio, job, session))
    assert (film.call().state, film.entry(call)) == (SubmissionState.CLOSED, "refunded")


def test_a_job_that_fails_with_a_call_under_way_leaves_a_doubt_that_a_retry_settles(
    film: Film, product: Product, client: Client
) -> None:
    call = film.intend()
    film.stop()
    assert film.entry(call) == "uncertain"
    client.post(f"/generation/jobs/{film.id}/retry")
    # Its words are there.
    product.studio.database["jobs"].update_one({"_id": film.id}, {"$set": {"step": "submit_video"}})
    (product.service.folder / "jobs" / call.id).touch()
    film.run("submit_video")
    assert film.entry(call) == "accepted"
    assert product.service.calls("submits") == []


# Looking


def test_a_clip_has_its_time_from_when_it_was_sent_and_not_from_its_first_intent(film: Film, product: Product) -> None:
    call = film.intend()
    film.accept(call, "fake-1")
    # It had waited for a busy provider for an hour.
    let_an_hour_pass(product, film.id, "at")
    product.studio.database["jobs"].update_one({"_id": film.id}, {"$set": {"step": "poll_video"}})
    film.run("poll_video")
    assert film.load().status is JobStatus.RUNNING


def test_a_worker_that_dies_after_it_has_noted_a_failure_leaves_its_cause(film: Film, product: Product) -> None:
    call = film.intend()
    film.accept(call, "fake-1")
    job, submissions = film.load(), product.studio.submissions
    film.store(lambda session: submissions.close(job, call, refusal="RENDER_FAILED", session=session))
    product.studio.database["jobs"].update_one({"_id": film.id}, {"$set": {"step": "poll_video"}})
    film.run("poll_video")
    error = film.load().error
    assert error
    assert error.symbol == "RENDER_FAILED"


@pytest.mark.parametrize("bills_failures", [False, True])
@pytest.mark.parametrize(("micros", "state"), [(0, "refunded"), (3, "settled"), (None, None)])
def test_what_a_failure_costs_is_what_its_service_says_and_otherwise_its_card(
    film: Film,
    product: Product,
    card: Card,
    monkeypatch: pytest.MonkeyPatch,
    *,
    micros: int | None,
    state: str | None,
    bills_failures: bool,
) -> None:
    def fail(*_request: object, **_options: object) -> None:
        failure = StudioError("RENDER_FAILED")
        failure.micros = micros
        raise failure

    assert card.animator
    billing = replace(card, animator=replace(card.animator, bills_failures=bills_failures))
    monkeypatch.setitem(product.studio.providers._cards, "fake", billing)
    monkeypatch.setattr(product.studio.providers.animator_named("fake"), "look", fail)
    call = film.intend()
    film.accept(call, "fake-1")
    product.studio.database["jobs"].update_one({"_id": film.id}, {"$set": {"step": "poll_video"}})
    film.run("poll_video")
    assert film.entry(call) == (state or ("settled" if bills_failures else "refunded"))
    stored = product.studio.database["ledger"].find_one({"_id": call.id})
    assert stored
    assert stored.get("reported_micros") == (micros or None)


def test_a_clip_is_fetched_also_when_the_recording_was_removed_meanwhile(film: Film) -> None:
    from actors.capture_video import voice_of

    request = replace(film.request(), voice_key="gone")
    with voice_of(replace(film.intend(), request=request)) as voice:
        assert voice is None


# A person's decision


def test_nobody_can_claim_what_was_made_for_another(new_film: Callable[[], Film], client: Client) -> None:
    theirs, film = new_film(), new_film()
    theirs.accept(theirs.intend(), "fake-theirs")
    film.intend()
    film.stop("OUTCOME_UNKNOWN", JobStatus.NEEDS_ATTENTION)
    path = f"/generation/jobs/{film.id}/resolve"
    with pytest.raises(Refused) as refused:
        client.post(path, {"decision": "accepted", "knownAs": "fake-theirs"})
    assert refused.value.problem["code"] == "NOT_FOUND"
    assert client.post(path, {"decision": "accepted", "knownAs": "fake-mine"})["status"] == "queued"


def test_of_two_who_claim_the_same_in_one_instant_only_one_has_it(
    new_film: Callable[..., Film], client: Client, web: str, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_have_looked = Barrier(2)
    load_called = product.studio.jobs.load_called

    def looked_up(name: str, *, session: ClientSession) -> Job | None:
        holder = load_called(name, session=session)
        # Whoever comes a second time, because the other one was quicker, comes alone.
        with suppress(BrokenBarrierError):
            both_have_looked.wait(timeout=5)
            both_have_looked.abort()
        return holder

    def claim(rival: tuple[Client, Film]) -> str:
        by, film = rival
        told = {"decision": "accepted", "knownAs": "fake-new"}
        try:
            return str(by.post(f"/generation/jobs/{film.id}/resolve", told)["status"])
        except Refused as refused:
            return str(refused.problem["code"])

    # Of two people: what is asked for one and the same meets at the number of his newest event.
    with new_client(web) as somebody, ThreadPoolExecutor(2) as pool:
        rivals = [(by, new_film(by)) for by in (client, somebody)]
        for _, film in rivals:
            film.intend()
            film.stop("OUTCOME_UNKNOWN", JobStatus.NEEDS_ATTENTION)
        monkeypatch.setattr(product.studio.jobs, "load_called", looked_up)
        assert sorted(pool.map(claim, rivals)) == ["NOT_FOUND", "queued"]
    assert [film.call().provider_id for _, film in rivals].count("fake-new") == 1


def test_a_callback_to_a_doubtful_job_is_kept_while_another_one_makes_the_same_film(
    film: Film, client: Client, product: Product
) -> None:
    from actors import callbacks
    from studio.callbacks import Callback
    from studio.records import new_id

    call = film.intend()
    film.stop("OUTCOME_UNKNOWN", JobStatus.NEEDS_ATTENTION)
    client.post("/generation/jobs", {"artworkId": film.load().artwork_id})
    told = Callback("ark", new_id(), call.id, "theirs")
    assert callbacks.take(told) is callbacks.Effect.NOTED
    assert (film.call().hinted_id, film.load().status) == ("theirs", JobStatus.NEEDS_ATTENTION)
    assert callbacks.take(told) is callbacks.Effect.REPEATED


def test_a_reading_that_was_refused_is_tried_again_without_another_clip(
    film: Film, product: Product, client: Client
) -> None:
    call = film.intend()
    film.accept(call, "fake-1")
    product.studio.database["jobs"].update_one({"_id": film.id}, {"$set": {"step": "analyze"}})
    film.stop("CONTENT_REJECTED")
    assert client.post(f"/generation/jobs/{film.id}/retry")["step"] == "analyze"
    assert film.call().state is SubmissionState.ACCEPTED


# Words


class Scribe:
    """A writer that is paid, and does as it is told."""

    name = "fake"
    is_free = False
    repeats_safely = False

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.asked = 0

    def ask(self) -> Any:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def scribe(product: Product, card: Card, monkeypatch: pytest.MonkeyPatch) -> Scribe:
    made, providers = Scribe(), product.studio.providers
    monkeypatch.setitem(providers._made, (Capability.WRITER, "fake"), made)
    monkeypatch.setattr(providers, "preferred", lambda _capability: ("fake",))
    return made


def buy(film: Film, digest: str) -> Any:
    from actors.paid_answers import Question, buy

    return buy(film.load(), Question(Capability.WRITER, str, lambda scribe, _call: scribe.ask(), digest=digest))


@pytest.fixture
def tale(film: Film) -> Film:
    """A job at the step that asks for words."""
    film.product.studio.database["jobs"].update_one({"_id": film.id}, {"$set": {"step": "refine_text"}})
    return film


def test_words_that_another_worker_may_still_get_are_waited_for(tale: Film, scribe: Scribe) -> None:
    class Killed(BaseException):
        pass

    scribe.answers = [Killed()]
    with pytest.raises(Killed):
        buy(tale, "first")
    with pytest.raises(NotNow):
        buy(tale, "first")
    let_an_hour_pass(tale.product, tale.id)
    with pytest.raises(OutcomeUnknown):
        buy(tale, "first")


# The fuse


def test_a_call_does_not_begin_long_after_its_intent(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(fuse, "_clock_s", lambda: now)
    fuse.pass_once()
    fuse.light()
    now += fuse.BEGINS_WITHIN_S
    fuse.pass_once()
    now += 3600
    fuse.pass_once()
    fuse.light()
    now += fuse.BEGINS_WITHIN_S + 1
    with pytest.raises(NotNow):
        fuse.pass_once()


def test_a_request_that_comes_too_late_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(fuse, "_clock_s", lambda: now)
    api = Api(CARD, Capability.ANIMATOR, headers=dict, reader=lambda _answer: None)
    fuse.light()
    now += 3600
    with pytest.raises(NotNow, match="intent"):
        api.buy("POST", "/clips")
