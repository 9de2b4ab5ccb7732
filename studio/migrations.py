"""Collections and indexes, brought up to date at start. Safe when ten processes start at once, and when run again."""

from __future__ import annotations

from typing import Any

from pymongo import IndexModel
from pymongo.database import Database

from studio import artworks, erasures, events, exports, jobs, media_assets

INDEXES: dict[str, list[IndexModel]] = {
    "artworks": artworks.INDEXES,
    "media_assets": media_assets.INDEXES,
    "jobs": jobs.INDEXES,
    "events": events.INDEXES,
    "exports": exports.INDEXES,
    "erasures": erasures.INDEXES,
}
# A transaction may write to these; made here, none has to be made inside one.
PLAIN_COLLECTIONS = ("clients", "ai_analyses", "event_counters", "consents", "step_times", "statistics")


def migrate(database: Database[Any]) -> None:
    """Create what is missing. Creating an index that exists is no work for the server."""
    for name, indexes in INDEXES.items():
        database[name].create_indexes(indexes)
    existing = set(database.list_collection_names())
    for name in PLAIN_COLLECTIONS:
        if name not in existing:
            # An index on _id exists already; asking for it creates the collection, and is no error the second time.
            database[name].create_index("_id")
