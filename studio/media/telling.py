"""A clip that a service made of a drawing becomes the child's film: it is told by the child's own voice, and says of
itself that an AI made it.

Pictures are copied as they are, packet by packet and in this process, so this costs next to nothing for any size. A
clip that is shorter than its story is shown again until the story is told. Where that would make a file that no phone
likes to fetch, the picture rests on how the clip begins, the child's drawing, and the story is told to its end.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from studio.errors import StudioError
from studio.media.film import COMMENT
from studio.media.kinds import sniff

VOICE_AT_S = 0.4
"""When the voice begins."""
TAIL_S = 1.0
"""How long the film goes on after it."""
MOST_BYTES = 200 * 1024 * 1024
"""Of pictures that are shown again: a megabyte for each second of the longest story."""
_RATE = 48_000
_TAKEN = {"mp4", "mov"}
# While a track has nothing more to come, FFmpeg keeps ten seconds of the others in memory: hundreds of megabytes.
_OPTIONS = {"movflags": "+faststart", "max_interleave_delta": "50000"}


def tell(clip: Path, voice: Path | None, target: Path) -> Path:
    """The film of a clip: `target`, or the clip itself where it is told already or cannot be added to.

    Raises StudioError("CLIP_UNREADABLE").
    """
    container = sniff(clip)
    if container is None or container.name not in _TAKEN:
        return clip
    try:
        with av.open(clip) as source:
            if source.metadata.get("comment") == COMMENT:
                return clip
            with av.open(target, "w", format="mp4", options=_OPTIONS) as film:
                film.metadata["comment"] = COMMENT
                _write(source, voice, film)
    except (FFmpegError, ValueError) as error:
        raise StudioError("CLIP_UNREADABLE") from error
    return target


def _write(source: InputContainer, voice: Path | None, film: OutputContainer) -> None:
    pictures = source.streams.video[0]
    shown = film.add_stream_from_template(pictures)
    if source.streams.audio or voice is None:
        sounds = [(sound, film.add_stream_from_template(sound)) for sound in source.streams.audio[:1]]
        into = {track.index: copy for track, copy in [(pictures, shown), *sounds]}
        for packet in source.demux([pictures, *(sound for sound, _ in sounds)]):
            if packet.dts is not None:
                packet.stream = into[packet.stream.index]
                film.mux(packet)
        return
    story = _Story(voice, film.add_stream("aac", rate=_RATE, layout="stereo"))
    # In the order of time, as they are played: what comes too early waits in memory for the rest.
    for packet in heapq.merge(story.packets(), _looped(source, pictures, shown, story), key=_time_of):
        film.mux(packet)


class _Story:
    """The voice, a piece at a time."""

    def __init__(self, voice: Path, track: AudioStream) -> None:
        self._voice = voice
        self._track = track
        self._samples = round(VOICE_AT_S * _RATE)

    @property
    def seconds(self) -> float:
        """How long the film has to be for what has been told so far."""
        return self._samples / _RATE + TAIL_S

    def all_seconds(self) -> float:
        """The same for the whole story, which is heard once more for it."""
        with av.open(self._voice) as recording:
            voice_s = sum(frame.samples / frame.sample_rate for frame in recording.decode(audio=0))
        return VOICE_AT_S + voice_s + TAIL_S

    def packets(self) -> Iterator[Packet[Any]]:
        resampler = AudioResampler(format="fltp", layout="stereo", rate=_RATE)
        with av.open(self._voice) as recording:
            for frame in recording.decode(audio=0):
                for sound in resampler.resample(frame):
                    sound.pts = self._samples
                    sound.time_base = Fraction(1, _RATE)
                    self._samples += sound.samples
                    yield from self._track.encode(sound)
        yield from self._track.encode(None)


def _looped(source: InputContainer, pictures: VideoStream, shown: VideoStream, story: _Story) -> Iterator[Packet[Any]]:
    """The packets of the pictures, again and again until the story is told; all of them once at least.

    Where there would be too many, the first one stays for the rest of the story.
    """
    base = pictures.time_base or Fraction(1, 1000)
    shift, length, size, rounds = 0, 0, 0, 0
    # At the end of each round the story is as far as its pictures: where it goes on, it has been told longer than that.
    while not length or shift * base < story.seconds:
        rests = rounds > 0 and (rounds + 1) * size > MOST_BYTES
        for packet in source.demux(pictures):
            if packet.dts is None or packet.pts is None:
                continue
            if not rounds:
                length = max(length, packet.pts + (packet.duration or 0))
                size += packet.size
            packet.dts, packet.pts = packet.dts + shift, packet.pts + shift
            packet.stream = shown
            if rests:
                packet.duration = max(packet.duration or 0, round(story.all_seconds() / base) - packet.pts)
                yield packet
                return
            yield packet
        if not length:
            raise ValueError("a clip without pictures")
        rounds, shift = rounds + 1, shift + length
        source.seek(0)


def _time_of(packet: Packet[Any]) -> float:
    return float((packet.dts or 0) * packet.time_base)
