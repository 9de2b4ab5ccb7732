"""What a file of each kind has to pass before it is kept, and the clean copy that is kept of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from studio.errors import StudioError
from studio.media import clips, images, sound, tags
from studio.media.kinds import Family, sniff
from studio.media.reading import opened, pictures
from studio.media_assets import Kind
from studio.settings import Settings

CHECKS_AT_ONCE = 2
"""A picture of fifty million pixels takes half a gigabyte while it is decoded, and a web process has forty threads."""
_checking = BoundedSemaphore(CHECKS_AT_ONCE)

FILM_EXTENSIONS = {"video/mp4": "mp4", "video/webm": "webm", "video/quicktime": "mov"}


@dataclass(frozen=True, slots=True)
class CleanCopy:
    """`facts` are fields of a media asset."""

    path: Path
    extension: str
    facts: dict[str, Any]


def clean_copy(settings: Settings, kind: Kind, received: Path, folder: Path) -> CleanCopy:
    """Check a file by decoding it, and write a copy without anything that was attached to it into `folder`.

    Raises StudioError: KIND_MISMATCH, MIME_NOT_SUPPORTED, or what is wrong with a file of this kind.
    """
    with _checking:
        copy = _CHECKS[kind](settings, received, folder)
    return CleanCopy(copy.path, copy.extension, {**copy.facts, "hash": sha256_of(copy.path)})


def kind_of(received: Path) -> Kind:
    """What kind of media a file is, by its bytes. Raises StudioError("MIME_NOT_SUPPORTED") when it is none."""
    container = sniff(received)
    if container is None:
        raise StudioError("MIME_NOT_SUPPORTED", mime="application/octet-stream")
    if container.family is Family.IMAGE:
        return Kind.IMAGE
    with opened(received, container, unreadable="AUDIO_UNREADABLE") as media:
        return Kind.VIDEO if pictures(media) else Kind.AUDIO


def _picture(settings: Settings, received: Path, folder: Path) -> CleanCopy:
    clean = images.clean(received, folder, max_pixels=settings.image_max_pixels)
    return CleanCopy(clean.path, clean.ext, {"mime": clean.mime, "width": clean.width, "height": clean.height})


def _recording(settings: Settings, received: Path, folder: Path) -> CleanCopy:
    facts = sound.inspect(received, max_seconds=settings.audio_max_seconds)
    known = {"mime": facts.mime, "seconds": facts.seconds, "silent": facts.silent}
    if facts.seconds == 0:
        return CleanCopy(tags.write_empty_recording(folder / "clean"), "wav", {**known, "mime": "audio/wav"})
    return CleanCopy(tags.strip_recording(received, folder / "clean"), facts.ext, known)


def _film(_settings: Settings, received: Path, folder: Path) -> CleanCopy:
    facts = clips.inspect(received, unreadable="VIDEO_UNREADABLE")
    known = {"mime": facts.mime, "width": facts.width, "height": facts.height, "seconds": facts.seconds}
    return CleanCopy(tags.strip_film(received, folder / "clean"), FILM_EXTENSIONS[facts.mime], known)


_CHECKS: dict[Kind, Callable[[Settings, Path, Path], CleanCopy]] = {
    Kind.IMAGE: _picture,
    Kind.AUDIO: _recording,
    Kind.VIDEO: _film,
}


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
