"""Sound and film without what was attached to them: place, device, names, covers, chapters, tracks of other data."""

from __future__ import annotations

import wave
from pathlib import Path

from studio.errors import StudioError
from studio.media import ffmpeg
from studio.media.kinds import sniff

STRIP_LIMIT_S = 120.0

# FFmpeg's writers for each container, the best one first. MP4 and WebM are strict about codecs; their elders take what
# some phones and browsers put into them all the same, such as AMR, or H.264 from Chrome.
_MUXERS: dict[str, tuple[str, ...]] = {
    "webm": ("webm", "matroska"),
    "mp4": ("mp4", "mov"),
    "mov": ("mov",),
    "aac": ("adts",),
    "mp3": ("mp3",),
    "wav": ("wav",),
    "ogg": ("ogg",),
    "flac": ("flac",),
}
_MUXER_OPTIONS: dict[str, tuple[str, ...]] = {
    # The index goes to the front, so that a player can begin before it has everything.
    "mp4": ("-movflags", "+faststart"),
    "mov": ("-movflags", "+faststart"),
    "mp3": ("-id3v2_version", "0"),
}
# These are about our machine, and say nothing about the file.
_NOT_THE_FILES_FAULT = {"timeout", "disk_full", "out_of_memory", "missing_file"}


def strip_recording(path: Path, target: Path) -> Path:
    """Copy the sound of a recording as it is, and nothing else. Raises StudioError("AUDIO_UNREADABLE")."""
    return _strip(path, target, ("0:a:0",), unreadable="AUDIO_UNREADABLE")


def write_empty_recording(target: Path) -> Path:
    """What stands for a recording without samples: FFmpeg copies no file of nothing, and the tags must not stay."""
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
    return target


def strip_film(path: Path, target: Path) -> Path:
    """Copy the picture (a capital V leaves covers out) and sound of a film. Raises StudioError("VIDEO_UNREADABLE")."""
    return _strip(path, target, ("0:V:0", "0:a:0?"), unreadable="VIDEO_UNREADABLE")


def _strip(path: Path, target: Path, tracks: tuple[str, ...], *, unreadable: str) -> Path:
    container = sniff(path)
    if container is None or container.name not in _MUXERS:
        raise StudioError(unreadable)
    failure: ffmpeg.FFmpegFailed | None = None
    for muxer in _MUXERS[container.name]:
        try:
            _copy(path, target, tracks, demuxer=container.demuxer, muxer=muxer)
            return target
        except ffmpeg.FFmpegFailed as error:
            if error.cause in _NOT_THE_FILES_FAULT:
                raise
            failure = error
    raise StudioError(unreadable) from failure


def _copy(path: Path, target: Path, tracks: tuple[str, ...], *, demuxer: str, muxer: str) -> None:
    source = [*ffmpeg.UNTRUSTED, "-f", demuxer, "-i", str(path)]
    chosen = [word for track in tracks for word in ("-map", track)]
    # Bitexact keeps FFmpeg from adding its own name and today's date.
    bare = ["-c", "copy", "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"]
    written = [*_MUXER_OPTIONS.get(muxer, ()), "-f", muxer, "-y", str(target)]
    ffmpeg.run([*source, *chosen, *bare, *written], timeout_s=STRIP_LIMIT_S)
