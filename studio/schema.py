"""The collections of the database: what a document of each holds, about whom, and by what it is found."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from studio import announced_uploads, artworks, events, jobs, media_assets, request_counters
from studio.analyses import Analysis
from studio.clients import Client
from studio.indexes import Index
from studio.migration_records import MigrationRecord
from studio.profiles import Profile
from studio.statistics import DayOfJobs
from studio.step_times import StepTime


class Personal(StrEnum):
    """How much a collection says about a person."""

    CHILD = "a child's words, pictures or voice, or what was read in them"
    OWNER = "what a client did and when, under its owner id"
    NONE = "nothing about anybody"


class Collection(NamedTuple):
    record: type[msgspec.Struct]
    personal: Personal
    indexes: Sequence[Index] = ()


COLLECTIONS: dict[str, Collection] = {
    "clients": Collection(Client, Personal.OWNER),
    "artworks": Collection(artworks.Artwork, Personal.CHILD, artworks.INDEXES),
    "uploads": Collection(announced_uploads.AnnouncedUpload, Personal.OWNER, announced_uploads.INDEXES),
    "media_assets": Collection(media_assets.MediaAsset, Personal.CHILD, media_assets.INDEXES),
    "jobs": Collection(jobs.Job, Personal.CHILD, jobs.INDEXES),
    "ai_analyses": Collection(Analysis, Personal.CHILD),
    "events": Collection(events.Event, Personal.OWNER, events.INDEXES),
    "event_counters": Collection(events.EventCounter, Personal.OWNER),
    "step_times": Collection(StepTime, Personal.NONE),
    "statistics": Collection(DayOfJobs, Personal.NONE),
    "profiles": Collection(Profile, Personal.CHILD),
    request_counters.COLLECTION: Collection(request_counters.RequestCounter, Personal.OWNER, request_counters.INDEXES),
    "migrations": Collection(MigrationRecord, Personal.NONE),
}
