"""Paid calls. Each is written into its job before it is made, and what became of it right after.

    sending -> accepted | unsent | closed
    unsent -> sending        (the same call once more, under the same key)
    accepted -> closed       (given up by a retry, which asks anew)

An intent is only written while its job is at work. What became of a call stays true whatever became of the job, so
that is guarded by the call alone: a job that is being canceled still learns under which id it may be charged.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
from pymongo import ReturnDocument
from pymongo.client_session import ClientSession

from studio.providers.interfaces import AnimationRequest
from studio.records import Document, Documents, new_id

if TYPE_CHECKING:
    from studio.jobs import Job


class SubmissionState(StrEnum):
    SENDING = "sending"
    """The intent: the call may have gone out. Only a lookup may tell what became of it."""
    UNSENT = "unsent"
    """The provider surely did not take it, and may be asked again under the same key."""
    ACCEPTED = "accepted"
    """The provider has it, under `provider_id`."""
    CLOSED = "closed"
    """Refused, or given up: a retry asks anew."""


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One paid call. `id` is the idempotency key, the same on every attempt."""

    id: str
    """The idempotency key."""
    provider: str
    """Who was asked."""
    request: AnimationRequest
    """What was asked for."""
    state: SubmissionState
    at: datetime
    """When the intent was written."""
    is_free: bool = False
    """The provider charges nothing for it."""
    provider_id: str | None = None
    """Under which the provider knows it."""
    hinted_id: str | None = None
    """Under which a callback says that the provider knows it, where the answer was lost. Worth a look, and no more."""
    clip: str | None = None
    """Where the finished clip is, once it was seen."""


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
    """The part of the jobs' collection that tells of paid calls."""

    def __init__(self, collection: Documents) -> None:
        self._collection = collection

    def open(self, job: Job, *, provider: str, is_free: bool, request: AnimationRequest) -> Submission | None:
        """Store the intent of a call, on a majority, before the call is made. None when the job moved on."""
        intent: Document = {
            "id": new_id(),
            "provider": provider,
            "is_free": is_free,
            "request": msgspec.to_builtins(request),
            "state": SubmissionState.SENDING,
        }
        open_states = [state for state in SubmissionState if state is not SubmissionState.CLOSED]
        before = {"$ifNull": ["$submissions", []]}
        added = [{"$mergeObjects": [{"$literal": intent}, {"at": "$$NOW"}]}]
        return self._intend(
            job,
            {"submissions.state": {"$nin": open_states}},
            [{"$set": {"submissions": {"$concatArrays": [before, added]}}}],
        )

    def send_again(self, job: Job, unsent: Submission) -> Submission | None:
        """Store that an unsent call is made once more. None when the job moved on, or another run was first."""
        return self._intend(
            job,
            _the_one(unsent, SubmissionState.UNSENT),
            {"$set": {"submissions.$.state": SubmissionState.SENDING}},
        )

    def accept(self, job: Job, submission: Submission, provider_id: str) -> None:
        """Store under which id the provider has it."""
        # Even where a lookup has told otherwise since: a request may reach a provider late.
        before = SubmissionState.SENDING, SubmissionState.UNSENT
        self._note(job, submission, before, {"state": SubmissionState.ACCEPTED, "provider_id": provider_id})

    def give_back(self, job: Job, submission: Submission, state: SubmissionState) -> None:
        """Store that the provider surely did not take it: UNSENT, or CLOSED where asking again is of no use."""
        self._note(job, submission, (SubmissionState.SENDING,), {"state": state})

    def hint(self, job: Job, submission: Submission, hinted_id: str, *, session: ClientSession) -> None:
        """Store what a callback says of a call whose answer was lost."""
        before = SubmissionState.SENDING, SubmissionState.UNSENT
        self._note(job, submission, before, {"hinted_id": hinted_id}, session=session)

    def set_clip(self, job: Job, submission: Submission, clip: str, *, session: ClientSession) -> None:
        self._note(job, submission, (SubmissionState.ACCEPTED,), {"clip": clip}, session=session)

    def _intend(self, job: Job, guard: Document, update: Document | list[Document]) -> Submission | None:
        stored = self._collection.find_one_and_update(
            {**job.at_work, **guard},
            update,
            projection={"submissions": {"$slice": -1}},
            return_document=ReturnDocument.AFTER,
        )
        return msgspec.convert(stored["submissions"][0], Submission) if stored else None

    def _note(
        self,
        job: Job,
        submission: Submission,
        before: tuple[SubmissionState, ...],
        fields: Document,
        *,
        session: ClientSession | None = None,
    ) -> None:
        update = {"$set": {f"submissions.$.{name}": value for name, value in fields.items()}}
        self._collection.update_one({"_id": job.id, **_the_one(submission, *before)}, update, session=session)


def _the_one(submission: Submission, *states: SubmissionState) -> Document:
    """Finds a job's call by its key, in one of these states."""
    return {"submissions": {"$elemMatch": {"id": submission.id, "state": {"$in": list(states)}}}}
