"""The collections of the database: what a document of each holds, and by what it is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from pymongo import IndexModel

from studio import announced_uploads, artworks, events, jobs, media_assets, request_counters
from studio.analyses import Analysis
from studio.clients import Client
from studio.migration_records import MigrationRecord
from studio.profiles import Profile
from studio.statistics import DayOfJobs
from studio.step_times import StepTime


class Collection(NamedTuple):
    record: type[msgspec.Struct]
    indexes: Sequence[IndexModel] = ()


COLLECTIONS: dict[str, Collection] = {
    "clients": Collection(Client),
    "artworks": Collection(artworks.Artwork, artworks.INDEXES),
    "uploads": Collection(announced_uploads.AnnouncedUpload, announced_uploads.INDEXES),
    "media_assets": Collection(media_assets.MediaAsset, media_assets.INDEXES),
    "jobs": Collection(jobs.Job, jobs.INDEXES),
    "ai_analyses": Collection(Analysis),
    "events": Collection(events.Event, events.INDEXES),
    "event_counters": Collection(events.EventCounter),
    "step_times": Collection(StepTime),
    "statistics": Collection(DayOfJobs),
    "profiles": Collection(Profile),
    request_counters.COLLECTION: Collection(request_counters.RequestCounter, request_counters.INDEXES),
    "migrations": Collection(MigrationRecord),
}
