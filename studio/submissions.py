"""Paid calls. Each is written into its job before it is made, and what became of it right after.

    sending -> accepted | unsent | closed
    unsent -> sending        (the same call once more, under the same key)
    unsent -> closed         (another provider is asked, or the job has ended)
    accepted -> closed       (its answer is used, it failed where it was made, or a retry asks anew)
    sending -> accepted | closed   (a person has decided about a call of which nothing can be known)

A call may be made by a worker that has lost its message, while another one sees to what it left behind. So what says
that a call was not taken counts for the very sending that it is about: `sent_at` tells one from another.

An intent is only written while its job is at work. What became of a call stays true whatever became of the job, so
that is guarded by the call alone: a job that is being canceled still learns under which id it may be charged. The entry
in the ledger changes in the same transaction, and there is none for what is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec
from pymongo import ReturnDocument
from pymongo.client_session import ClientSession

from studio.ledger import Ledger
from studio.providers.interfaces import AnimationRequest, Capability
from studio.records import Document, Documents, new_id

if TYPE_CHECKING:
    from studio.jobs import Job


class SubmissionState(StrEnum):
    SENDING = "sending"
    """The intent: the call may have gone out. Only a lookup may tell what became of it."""
    UNSENT = "unsent"
    """The provider surely did not take it, and may be asked again under the same key."""
    ACCEPTED = "accepted"
    """The provider has it, under `provider_id`; or it has answered, and the answer is not used yet."""
    CLOSED = "closed"
    """Over: used, refused, failed, or given up. A retry asks anew."""


OPEN = tuple(state for state in SubmissionState if state is not SubmissionState.CLOSED)


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One paid call. `id` is the idempotency key, the same on every attempt."""

    id: str
    """The idempotency key."""
    provider: str
    """Who was asked."""
    capability: Capability = Capability.ANIMATOR
    """For what."""
    model: str = ""
    """With which model; "" where the provider has but one."""
    request: AnimationRequest | None = None
    """What was asked for, of a clip."""
    digest: str = ""
    """Of what was asked, where the answer is words: another story is another call."""
    state: SubmissionState
    at: datetime
    """When the intent was written first."""
    sent_at: datetime | None = None
    """When it was written last, just before the call."""
    is_answer_lost: bool = False
    """The call is over, and had no answer. Otherwise what is `sending` may be on its way still, from another worker."""
    tries: int = 0
    """Which try of its job it belongs to."""
    is_free: bool = False
    """The provider charges nothing for it."""
    provider_id: str | None = None
    """Under which the provider knows it."""
    hinted_id: str | None = None
    """Under which a callback says that the provider knows it, where the answer was lost. Worth a look, and no more."""
    clip: str | None = None
    """Where the finished clip is, once it was seen."""
    answer: Any = None
    """What was answered, until the step that asked has used it."""
    refusal: str | None = None
    """The error with which it was closed."""


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is about to be made."""

    id: str = msgspec.field(default_factory=new_id)
    """Of the submission: the idempotency key."""
    provider: str
    capability: Capability
    is_free: bool
    model: str = ""
    currency: str = ""
    micros: int | None = None
    """What it will cost at most, as far as that is known."""
    request: AnimationRequest | None = None
    digest: str = ""


class Billing(StrEnum):
    """What is known of a job's cost."""

    NONE = "none"
    """Nothing was accepted that a provider charges for."""
    POSSIBLE = "possible"
    """A provider has accepted a call; it may charge for it even if the job was canceled or failed."""
    UNKNOWN = "unknown"
    """Nobody can say, or can say yet, whether a call was accepted."""


def billing_of(submissions: Sequence[Submission]) -> Billing:
    charged = [submission for submission in submissions if not submission.is_free]
    if any(submission.state is SubmissionState.SENDING for submission in charged):
        return Billing.UNKNOWN
    return Billing.POSSIBLE if any(submission.provider_id for submission in charged) else Billing.NONE


class Submissions:
    """The part of the jobs' collection that tells of paid calls. Each change is made in the caller's transaction."""

    def __init__(self, collection: Documents, ledger: Ledger) -> None:
        self._collection = collection
        self._ledger = ledger

    def open(
        self, job: Job, intent: Intent, *, instead_of: Submission | None = None, session: ClientSession | None
    ) -> Submission | None:
        """Store the intent of a call, before the call is made, and reserve what it may cost.

        `instead_of`: an unsent call to somebody else, which is over with this. None when the job moved on. Raises
        StudioError("SPEND_CAP_REACHED"). What is free, and not instead of anything, needs no transaction.
        """
        if instead_of:
            self.give_back(job, instead_of, refusal="CANCELED", session=_inside(session))
        fields: Document = {
            "id": intent.id,
            "provider": intent.provider,
            "capability": intent.capability,
            "model": intent.model,
            "is_free": intent.is_free,
            "request": msgspec.to_builtins(intent.request),
            "digest": intent.digest,
            "tries": job.tries,
            "state": SubmissionState.SENDING,
        }
        before = {"$ifNull": ["$submissions", []]}
        added = [{"$mergeObjects": [{"$literal": fields}, {"at": "$$NOW", "sent_at": "$$NOW"}]}]
        other = {"capability": intent.capability, "state": {"$in": list(OPEN)}}
        stored = self._intend(
            job,
            intent.id,
            {"submissions": {"$not": {"$elemMatch": other}}},
            [{"$set": {"submissions": {"$concatArrays": [before, added]}}}],
            session,
        )
        if stored and not intent.is_free:
            self._ledger.reserve(
                stored.id,
                owner=job.owner,
                job_id=job.id,
                provider=intent.provider,
                capability=intent.capability,
                model=intent.model,
                currency=intent.currency,
                micros=intent.micros,
                at=stored.sent_at or stored.at,
                session=_inside(session),
            )
        return stored

    def send_again(self, job: Job, unsent: Submission) -> Submission | None:
        """Store that an unsent call is made once more. None when the job moved on, or another run was first."""
        sending: Document = {"state": SubmissionState.SENDING, "sent_at": "$$NOW", "is_answer_lost": False}
        again = {
            "$map": {
                "input": "$submissions",
                "as": "one",
                "in": {
                    "$cond": [
                        {"$eq": ["$$one.id", unsent.id]},
                        {"$mergeObjects": ["$$one", sending]},
                        "$$one",
                    ]
                },
            }
        }
        # Where a callback says meanwhile that it was taken after all, that is looked up first.
        guard = _the_one(unsent, SubmissionState.UNSENT, sent_at=unsent.sent_at, hinted_id=None)
        return self._intend(job, unsent.id, guard, [{"$set": {"submissions": again}}], None)

    def accept(self, job: Job, submission: Submission, provider_id: str, *, session: ClientSession) -> None:
        """Store under which id the provider has it."""
        # Even where a lookup has told otherwise since: a request may reach a provider late.
        before = SubmissionState.SENDING, SubmissionState.UNSENT
        told: Document = {"state": SubmissionState.ACCEPTED, "provider_id": provider_id}
        if not self._note(job, submission, before, told, session):
            # It is over, and whoever asks what was paid for should still be told.
            self._note(
                job, submission, (SubmissionState.CLOSED,), {"provider_id": provider_id}, session, provider_id=None
            )
        if not submission.is_free:
            self._ledger.accept(submission.id, session=session)

    def store_answer(
        self, job: Job, submission: Submission, answer: Any, *, micros: int | None, session: ClientSession
    ) -> None:
        """Store what was answered, and what it cost. It is kept until the step that asked has used it."""
        told = {"state": SubmissionState.ACCEPTED, "answer": msgspec.to_builtins(answer), "provider_id": submission.id}
        self._note(job, submission, OPEN, told, session)
        self._ledger.settle(submission.id, micros, session=session)

    def lose(self, job: Job, submission: Submission, *, session: ClientSession) -> None:
        """Store that a call has ended without an answer: what became of it can be looked up from now on."""
        self._note(
            job, submission, (SubmissionState.SENDING,), {"is_answer_lost": True}, session, sent_at=submission.sent_at
        )

    def give_back(
        self,
        job: Job,
        submission: Submission,
        *,
        refusal: str | None = None,
        session: ClientSession,
    ) -> None:
        """Store that the provider surely did not take it: it may be asked again, or is over where it has refused."""
        before = SubmissionState.SENDING, SubmissionState.UNSENT
        state = SubmissionState.CLOSED if refusal else SubmissionState.UNSENT
        # A hint that its caller knows of was of nothing. One that he does not is looked up first.
        fields: Document = {"state": state, "refusal": refusal, "hinted_id": None}
        seen = {"sent_at": submission.sent_at, "hinted_id": submission.hinted_id}
        is_noted = self._note(job, submission, before, fields, session, **seen)
        if is_noted and refusal and not submission.is_free:
            self._ledger.refund(submission.id, session=session)

    def hint(self, job: Job, submission: Submission, hinted_id: str, *, session: ClientSession) -> None:
        """Store what a callback says of a call whose answer was lost."""
        before = SubmissionState.SENDING, SubmissionState.UNSENT
        self._note(job, submission, before, {"hinted_id": hinted_id}, session)

    def spoil(
        self, job: Job, submission: Submission, *, refusal: str, micros: int | None, session: ClientSession
    ) -> None:
        """Store that a call was answered, and so is charged, with nothing that is of any use."""
        fields: Document = {"state": SubmissionState.CLOSED, "refusal": refusal, "provider_id": submission.id}
        self._note(job, submission, (SubmissionState.SENDING, SubmissionState.ACCEPTED), fields, session)
        self._ledger.settle(submission.id, micros, session=session)

    def charge(self, submission: Submission, *, micros: int | None = None, session: ClientSession) -> None:
        """Enter that what was accepted is there, and so is paid for; the job itself tells where."""
        if not submission.is_free:
            self._ledger.settle(submission.id, micros, session=session)

    def close(
        self,
        job: Job,
        submission: Submission,
        *,
        refusal: str | None = None,
        is_charged: bool = True,
        micros: int | None = None,
        session: ClientSession,
    ) -> None:
        """Store that an accepted call is over: its answer was used, or nothing came of it.

        `micros` is what it is charged; None where that is not told, or was told before.
        """
        fields = {"state": SubmissionState.CLOSED, "refusal": refusal, "answer": None}
        is_noted = self._note(job, submission, (SubmissionState.ACCEPTED,), fields, session)
        if submission.is_free or not is_noted:
            return
        if is_charged:
            self._ledger.settle(submission.id, micros, session=session)
        else:
            self._ledger.refund(submission.id, session=session)

    def leave(self, job: Job, *, session: ClientSession) -> None:
        """Bring the books into order with the calls of a job that has ended before they did.

        What was not taken is over: a retry asks anew. Whether the others are charged nobody knows, until a retry does.
        """
        stored = self._collection.find_one({"_id": job.id}, {"submissions": 1}, session=session) or {}
        for submission in msgspec.convert(stored.get("submissions", []), list[Submission]):
            if submission.state is SubmissionState.UNSENT and submission.hinted_id is None:
                self.give_back(job, submission, refusal="CANCELED", session=session)
            elif submission.state in OPEN and not submission.is_free:
                self._ledger.doubt(submission.id, session=session)

    def give_up(self, job: Job, submission: Submission, *, session: ClientSession) -> None:
        """Close a call of which nothing can be known: a person has decided so. The books keep their doubt."""
        fields = {"state": SubmissionState.CLOSED, "refusal": "OUTCOME_UNKNOWN"}
        self._note(job, submission, (SubmissionState.SENDING,), fields, session)

    def _intend(
        self,
        job: Job,
        submission_id: str,
        guard: Document,
        update: list[Document],
        session: ClientSession | None,
    ) -> Submission | None:
        stored = self._collection.find_one_and_update(
            {**job.at_work, **guard},
            update,
            projection={"submissions": {"$elemMatch": {"id": submission_id}}},
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        return msgspec.convert(stored["submissions"][0], Submission) if stored else None

    def _note(
        self,
        job: Job,
        submission: Submission,
        before: tuple[SubmissionState, ...],
        fields: Document,
        session: ClientSession,
        **guard: Any,
    ) -> bool:
        """Change a call that is in one of these states. Whether it was."""
        update = {"$set": {f"submissions.$.{name}": value for name, value in fields.items()}}
        query = {"_id": job.id, **_the_one(submission, *before, **guard)}
        return self._collection.update_one(query, update, session=session).matched_count > 0


def _the_one(submission: Submission, *states: SubmissionState, **fields: Any) -> Document:
    """Finds a job's call by its key, in one of these states."""
    return {"submissions": {"$elemMatch": {"id": submission.id, "state": {"$in": list(states)}, **fields}}}


def _inside(session: ClientSession | None) -> ClientSession:
    if session is None:
        raise ValueError("what may be charged is written in a transaction")
    return session
