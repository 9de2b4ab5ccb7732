"""What every paid call has in common: who is asked, in which order things are written, and what is done when it fails.

    choose -> pass the gate -> intent and reservation, in one transaction -> the call -> what became of it

A worker that dies before the intent has asked nobody. One that dies after it leaves `sending`, of which only a lookup
may tell what became. A worker may also have lost its message and live: so of a call whose end nobody has seen, nothing
is concluded before it is sure to be over.

Another provider is asked only where the one before surely did not accept: it refuses our account, has no such model,
may not be paid any more, or has not answered for long. One that is only busy is waited for, and one that rejects what a
child has made is not worked around.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import structlog
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from actors.slots import free_slots
from actors.steps import JobMovedOn, seconds_since
from actors.wiring import studio
from broker import run_in_transaction
from broker.errors import is_passing
from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.jobs import Job
from studio.providers import Capability, Maker, PaidCall, fuse
from studio.providers.interfaces import Provider, Recognising
from studio.stopwatch import outside
from studio.submissions import Intent, Submission, SubmissionState

log = structlog.get_logger("actors")

T = TypeVar("T")

FALLS_BACK = frozenset(
    {
        "PROVIDER_ACCOUNT",
        "PROVIDER_QUOTA",
        "PROVIDER_UNAVAILABLE",
        "MODEL_UNKNOWN",
        "PRICE_UNKNOWN",
        "SPEND_CAP_REACHED",
    }
)
"""What says nothing about the request, and only that this provider will not take it."""

LOOK_UP_EVERY_S = 5.0
"""How often a call is looked up that may be on its way."""

HOLD_ANSWER_S = 60.0
"""How long what a paid call has come to is held in memory while the database is away."""


def ask_one_of(job: Job, capability: Capability, names: Iterable[str], ask: Callable[[str], T]) -> T:
    """What the first provider says that does not surely decline. Raises what the last one raised."""
    refused = {
        submission.provider
        for submission in job.submissions
        if submission.capability is capability and submission.tries == job.tries and submission.refusal in FALLS_BACK
    }
    left = [name for name in names if name not in refused]
    # Where all have declined in this try, the last word is the last one's.
    *others, last = left or list(names)[-1:]
    for name in others:
        try:
            return ask(name)
        except Away:
            if waited_s(job) < studio.settings.fall_back_after_s:
                raise
            _leave(job, capability, name)
        except StudioError as error:
            if error.symbol not in FALLS_BACK:
                raise
        log.warning("provider_passed_over", provider=name)
    try:
        return ask(last)
    except Away as error:
        if waited_s(job) < studio.settings.give_up_after_s:
            raise
        _leave(job, capability, last)
        raise StudioError("PROVIDER_UNAVAILABLE", provider=last) from error


def waited_s(job: Job) -> float:
    """How long the job has been at its step."""
    return seconds_since(job, job.step_started_at) if job.step_started_at else 0.0


@contextmanager
def passing(job: Job, provider: Provider, capability: Capability) -> Iterator[None]:
    """The limits of a provider's account and its breaker. Raises NotNow where the call may not be made now."""
    card = studio.providers.card(provider.name)
    if provider.is_free or card is None:
        yield
        return
    with studio.gates.passing(provider.name, capability, card.offer(capability), ticket=f"{job.id}/{job.step}"):
        yield


def intend(job: Job, name: str, unsent: Submission | None, intent: Callable[[], Intent]) -> Submission:
    """Store that a provider is about to be called, and what that may cost. Raises JobMovedOn, StudioError.

    A call that it did not take is made once more, under the same key. One that another did not take is over with this.
    """
    fuse.light()
    if unsent and unsent.provider == name:
        return _wanted(studio.submissions.send_again(job, unsent))
    wanted = intent()
    if wanted.is_free and unsent is None:
        return _wanted(studio.submissions.open(job, wanted, session=None))
    store = partial(studio.submissions.open, job, wanted, instead_of=unsent)
    with studio.ledger.in_turn():
        return _wanted(run_in_transaction(studio.client, lambda session: store(session=session)))


def leave_unsent(job: Job, unsent: Submission, *, refusal: str = "CANCELED") -> None:
    """Close a call that was not taken, because it is not to be made any more."""
    note(lambda session: studio.submissions.give_back(job, unsent, refusal=refusal, session=session))


@contextmanager
def noting_refusals(job: Job, submission: Submission, call: PaidCall | None = None) -> Iterator[None]:
    """Around a call: what the provider surely did not take is noted. It may be sent again, or needs no looking up."""
    try:
        with outside():
            yield
    except NotNow:
        note(lambda session: studio.submissions.give_back(job, submission, session=session))
        raise
    except OutcomeUnknown:
        note(lambda session: studio.submissions.lose(job, submission, session=session))
        raise
    except StudioError as error:
        note(partial(_refused, job, submission, error.symbol, call.micros if call else None))
        raise
    finally:
        fuse.put_out()


def _refused(job: Job, submission: Submission, symbol: str, micros: int | None, session: ClientSession) -> None:
    # What was answered is charged, whatever use it is of.
    if micros is not None or symbol == "ANSWER_UNREADABLE":
        studio.submissions.spoil(job, submission, refusal=symbol, micros=micros, session=session)
    elif submission.state is SubmissionState.ACCEPTED:
        # It was to be had later, and then came to nothing.
        studio.submissions.close(job, submission, refusal=symbol, is_charged=False, session=session)
    else:
        studio.submissions.give_back(job, submission, refusal=symbol, session=session)


def look_up(job: Job, submission: Submission) -> str | None:
    """What became of a call whose answer is lost: its id where it was accepted. Raises NotNow, OutcomeUnknown.

    None where it surely was not, which is noted: the call may be made again.
    """
    maker: Maker[object] = studio.providers.maker(submission.capability, submission.provider)
    age_s = seconds_since(job, submission.sent_at or submission.at)
    with outside():
        provider_id = _confirmed_hint(maker, submission)
        if provider_id is None:
            try:
                provider_id = maker.reconcile(submission.request, idempotency_key=submission.id, age_s=age_s)
            except OutcomeUnknown:
                require_over(job, submission)
                raise
    if provider_id is None:
        require_over(job, submission)
        note(lambda session: studio.submissions.give_back(job, submission, session=session))
    else:
        accept(job, submission, provider_id)
    return provider_id


def require_over(job: Job, submission: Submission) -> None:
    """Raises NotNow while a call may be on its way, made by a worker that nobody hears of any more."""
    card = studio.providers.card(submission.provider)
    if submission.state is not SubmissionState.SENDING or submission.is_answer_lost or submission.is_free or not card:
        return
    age_s = seconds_since(job, submission.sent_at or submission.at)
    left_s = card.offer(submission.capability).lasts_s - age_s
    if left_s > 0:
        raise NotNow("it may be on its way", retry_after_s=min(left_s, LOOK_UP_EVERY_S))


def _confirmed_hint(maker: Maker[object], submission: Submission) -> str | None:
    """The id that a callback has told, where the provider confirms that it is of this very call."""
    if submission.hinted_id is None or not isinstance(maker, Recognising):
        return None
    is_ours = maker.recognises(submission.hinted_id, submission.request, idempotency_key=submission.id)
    return submission.hinted_id if is_ours else None


def accept(job: Job, submission: Submission, provider_id: str) -> None:
    """Store that a call was accepted.

    Not by the settling transaction, which is rolled back when the job was canceled meanwhile: it is paid for.
    """
    note(lambda session: studio.submissions.accept(job, submission, provider_id, session=session))


def note(write: Callable[[ClientSession], object]) -> None:
    """Store what became of a call. It is known nowhere else, so it is held for a while when the database is away."""
    hold_until = time.monotonic() + HOLD_ANSWER_S
    while True:
        try:
            run_in_transaction(studio.client, write)
        except PyMongoError as error:
            if not is_passing(error) or time.monotonic() > hold_until:
                raise
            log.warning("answer_held", reason=type(error).__name__)
            _pause.wait(0.5)
        else:
            return


_pause = threading.Event()
"""Never set: what is waited for is a server, which tells nobody that it is back."""


def _leave(job: Job, capability: Capability, name: str) -> None:
    """Close the call to a provider that has been away for too long, so that another one may be asked."""
    free_slots(job)
    stored = studio.jobs.load(job.id)
    for submission in stored.submissions if stored else ():
        is_left = submission.capability is capability and submission.provider == name
        if is_left and submission.state is SubmissionState.UNSENT:
            leave_unsent(job, submission, refusal="PROVIDER_UNAVAILABLE")


def _wanted(intent: Submission | None) -> Submission:
    if intent is None:
        raise JobMovedOn
    return intent
