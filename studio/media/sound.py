"""Recordings: what they are, how long they last, and whether anything can be heard. All of it by decoding.

And the sound that services take or that people hear, made from whatever there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.error import FFmpegError

from studio.errors import NotNow, StudioError
from studio.media import ffmpeg
from studio.media.kinds import Container, Family, sniff
from studio.media.reading import opened, pictures

SILENT_PEAK_DBFS = -50.0
SILENT_RMS_DBFS = -65.0

_TYPES = {
    "webm": ("audio/webm", "webm"),
    "mp4": ("audio/mp4", "m4a"),
    "mov": ("audio/mp4", "m4a"),
    "aac": ("audio/aac", "aac"),
    "mp3": ("audio/mpeg", "mp3"),
    "wav": ("audio/wav", "wav"),
    "ogg": ("audio/ogg", "ogg"),
    "flac": ("audio/flac", "flac"),
}

TRANSCODE_S = 120.0
"""How long making another format of a recording may take."""

# Recognisers hear at 16 kHz on one channel, whatever they are given: more would only be sent for nothing.
_FOR_RECOGNISERS = ["-ac", "1", "-ar", "16000"]
_MADE_BY = {
    "audio/wav": [*_FOR_RECOGNISERS, "-c:a", "pcm_s16le", "-f", "wav"],
    "audio/mpeg": [*_FOR_RECOGNISERS, "-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3"],
    "audio/mp4": ["-ac", "1", "-ar", "44100", "-c:a", "aac", "-b:a", "96k", "-f", "ipod"],
}
# These say nothing about the recording: another time there is room for it.
_PASSING = {"timeout", "disk_full", "out_of_memory"}


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """`silent` holds when nothing can be heard; `demuxer` is FFmpeg's name for the container."""

    mime: str
    ext: str
    seconds: float
    silent: bool
    codec: str
    demuxer: str


def inspect(path: Path, *, max_seconds: float) -> SoundFacts:
    """The facts of a recording. A recording without any samples is silent, not unreadable.

    Raises StudioError: AUDIO_UNREADABLE, AUDIO_TOO_LONG, or KIND_MISMATCH for pictures and films.
    """
    container = _sound_container(path)
    with opened(path, container, unreadable="AUDIO_UNREADABLE") as media:
        if pictures(media):
            raise StudioError("KIND_MISMATCH", kind="audio")
        if not media.streams.audio:
            raise StudioError("AUDIO_UNREADABLE")
        # A header that was cut short can leave a track without a decoder, which the library's types rule out.
        codec = getattr(media.streams.audio[0].codec_context, "name", None)
        if codec is None:
            raise StudioError("AUDIO_UNREADABLE")
        heard = _listen(media, max_seconds=max_seconds)
    mime, ext = _TYPES[container.name]
    return SoundFacts(mime, ext, round(heard.seconds, 3), heard.silent, codec, container.demuxer)


def transcoded(recording: Path, target: Path, *, mime: str) -> Path:
    """The sound of a recording, in another format and without anything that it says about where and by what it was
    made: `audio/wav` or `audio/mpeg` as recognisers take it, `audio/mp4` for people.

    Raises StudioError("AUDIO_UNREADABLE"), and NotNow where this machine has no room for it.
    """
    only_sound = ["-map", "0:a:0", "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"]
    try:
        ffmpeg.run(
            ["-y", *ffmpeg.UNTRUSTED, "-i", str(recording), *only_sound, *_MADE_BY[mime], str(target)],
            timeout_s=TRANSCODE_S,
        )
    except ffmpeg.FFmpegFailed as error:
        if error.cause in _PASSING:
            raise NotNow(f"transcoding: {error.cause}") from error
        raise StudioError("AUDIO_UNREADABLE") from error
    return target


def _sound_container(path: Path) -> Container:
    container = sniff(path)
    if container is None:
        raise StudioError("AUDIO_UNREADABLE")
    if container.family is Family.IMAGE or container.name not in _TYPES:
        raise StudioError("KIND_MISMATCH", kind="audio")
    return container


@dataclass(slots=True)
class _Heard:
    seconds: float = 0.0
    samples: int = 0
    peak: float = 0.0
    squares: float = 0.0
    broken_packets: int = 0

    def add(self, frame: av.AudioFrame) -> None:
        if frame.samples == 0:
            return
        wave = _wave(frame)
        self.seconds += frame.samples / frame.sample_rate
        self.samples += wave.size
        self.peak = max(self.peak, float(np.abs(wave).max(initial=0.0)))
        self.squares += float(np.square(wave, dtype=np.float64).sum())

    @property
    def silent(self) -> bool:
        if self.samples == 0:
            return True
        rms = (self.squares / self.samples) ** 0.5
        return _dbfs(self.peak) < SILENT_PEAK_DBFS or _dbfs(rms) < SILENT_RMS_DBFS


def _listen(media: InputContainer, *, max_seconds: float) -> _Heard:
    heard = _Heard()
    for frame in _frames(media, heard):
        heard.add(frame)
        if heard.seconds > max_seconds:
            # The rest is not decoded: a small file can hold days of silence. The header may know the length.
            claimed = (media.duration or 0) / av.time_base
            seconds = round(max(claimed, heard.seconds))
            raise StudioError(
                "AUDIO_TOO_LONG", seconds=max(seconds, int(max_seconds) + 1), max_seconds=int(max_seconds)
            )
    # Who stops at once sends a header and no sound. A header that tells of sound that is not there is another matter.
    if heard.samples == 0 and (heard.broken_packets or media.duration):
        raise StudioError("AUDIO_UNREADABLE")
    return heard


def _frames(media: InputContainer, heard: _Heard) -> Iterator[av.AudioFrame]:
    """Decode packet by packet, because one broken packet must not hide the story around it."""
    try:
        for packet in media.demux(media.streams.audio[0]):
            try:
                yield from packet.decode()
            except FFmpegError:
                heard.broken_packets += 1
    except FFmpegError:
        heard.broken_packets += 1


def _wave(frame: av.AudioFrame) -> npt.NDArray[np.float32]:
    """Samples from -1 to 1."""
    samples = frame.to_ndarray()
    wave: npt.NDArray[np.float32] = samples.astype(np.float32)
    if samples.dtype == np.uint8:
        wave = (wave - np.float32(128)) / np.float32(128)
    elif np.issubdtype(samples.dtype, np.integer):
        wave /= float(2 ** (8 * samples.dtype.itemsize - 1))
    return np.nan_to_num(wave)


def _dbfs(level: float) -> float:
    return float(20 * np.log10(max(level, 1e-10)))
