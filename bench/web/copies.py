"""Many documents of the kind that the product itself stored for one film, made by copying those."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

from pymongo.database import Database

from studio.records import new_id, owner_of

Document = dict[str, Any]

_BATCH = 2_000
_APART = timedelta(minutes=7)
_NOUNS = ["fox", "balloon", "sun", "whale", "garden", "robot", "grandma", "rocket", "snail", "castle", "rain", "dragon"]
_ADJECTIVES = ["red", "sleepy", "tiny", "flying", "brave", "golden", "quiet", "muddy", "clever", "paper"]
_CHANCE = random.Random(4)  # noqa: S311 - equal titles on every run


class Copies:
    """Copies of one artwork with its media and its job, for any client."""

    def __init__(self, database: Database[Document], *, owner_key: str, artwork_id: str) -> None:
        self._database = database
        self._owner_key = owner_key
        self._artwork = _found(database["artworks"].find_one({"_id": artwork_id}))
        self._job = _found(database["jobs"].find_one({"artwork_id": artwork_id}))
        fields = ("cover_asset_id", "audio_asset_id", "video_asset_id")
        self._assets = {
            name: _found(database["media_assets"].find_one({"_id": asset_id}))
            for name in fields
            if (asset_id := self._artwork[name])
        }

    def jobs(self, client_id: str, count: int) -> list[str]:
        """Store so many finished jobs of a client; their ids."""
        owner = owner_of(client_id, self._owner_key)
        copies = [{**self._job, "_id": new_id(), "owner": owner, "artwork_id": new_id()} for _ in range(count)]
        self._insert("jobs", iter(copies))
        return [copy["_id"] for copy in copies]

    def gallery(self, client_id: str, count: int) -> None:
        """Store so many artworks with drawing, recording and film, each a few minutes older than the one before."""
        owner = owner_of(client_id, self._owner_key)
        works = [self._work(owner, number) for number in range(count)]
        self._insert("media_assets", (asset for _, assets in works for asset in assets))
        self._insert("artworks", (artwork for artwork, _ in works))

    def drafts(self, client_ids: list[str]) -> list[str]:
        """Store an artwork without a film for each time a client is named; their ids."""
        blank: Document = {
            "status": "draft",
            "versions": [],
            "last_version": 0,
            "video_asset_id": None,
            "transcript": None,
            "words": None,
        }
        works = [self._work(owner_of(client_id, self._owner_key), 0) for client_id in client_ids]
        self._insert("media_assets", (asset for _, assets in works for asset in assets))
        self._insert("artworks", ({**artwork, **blank} for artwork, _ in works))
        return [artwork["_id"] for artwork, _ in works]

    def _work(self, owner: str, number: int) -> tuple[Document, list[Document]]:
        artwork_id = new_id()
        assets = {
            name: {**asset, "_id": new_id(), "owner": owner, "artwork_id": artwork_id, "source": new_id()}
            for name, asset in self._assets.items()
        }
        at = self._artwork["created_at"] - number * _APART
        artwork: Document = {
            **self._artwork,
            "_id": artwork_id,
            "owner": owner,
            "title": f"The {_CHANCE.choice(_ADJECTIVES)} {_CHANCE.choice(_NOUNS)} {number}",
            "created_at": at,
            "updated_at": at,
            **{name: asset["_id"] for name, asset in assets.items()},
        }
        artwork["versions"] = [
            {**version, "job_id": new_id(), "video_asset_id": artwork["video_asset_id"], "created_at": at}
            for version in self._artwork["versions"]
        ]
        return artwork, list(assets.values())

    def _insert(self, collection: str, documents: Iterator[Document]) -> None:
        while batch := list(islice(documents, _BATCH)):
            self._database[collection].insert_many(batch, ordered=False)


def _found(document: Document | None) -> Document:
    if document is None:
        raise LookupError("the film that was to be copied is not there")
    return document
