"""Webhooks that go out: that a job has ended, told to a system of whoever runs this deployment.

    waiting -> delivered | refused | given_up

A delivery is stored in the transaction that ends the job, so none is forgotten and none is told of what did not happen.
It holds ids and states: no words of anybody, and nothing that leads to a picture or a film.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from pymongo import ASCENDING, DESCENDING, ReturnDocument
from pymongo.client_session import ClientSession

from studio.indexes import Index
from studio.jobs import Job, JobStatus
from studio.pipelines import JobKind
from studio.records import Document, Documents, Record, from_document, insert, new_id

KEEP_S = 30 * 24 * 3600


class DeliveryStatus(StrEnum):
    WAITING = "waiting"
    """For its first attempt, or for another one."""
    DELIVERED = "delivered"
    """The receiver has said that it has it."""
    REFUSED = "refused"
    """The receiver does not want it, and would not want it later."""
    GIVEN_UP = "given_up"
    """It was tried for a day."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    """When it came out so."""
    status_code: int | None = None
    """What the receiver answered; None where there was no answer."""
    reason: str | None = None
    """Why there was none: the kind of error."""


class EndedJob(msgspec.Struct, frozen=True, kw_only=True):
    """What is told."""

    job_id: str
    """Of the job."""
    artwork_id: str
    """What it was made for."""
    kind: JobKind
    """Of the job."""
    status: JobStatus
    """How it ended. A job that failed may be tried again, and end again."""
    version: int
    """The number of its film; 0 for other kinds."""
    error: str | None = None
    """Why it stopped: a symbol of the registry of errors."""
    finished_at: datetime
    """When it ended."""


class Delivery(Record, frozen=True, kw_only=True):
    """`id` is the webhook's, the same on every attempt: by it, a receiver knows what it has had."""

    owner: str
    job: EndedJob
    """What is told."""
    status: DeliveryStatus
    """How far it is."""
    attempts: list[Attempt]
    """The oldest first."""


INDEXES = [
    Index([("owner", ASCENDING)], name="owner", why="A client's deliveries, for export and erasure."),
    Index([("created_at", DESCENDING)], name="newest", why="The newest, for the command line."),
    Index([("updated_at", ASCENDING)], name="expiry", expireAfterSeconds=KEEP_S, why="Nobody asks for older ones."),
]


class Deliveries:
    def __init__(self, collection: Documents) -> None:
        self._collection = collection

    def open(self, job: Job, *, session: ClientSession) -> Delivery:
        """Store that the end of a job is to be told."""
        fields: Document = {
            "_id": f"msg_{new_id()}",
            "owner": job.owner,
            "job": {
                "job_id": job.id,
                "artwork_id": job.artwork_id,
                "kind": job.kind,
                "status": job.status,
                "version": job.version,
                "error": job.error.symbol if job.error else None,
                "finished_at": job.finished_at,
            },
            "status": DeliveryStatus.WAITING,
            "attempts": [],
        }
        return from_document(insert(self._collection, fields, session=session), Delivery)

    def load(self, delivery_id: str) -> Delivery | None:
        """A delivery about whoever's job; for actors only."""
        document = self._collection.find_one({"_id": delivery_id})
        return from_document(document, Delivery) if document else None

    def list_newest(self, *, status: DeliveryStatus | None = None, limit: int) -> list[Delivery]:
        """Those about everybody's jobs, for whoever runs the deployment."""
        query = {"status": status} if status else {}
        return [
            from_document(one, Delivery) for one in self._collection.find(query, limit=limit).sort("created_at", -1)
        ]

    def note(
        self,
        delivery: Delivery,
        status: DeliveryStatus,
        *,
        status_code: int | None = None,
        reason: str | None = None,
    ) -> Delivery | None:
        """Store how an attempt came out. None when the delivery has come to its end before, or its owner is erased."""
        attempt: dict[str, Any] = {"status_code": status_code, "reason": reason}
        entry = {"$mergeObjects": [{"$literal": attempt}, {"at": "$$NOW"}]}
        document = self._collection.find_one_and_update(
            {"_id": delivery.id, "status": DeliveryStatus.WAITING},
            [
                {
                    "$set": {
                        "status": status,
                        "attempts": {"$concatArrays": ["$attempts", [entry]]},
                        "updated_at": "$$NOW",
                    }
                }
            ],
            return_document=ReturnDocument.AFTER,
        )
        return from_document(document, Delivery) if document else None
