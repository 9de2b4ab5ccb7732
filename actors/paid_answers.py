"""Words that are bought: asked for once, stored as soon as they are there, and used by the step that asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Generic, TypeVar

import msgspec
from pymongo.client_session import ClientSession

from actors.paid_calls import (
    ask_one_of,
    intend,
    leave_unsent,
    note,
    noting_refusals,
    passing,
    require_over,
    waited_s,
)
from actors.steps import LookAgain, Save
from actors.wiring import studio
from studio.errors import OutcomeUnknown
from studio.jobs import Job
from studio.providers import Capability, PaidCall, Pending
from studio.providers.cards import Card, price_of_answer
from studio.providers.interfaces import Answerer
from studio.stopwatch import outside
from studio.submissions import Intent, Submission, SubmissionState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is asked of whoever answers."""

    capability: Capability
    kind: type[T]
    """Of the answer."""
    ask: Callable[[Any, PaidCall], T | Pending]
    """Asks a provider, which it is given."""
    digest: str
    """Tells this question from another one: an answer is bought at most once for each."""
    seconds: float = 0.0
    """Of the sound in it."""


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """An answer, and the call that it was bought by, if any."""

    value: T
    job: Job
    bought_by: Submission | None = None

    def saving(self, save: Save) -> Save:
        """The same, and in the same transaction the note that the answer was used."""

        def save_and_close(session: ClientSession) -> None:
            save(session)
            if self.bought_by:
                studio.submissions.close(self.job, self.bought_by, session=session)

        return save_and_close


def digest_of(*asked: str | None) -> str:
    """Tells what was asked from everything else, without its words."""
    return sha256(" ".join(str(one) for one in asked).encode()).hexdigest()


def buy(job: Job, question: Question[T]) -> Answered[T] | LookAgain:
    """The answer to a question, bought at most once; or when to come for it.

    Raises NotNow, StudioError, and OutcomeUnknown where an answer was lost that cannot be had a second time.
    """
    call = job.submission
    is_same = call is not None and call.digest == question.digest
    match call:
        case Submission(state=SubmissionState.ACCEPTED) if not is_same:
            # It was bought for what has changed since.
            note(partial(_close, job, call))
        case Submission(state=SubmissionState.ACCEPTED, answer=answer) if answer is not None:
            return Answered(msgspec.convert(answer, question.kind), job, call)
        case Submission(state=SubmissionState.SENDING | SubmissionState.ACCEPTED):
            provider: Answerer = studio.providers.named(question.capability, call.provider)
            if not (provider.repeats_safely and is_same):
                require_over(job, call)
                raise OutcomeUnknown
            return _ask(job, provider, call, question)
        case Submission() if not is_same:
            leave_unsent(job, call)
    unsent = call if is_same else None
    names = studio.providers.preferred(question.capability)
    return ask_one_of(job, question.capability, names, lambda name: _ask_new(job, name, question, unsent=unsent))


def _ask_new(job: Job, name: str, question: Question[T], *, unsent: Submission | None) -> Answered[T] | LookAgain:
    provider: Answerer = studio.providers.named(question.capability, name)
    card = studio.providers.card(name)
    if provider.is_free or card is None:
        if unsent:
            leave_unsent(job, unsent)
        with outside():
            value = question.ask(provider, PaidCall(job.id))
        return _later(value) if isinstance(value, Pending) else Answered(value, job)
    with passing(job, provider, question.capability):
        submission = intend(job, name, unsent, lambda: _intent(card, question))
        return _ask(job, provider, submission, question)


def _intent(card: Card, question: Question[T]) -> Intent:
    offer = card.offer(question.capability)
    return Intent(
        provider=card.name,
        capability=question.capability,
        is_free=False,
        model=offer.model,
        currency=card.currency,
        micros=price_of_answer(offer, seconds=question.seconds),
        digest=question.digest,
    )


def _ask(job: Job, provider: Answerer, submission: Submission, question: Question[T]) -> Answered[T] | LookAgain:
    call = PaidCall(submission.id)
    try:
        with noting_refusals(job, submission, call):
            value = question.ask(provider, call)
    except OutcomeUnknown:
        if not provider.repeats_safely or waited_s(job) >= studio.settings.give_up_after_s:
            raise
        return LookAgain(after_s=studio.settings.poll_every_s)
    if isinstance(value, Pending):
        note(lambda session: studio.submissions.accept(job, submission, submission.id, session=session))
        return _later(value)
    note(lambda session: studio.submissions.store_answer(job, submission, value, micros=call.micros, session=session))
    return Answered(value, job, submission)


def _later(pending: Pending) -> LookAgain:
    return LookAgain(after_s=pending.look_again_s or studio.settings.poll_every_s)


def _close(job: Job, call: Submission, session: ClientSession) -> None:
    studio.submissions.close(job, call, session=session)
