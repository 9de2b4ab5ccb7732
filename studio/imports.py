"""Films that were in the bucket before us: each becomes a finished artwork of one client, and stays where it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from studio.errors import StudioError
from studio.intake import sha256_of
from studio.media import clips
from studio.media_assets import Kind, MediaAsset
from studio.objects import ListedObject
from studio.records import new_id
from studio.studio import Studio
from studio.uploads import Store

ENDINGS = {".mp4", ".webm", ".mov", ".m4v"}
TITLE_MAX_CHARACTERS = 80


def films_below(studio: Studio, prefix: str) -> list[ListedObject]:
    """The films whose keys begin with `prefix`, the oldest first, by the endings of their names.

    What is in a client's folder is left out: it is somebody's already. Raises StoreUnavailable.
    """
    return sorted(_films(studio, prefix), key=lambda found: (found.modified_at, found.key))


def is_imported(studio: Studio, owner: str, key: str) -> bool:
    return studio.media_assets.get_by_source(owner, key).now() is not None


def import_film(studio: Studio, owner: str, found: ListedObject, *, store: Store) -> bool:
    """Make an artwork of a film. Whether it was made: one that was imported before is left as it is.

    Raises StudioError for what is no film that plays or is too large, FileNotFoundError and StoreUnavailable.
    """
    if is_imported(studio, owner, found.key):
        return False
    if found.size > studio.settings.video_max_bytes:
        raise StudioError("FILE_TOO_LARGE", max_bytes=studio.settings.video_max_bytes)
    fields = _inspected(studio, found.key)

    def save(session: ClientSession) -> MediaAsset:
        artwork = studio.artworks.create(
            owner,
            title=title_of(found.key),
            description="",
            cover_asset_id=None,
            audio_asset_id=None,
            session=session,
        )
        asset_fields = {"_id": new_id(), "owner": owner, "artwork_id": artwork.id, "source": found.key, **fields}
        film = studio.media_assets.create(asset_fields, session=session)
        studio.artworks.add_version(
            artwork.id,
            version=studio.artworks.begin_version(artwork.id, session=session),
            job_id=film.id,
            video_asset_id=film.id,
            at=film.created_at,
            session=session,
        )
        return film

    try:
        store(save)
    except DuplicateKeyError:
        # By another import, which began at the same time.
        return False
    return True


def title_of(key: str) -> str:
    """What a film is called until somebody says better: the name of its file, with spaces."""
    words = PurePosixPath(key).stem.replace("_", " ").replace("-", " ").split()
    return " ".join(words)[:TITLE_MAX_CHARACTERS]


def _films(studio: Studio, prefix: str) -> Iterator[ListedObject]:
    for found in studio.objects.list_objects(prefix):
        is_film = PurePosixPath(found.key).suffix.lower() in ENDINGS
        if is_film and not found.key.startswith("clients/"):
            yield found


def _inspected(studio: Studio, key: str) -> dict[str, object]:
    """What an asset says of a film."""
    with studio.objects.local_copy(key) as path:
        facts = clips.inspect(path, unreadable="VIDEO_UNREADABLE")
        digest = sha256_of(path)
    head = studio.objects.head(key)
    if head is None:
        raise FileNotFoundError
    return {
        "kind": Kind.VIDEO,
        "key": key,
        "mime": facts.mime,
        "size": head.size,
        "etag": head.etag,
        "hash": digest,
        "width": facts.width,
        "height": facts.height,
        "seconds": facts.seconds,
    }
