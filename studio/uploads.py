"""The ways in for media: a presigned door and then a commit that believes nothing it is told, or a file as it is.

Bytes wait under an upload key. The commit looks at what is really there, keeps a clean copy under a key of its own,
and removes the upload, whether it was good or not. So nothing is kept of what was refused, and an upload that is
replaced after its commit changes nothing. A commit that broke off is repeated: the copy has the upload's own id, so the
second try writes the same object, and a commit has not succeeded before the upload is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo.client_session import ClientSession

from studio.announced_uploads import AnnouncedUpload
from studio.errors import StudioError
from studio.intake import FILM_EXTENSIONS, clean_copy, kind_of
from studio.keys import Upload, object_key, parse_upload_key, upload_key
from studio.media_assets import Kind, MediaAsset
from studio.objects import ObjectHead
from studio.records import is_new_id, new_id
from studio.scratch import scratch_folder
from studio.settings import Settings
from studio.studio import Studio

# What browsers and phones call their files, and the extension each gets while it waits.
EXTENSIONS: dict[Kind, dict[str, str]] = {
    Kind.IMAGE: {
        "image/jpeg": "jpg",
        "image/jpg": "jpg",
        "image/png": "png",
        "image/webp": "webp",
        "image/heic": "heic",
        "image/heif": "heif",
    },
    Kind.AUDIO: {
        "audio/webm": "webm",
        "video/webm": "webm",
        "audio/mp4": "m4a",
        "audio/m4a": "m4a",
        "audio/x-m4a": "m4a",
        "audio/aac": "aac",
        "audio/mpeg": "mp3",
        "audio/mp3": "mp3",
        "audio/wav": "wav",
        "audio/x-wav": "wav",
        "audio/wave": "wav",
        "audio/ogg": "ogg",
        "audio/flac": "flac",
        "audio/x-flac": "flac",
    },
    Kind.VIDEO: FILM_EXTENSIONS,
}
_FOLDERS = {Kind.IMAGE: "original", Kind.AUDIO: "audio", Kind.VIDEO: "video"}

Store = Callable[[Callable[[ClientSession], MediaAsset]], MediaAsset]
"""Runs in one transaction what stores an asset, and sends what is to follow from it."""

SWEEP_AT_ONCE = 500


class _Overtaken(Exception):
    """The upload was committed by another call, or swept."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where and how to put the bytes of one upload."""

    key: str
    url: str
    headers: dict[str, str]
    artwork_id: str


def max_bytes(settings: Settings, kind: Kind) -> int:
    return {
        Kind.IMAGE: settings.image_max_bytes,
        Kind.AUDIO: settings.audio_max_bytes,
        Kind.VIDEO: settings.video_max_bytes,
    }[kind]


def open_door(studio: Studio, owner: str, *, kind: Kind, mime: str, size: int, artwork_id: str | None) -> Door:
    """Presign an upload of exactly this type and size. Raises StudioError for a type or a size that is not taken.

    The artwork may be one that does not exist yet: its id was reserved by an earlier upload, or is made up here. All
    files of an artwork lie in one folder that way.
    """
    # Browsers add parameters, as in "audio/webm;codecs=opus". They are signed as sent, and otherwise ignored.
    extension = EXTENSIONS[kind].get(mime.partition(";")[0].strip().lower())
    if extension is None:
        raise StudioError("MIME_NOT_SUPPORTED", mime=mime)
    _check_size(studio.settings, kind, size)
    if artwork_id:
        _check_artwork(studio, owner, artwork_id)
    artwork_id = artwork_id or new_id()
    upload_id = new_id()
    key = upload_key(owner, artwork_id, kind, upload_id, extension)
    studio.announced_uploads.add(upload_id, owner, artwork_id=artwork_id, kind=kind, key=key, mime=mime, size=size)
    url = studio.objects.presign_put(key, mime=mime, size=size)
    return Door(key, url, {"Content-Type": mime, "Content-Length": str(size)}, artwork_id)


def _check_artwork(studio: Studio, owner: str, artwork_id: str) -> None:
    """The owner's own artwork, or an id that nobody's artwork has taken. Raises StudioError("NOT_FOUND")."""
    if studio.artworks.get(owner, artwork_id).now():
        return
    if not is_new_id(artwork_id) or studio.artworks.is_taken(artwork_id):
        raise StudioError("NOT_FOUND")


def commit(studio: Studio, owner: str, *, key: str, etag: str | None, size: int | None, store: Store) -> MediaAsset:
    """Make a media asset of an upload. A second commit of the same upload returns the same asset.

    Raises StudioError when it is missing, is not what was announced, or does not pass the checks of its kind; nothing
    of it is then kept.
    """
    upload = parse_upload_key(key, owner)
    if upload is None:
        raise StudioError("NOT_FOUND")
    known = studio.media_assets.get_by_source(owner, key).now()
    if known:
        # The commit that made it may have broken off here, and the upload still tells where a photo was taken.
        studio.objects.delete(key)
        return known
    announced = studio.announced_uploads.get(owner, upload.id, key).now()
    head = studio.objects.head(key) if announced else None
    if announced is None or head is None:
        return _committed_meanwhile(studio, owner, key)
    try:
        _check_size(studio.settings, upload.kind, head.size)
        _check_announced(announced, head, etag=etag, size=size)
        asset = _keep_uploaded(studio, announced, head, store)
    except (FileNotFoundError, _Overtaken):
        return _committed_meanwhile(studio, owner, key)
    except StudioError:
        studio.objects.delete(key)
        raise
    studio.objects.delete(key)
    return asset


def take_in(
    studio: Studio, owner: str, received: Path, *, kind: Kind | None, artwork_id: str | None, store: Store
) -> MediaAsset:
    """Make a media asset of a file that came through this process; without a kind, of the one that its bytes tell.

    Raises StudioError as `open_door` and `commit` do.
    """
    if artwork_id:
        _check_artwork(studio, owner, artwork_id)
    kind = kind or kind_of(received)
    _check_size(studio.settings, kind, received.stat().st_size)
    upload = Upload(new_id(), artwork_id or new_id(), kind)
    source = upload_key(owner, upload.artwork_id, kind, upload.id, "form")
    with scratch_folder() as folder:
        fields = _keep(studio, owner, upload, received, folder)
    return store(lambda session: studio.media_assets.create({**fields, "source": source}, session=session))


def sweep(studio: Studio, older_than_s: float) -> int:
    """Remove uploads that were announced this long ago and never committed, with their bytes.

    The answer is how many there were, of SWEEP_AT_ONCE at most: if as many, there may be more. Raises StoreUnavailable.
    """
    forgotten = studio.announced_uploads.list_older(older_than_s, limit=SWEEP_AT_ONCE).now()
    for upload in forgotten:
        studio.objects.delete(upload.key)
        studio.announced_uploads.remove(upload.id)
    return len(forgotten)


def asset_of(studio: Studio, owner: str, key: str, kind: Kind, *, store: Store) -> MediaAsset:
    """The asset behind a key: a finished object's, or an upload's, which is committed where it was not yet.

    Raises StudioError as `commit`, and "NOT_FOUND" for a key that is not the owner's or of another kind.
    """
    upload = parse_upload_key(key, owner)
    if upload and upload.kind is kind:
        return commit(studio, owner, key=key, etag=None, size=None, store=store)
    asset = studio.media_assets.get_by_key(owner, key).now()
    if asset is None or asset.kind is not kind:
        raise StudioError("NOT_FOUND")
    return asset


def _committed_meanwhile(studio: Studio, owner: str, key: str) -> MediaAsset:
    """The asset of an upload that is gone: a commit that ran beside this one has removed it, or it never was there."""
    known = studio.media_assets.get_by_source(owner, key).now()
    if known is None:
        raise StudioError("UPLOAD_NOT_FOUND")
    return known


def _check_announced(announced: AnnouncedUpload, head: ObjectHead, *, etag: str | None, size: int | None) -> None:
    is_other = etag is not None and etag.strip('"') != head.etag
    if is_other or head.size != announced.size or size not in {None, head.size}:
        raise StudioError("UPLOAD_CHANGED")


def _check_size(settings: Settings, kind: Kind, size: int) -> None:
    limit = max_bytes(settings, kind)
    if size > limit:
        raise StudioError("FILE_TOO_LARGE", max_bytes=limit)


def _keep_uploaded(studio: Studio, announced: AnnouncedUpload, head: ObjectHead, store: Store) -> MediaAsset:
    upload = Upload(announced.id, announced.artwork_id, announced.kind)
    with scratch_folder() as folder:
        received = folder / "received"
        if studio.objects.download(announced.key, received).etag != head.etag:
            raise StudioError("UPLOAD_CHANGED")
        fields = _keep(studio, announced.owner, upload, received, folder)

    def save(session: ClientSession) -> MediaAsset:
        if not studio.announced_uploads.remove(announced.id, session=session):
            raise _Overtaken
        return studio.media_assets.create({**fields, "source": announced.key}, session=session)

    return store(save)


def _keep(studio: Studio, owner: str, upload: Upload, received: Path, folder: Path) -> dict[str, Any]:
    """Check the bytes and store the clean copy. Its document comes after it: an object alone is only an orphan."""
    copy = clean_copy(studio.settings, upload.kind, received, folder)
    key = object_key(owner, upload.artwork_id, _FOLDERS[upload.kind], 1, f"{upload.id}.{copy.extension}")
    stored = studio.objects.upload(copy.path, key, mime=copy.facts["mime"])
    return {
        "_id": upload.id,
        "owner": owner,
        "artwork_id": upload.artwork_id,
        "kind": upload.kind,
        "key": key,
        "size": stored.size,
        "etag": stored.etag,
        **copy.facts,
    }
