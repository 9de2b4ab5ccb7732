"""Objects that belong to nothing: left by a commit or a step that broke off, or put after a commit was over.

Every object of an artwork is named for what it belongs to, so a page of keys is compared with the database by a few
queries by id. What has another kind of key is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from studio.keys import LENT, Place, parse_key
from studio.studio import Studio

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Swept:
    """`last` is the key to go on from; None when the end was reached."""

    removed: int
    last: str | None


def sweep_orphans(studio: Studio, older_than_s: float, *, after: str = "") -> Swept:
    """Remove orphans of this age among the next PAGE objects. Raises StoreUnavailable.

    The age has to be longer than any step takes from its first object to its document, and than uploads are waited for.
    """
    # By this machine's clock against the store's: the age is in hours, and they differ by seconds.
    oldest = datetime.now(UTC) - timedelta(seconds=older_than_s)
    page = list(islice(studio.objects.list_objects("clients/", after=after), PAGE))
    old = {found.key: place for found in page if found.modified_at < oldest and (place := parse_key(found.key))}
    orphans = old.keys() - _belonging(studio, old)
    for key in orphans:
        studio.objects.delete(key)
    return Swept(len(orphans), page[-1].key if len(page) == PAGE else None)


def sweep_lent(studio: Studio, older_than_s: float) -> int:
    """Remove copies that were lent to a service and not taken back, and return how many. Raises StoreUnavailable."""
    oldest = datetime.now(UTC) - timedelta(seconds=older_than_s)
    left = [found.key for found in studio.objects.list_objects(LENT) if found.modified_at < oldest]
    for key in left:
        studio.objects.delete(key)
    return len(left)


def _belonging(studio: Studio, places: dict[str, Place]) -> set[str]:
    """The keys among these whose object belongs to something, or that nothing here knows about."""
    uploads = studio.announced_uploads.known_among({name.partition("-")[2] for name in _names(places, "upload")})
    films = studio.jobs.unfinished_films({place.artwork_id for place in places.values() if place.folder == "render"})
    exports = studio.exports.known_among(_names(places, "exports"))
    media = studio.media_assets.keys_of(_names(places, "original", "audio", "video", "thumb"))

    def belongs(key: str, place: Place) -> bool:
        match place.folder:
            case "upload":
                return place.name.partition("-")[2] in uploads
            case "render":
                return (place.artwork_id, place.version) in films
            case "exports":
                return place.name in exports
            case "original" | "audio" | "video" | "thumb":
                return key in media
            case _:
                return True

    return {key for key, place in places.items() if belongs(key, place)}


def _names(places: dict[str, Place], *folders: str) -> set[str]:
    return {place.name for place in places.values() if place.folder in folders}
