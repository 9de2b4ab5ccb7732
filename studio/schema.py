"""The collections of the database: what a document of each holds, and by what it is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from pymongo import IndexModel

from studio import artworks, events, jobs, media_assets, request_counters
from studio.analyses import Analysis
from studio.clients import Client
from studio.migration_records import MigrationRecord


class Collection(NamedTuple):
    record: type[msgspec.Struct]
    indexes: Sequence[IndexModel] = ()


COLLECTIONS: dict[str, Collection] = {
    "clients": Collection(Client),
    "artworks": Collection(artworks.Artwork, artworks.INDEXES),
    "media_assets": Collection(media_assets.MediaAsset, media_assets.INDEXES),
    "jobs": Collection(jobs.Job, jobs.INDEXES),
    "ai_analyses": Collection(Analysis),
    "events": Collection(events.Event, events.INDEXES),
    "event_counters": Collection(events.EventCounter),
    request_counters.COLLECTION: Collection(request_counters.RequestCounter, request_counters.INDEXES),
    "migrations": Collection(MigrationRecord),
}
