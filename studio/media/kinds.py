"""What a file really is, by its first bytes. Names and declared types are never asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Family(StrEnum):
    IMAGE = "image"
    MEDIA = "media"
    """Sound, film or both: containers like MP4 and WebM tell only by their tracks."""


@dataclass(frozen=True, slots=True)
class Container:
    """A file format. `demuxer` is FFmpeg's name for it, empty for pictures."""

    name: str
    family: Family
    demuxer: str = ""


def _image(name: str) -> Container:
    return Container(name, Family.IMAGE)


def _media(name: str, demuxer: str) -> Container:
    return Container(name, Family.MEDIA, demuxer)


_QUICKTIME_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip"}
_IMAGE_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"mif1"), "heif"),
    **dict.fromkeys((b"hevc", b"hevx", b"hevm", b"hevs", b"msf1"), "heif-sequence"),
    **dict.fromkeys((b"avif", b"avis"), "avif"),
}
_PREFIXES = (
    (b"\xff\xd8\xff", _image("jpeg")),
    (b"\x89PNG\r\n\x1a\n", _image("png")),
    (b"GIF8", _image("gif")),
    (b"BM", _image("bmp")),
    (b"II*\x00", _image("tiff")),
    (b"MM\x00*", _image("tiff")),
    (b"\x1aE\xdf\xa3", _media("webm", "matroska")),
    (b"OggS", _media("ogg", "ogg")),
    (b"fLaC", _media("flac", "flac")),
    (b"ID3", _media("mp3", "mp3")),
)


def sniff(path: Path) -> Container | None:
    """The container of a file, or None when it is nothing we know, such as text or an empty file."""
    with path.open("rb") as file:
        head = file.read(32)
    for prefix, container in _PREFIXES:
        if head.startswith(prefix):
            return container
    if head[:4] == b"RIFF":
        return {b"WEBP": _image("webp"), b"WAVE": _media("wav", "wav"), b"AVI ": _media("avi", "avi")}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _base_media(head[8:12])
    if head[4:8] in _QUICKTIME_BOXES:
        return _media("mov", "mov")
    return _mpeg_audio(head)


def _base_media(brand: bytes) -> Container:
    if brand in _IMAGE_BRANDS:
        return _image(_IMAGE_BRANDS[brand])
    return _media("mov" if brand == b"qt  " else "mp4", "mov")


def _mpeg_audio(head: bytes) -> Container | None:
    if len(head) < 4 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:  # the layer bits are zero in AAC's ADTS, and in nothing else that starts like this
        return _media("aac", "aac")
    if head[1] & 0xE0 == 0xE0 and head[1] & 0x06 == 0x02:
        return _media("mp3", "mp3")
    return None
