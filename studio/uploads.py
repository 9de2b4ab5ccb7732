"""The way in for media: a presigned door, then a commit that believes nothing it is told.

Bytes wait under an upload key. The commit looks at what is really there, keeps a clean copy under a key of its own,
and removes the upload, whether it was good or not. So nothing is kept of what was refused, and an upload that is
replaced after its commit changes nothing. A commit that broke off is repeated: the copy has the upload's own id, so the
second try writes the same object, and a commit has not succeeded before the upload is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import BoundedSemaphore
from typing import Any

from studio.errors import StudioError
from studio.keys import Upload, object_key, parse_upload_key, upload_key
from studio.media import clips, images, sound, tags
from studio.media_assets import Kind, MediaAsset
from studio.objects import ObjectHead
from studio.records import is_new_id, new_id
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
    Kind.VIDEO: {"video/mp4": "mp4", "video/webm": "webm", "video/quicktime": "mov"},
}

CHECKS_AT_ONCE = 2
"""A picture of fifty million pixels takes half a gigabyte while it is decoded, and a web process has forty threads."""
_checking = BoundedSemaphore(CHECKS_AT_ONCE)


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
    key = upload_key(owner, artwork_id, kind, new_id(), extension)
    url = studio.objects.presign_put(key, mime=mime, size=size)
    return Door(key, url, {"Content-Type": mime, "Content-Length": str(size)}, artwork_id)


def _check_artwork(studio: Studio, owner: str, artwork_id: str) -> None:
    """The owner's own artwork, or an id that nobody's artwork has taken. Raises StudioError("NOT_FOUND")."""
    if studio.artworks.get(owner, artwork_id).now():
        return
    if not is_new_id(artwork_id) or studio.artworks.is_taken(artwork_id):
        raise StudioError("NOT_FOUND")


def commit(studio: Studio, owner: str, *, key: str, etag: str | None, size: int | None) -> MediaAsset:
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
    head = studio.objects.head(key)
    if head is None:
        return _committed_meanwhile(studio, owner, key)
    try:
        _check_announced(head, etag=etag, size=size)
        _check_size(studio.settings, upload.kind, head.size)
        asset = _keep(studio, owner, upload, key)
    except FileNotFoundError:
        return _committed_meanwhile(studio, owner, key)
    except StudioError:
        studio.objects.delete(key)
        raise
    studio.objects.delete(key)
    return asset


def _committed_meanwhile(studio: Studio, owner: str, key: str) -> MediaAsset:
    """The asset of an upload that is gone: a commit that ran beside this one has removed it, or it never was there."""
    known = studio.media_assets.get_by_source(owner, key).now()
    if known is None:
        raise StudioError("UPLOAD_NOT_FOUND")
    return known


def _check_announced(head: ObjectHead, *, etag: str | None, size: int | None) -> None:
    if (etag and etag.strip('"') != head.etag) or (size is not None and size != head.size):
        raise StudioError("UPLOAD_CHANGED")


def _check_size(settings: Settings, kind: Kind, size: int) -> None:
    limit = max_bytes(settings, kind)
    if size > limit:
        raise StudioError("FILE_TOO_LARGE", max_bytes=limit)


def _keep(studio: Studio, owner: str, upload: Upload, key: str) -> MediaAsset:
    """Check the bytes, store the clean copy, then its document: an object without a document is only an orphan."""
    with TemporaryDirectory(prefix="huaban-") as name:
        folder = Path(name)
        received = folder / "received"
        studio.objects.download(key, received)
        with _checking:
            path, extension, facts = _CHECKS[upload.kind](studio.settings, received, folder)
        final_key = object_key(owner, upload.artwork_id, _FOLDERS[upload.kind], 1, f"{upload.id}.{extension}")
        stored = studio.objects.upload(path, final_key, mime=facts["mime"])
    fields = {
        "_id": upload.id,
        "owner": owner,
        "artwork_id": upload.artwork_id,
        "kind": upload.kind,
        "key": final_key,
        "size": stored.size,
        "etag": stored.etag,
        "source": key,
        **facts,
    }
    return studio.media_assets.create(fields)


def _picture(settings: Settings, received: Path, folder: Path) -> tuple[Path, str, dict[str, Any]]:
    clean = images.clean(received, folder, max_pixels=settings.image_max_pixels)
    return clean.path, clean.ext, {"mime": clean.mime, "width": clean.width, "height": clean.height}


def _recording(settings: Settings, received: Path, folder: Path) -> tuple[Path, str, dict[str, Any]]:
    facts = sound.inspect(received, max_seconds=settings.audio_max_seconds)
    known = {"mime": facts.mime, "seconds": facts.seconds, "silent": facts.silent}
    if facts.seconds == 0:
        return tags.write_empty_recording(folder / "clean"), "wav", {**known, "mime": "audio/wav"}
    return tags.strip_recording(received, folder / "clean"), facts.ext, known


def _film(_settings: Settings, received: Path, folder: Path) -> tuple[Path, str, dict[str, Any]]:
    facts = clips.inspect(received, unreadable="VIDEO_UNREADABLE")
    extension = EXTENSIONS[Kind.VIDEO][facts.mime]
    known = {"mime": facts.mime, "width": facts.width, "height": facts.height, "seconds": facts.seconds}
    return tags.strip_film(received, folder / "clean"), extension, known


_CHECKS = {Kind.IMAGE: _picture, Kind.AUDIO: _recording, Kind.VIDEO: _film}
_FOLDERS = {Kind.IMAGE: "original", Kind.AUDIO: "audio", Kind.VIDEO: "video"}
