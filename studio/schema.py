"""The collections of the database: what a document of each holds, and by what it is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from studio import (
    analyses,
    announced_uploads,
    artworks,
    callbacks,
    clients,
    deliveries,
    erasures,
    events,
    exports,
    jobs,
    ledger,
    media_assets,
    request_counters,
)
from studio.consents import Consents
from studio.gates import Gate, Place, Slot, Waiter
from studio.gates.gates import PLACE_INDEXES
from studio.gates.slots import SLOT_INDEXES, WAITER_INDEXES
from studio.indexes import Index
from studio.migration_records import MigrationRecord
from studio.profiles import Profile
from studio.statistics import DayOfJobs
from studio.step_times import StepTime
from studio.walks import Walk


class Collection(NamedTuple):
    record: type[msgspec.Struct]
    indexes: Sequence[Index] = ()


COLLECTIONS: dict[str, Collection] = {
    "clients": Collection(clients.Client, clients.INDEXES),
    "artworks": Collection(artworks.Artwork, artworks.INDEXES),
    "media_assets": Collection(media_assets.MediaAsset, media_assets.INDEXES),
    "uploads": Collection(announced_uploads.AnnouncedUpload, announced_uploads.INDEXES),
    "jobs": Collection(jobs.Job, jobs.INDEXES),
    "ai_analyses": Collection(analyses.Analysis, analyses.INDEXES),
    "events": Collection(events.Event, events.INDEXES),
    "event_counters": Collection(events.EventCounter),
    "consents": Collection(Consents),
    "exports": Collection(exports.Export, exports.INDEXES),
    "ledger": Collection(ledger.LedgerEntry, ledger.INDEXES),
    "spend_counters": Collection(ledger.SpendCounter, ledger.COUNTER_INDEXES),
    "erasures": Collection(erasures.Erasure, erasures.INDEXES),
    "callbacks": Collection(callbacks.ReceivedCallback, callbacks.INDEXES),
    "deliveries": Collection(deliveries.Delivery, deliveries.INDEXES),
    "step_times": Collection(StepTime),
    "statistics": Collection(DayOfJobs),
    "walks": Collection(Walk),
    request_counters.COLLECTION: Collection(request_counters.RequestCounter, request_counters.INDEXES),
    "gates": Collection(Gate),
    "gate_places": Collection(Place, PLACE_INDEXES),
    "slots": Collection(Slot, SLOT_INDEXES),
    "slot_waiters": Collection(Waiter, WAITER_INDEXES),
    "profiles": Collection(Profile),
    "migrations": Collection(MigrationRecord),
}
