"""Clips: what they are, whether they play to the end, and a poster frame."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from PIL import Image

from studio.errors import StudioError
from studio.media.images import JPEG_QUALITY
from studio.media.kinds import Container, Family, sniff
from studio.media.reading import opened, pictures

POSTER_AT = (0.3, 0.5, 0.7, 0.9)
"""Where a poster is looked for, in fractions of the clip: past a title card, before the last fade."""

POSTER_SIDE = 1280
"""Pixels of its longer side at most."""

MAX_PIXELS = 4096 * 2304
"""Of one picture of a film. Larger ones than 4K are made by no phone's default, and a forged one takes all memory."""

LOOK_S = 5.0
"""How long pictures are decoded to get to one. To reach one, all since the last key picture have to be: a few megabytes
without another key picture hold an hour's work."""

NOTHING_S = 20.0
"""How long they are where none comes of it, for want of a key picture. A machine that is busy has this long for the
first one."""

_MIMES = {"mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm"}


@dataclass(frozen=True, slots=True)
class ClipFacts:
    mime: str
    width: int
    height: int
    seconds: float
    has_audio: bool
    codec: str


def inspect(path: Path, *, still: Path | None = None, unreadable: str = "CLIP_UNREADABLE") -> ClipFacts:
    """The facts of a clip whose first frame and one near its end decode, or as far as it is looked at.

    On the way from the one to the other its poster is saved as `still`, if one is named: to decode costs more than all
    else that is done with a clip. Raises StudioError(unreadable) for what does not play, VIDEO_TOO_LARGE, and
    KIND_MISMATCH for pictures and sound.
    """
    container = _film_container(path, unreadable)
    with opened(path, container, unreadable=unreadable) as media:
        track = _picture_track(media, unreadable)
        seconds = _seconds(media, track)
        inside = [seconds * fraction for fraction in POSTER_AT] if still else []
        frames = _frames_at(media, track, [0.0, *inside, max(0.0, seconds - 0.5)])
        first = next(frames)
        if first is None:
            raise StudioError(unreadable)
        if still:
            _save_best(islice(frames, len(inside)), still, unreadable)
        if next(frames) is None:
            raise StudioError(unreadable)
        return ClipFacts(
            _MIMES[container.name],
            first.width,
            first.height,
            round(seconds, 3),
            bool(media.streams.audio),
            track.codec_context.name,
        )


def poster(path: Path, target: Path, *, unreadable: str = "CLIP_UNREADABLE") -> None:
    """Save the frame that shows most of a few as JPEG. Raises as `inspect`."""
    with opened(path, _film_container(path, unreadable), unreadable=unreadable) as media:
        track = _picture_track(media, unreadable)
        seconds = _seconds(media, track)
        frames = _frames_at(media, track, [seconds * fraction for fraction in POSTER_AT])
        _save_best(frames, target, unreadable)


def _save_best(frames: Iterable[av.VideoFrame | None], target: Path, unreadable: str) -> None:
    # One is held beside the one that is compared with it, and no more: a picture of 4K takes 25 MB.
    best = max((frame for frame in frames if frame), key=_detail, default=None)
    if best is None:
        raise StudioError(unreadable)
    shrink = max(1.0, max(best.width, best.height) / POSTER_SIDE)
    width, height = (max(1, round(side / shrink)) for side in (best.width, best.height))
    pixels = best.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    Image.fromarray(pixels).save(target, "JPEG", quality=JPEG_QUALITY)


def _detail(frame: av.VideoFrame) -> float:
    """How much there is to see: the edges in a small grey copy. A frame within a crossfade has few."""
    grey = frame.to_ndarray(format="gray", width=160, height=160, interpolation="AREA").astype(np.float32)
    return float(np.abs(np.diff(grey, axis=0)).sum() + np.abs(np.diff(grey, axis=1)).sum())


def _film_container(path: Path, unreadable: str) -> Container:
    container = sniff(path)
    if container is None:
        raise StudioError(unreadable)
    if container.family is Family.IMAGE or container.name not in _MIMES:
        raise StudioError("KIND_MISMATCH", kind="video")
    return container


def _picture_track(media: InputContainer, unreadable: str) -> VideoStream:
    tracks = pictures(media)
    if not tracks:
        raise StudioError("KIND_MISMATCH", kind="video")
    track = tracks[0]
    # A header that was cut short can leave a track without a decoder, which the library's types rule out.
    decoder = getattr(track, "codec_context", None)
    if decoder is None:
        raise StudioError(unreadable)
    pixels = decoder.width * decoder.height
    if pixels > MAX_PIXELS:
        raise StudioError("VIDEO_TOO_LARGE", pixels=pixels, max_pixels=MAX_PIXELS)
    # The head of a film may claim less than its pictures have.
    decoder.options = {"max_pixels": str(MAX_PIXELS)}
    # On the way to a frame only those are decoded that others are made from: that is half of them, or less.
    decoder.skip_frame = "NONREF"
    return track


def _frames_at(media: InputContainer, track: VideoStream, moments: Sequence[float]) -> Iterator[av.VideoFrame | None]:
    """For each of several times, in their order, the first frame from there on; None when nothing decodes.

    Another one is the answer when the film is shorter, or the way there too long: the last one that was reached. It
    goes on from one to the next, unless a key picture lies between them: then the way from there is shorter. Clips of a
    few seconds have only the one that they begin with.
    """
    keys = _keys(track)
    decoding: Iterator[av.VideoFrame | None] | None = None
    before: av.VideoFrame | None = None
    for moment in moments:
        last = before
        is_shorter = last is None or last.time is None or any(last.time < key <= moment for key in keys)
        try:
            if decoding is None or is_shorter or not keys:
                media.seek(int(moment * av.time_base))
                decoding, last = _decoding(media, track), None
            before = _reached(decoding, moment, last)
        except FFmpegError:
            before = None
        yield before


def _keys(track: VideoStream) -> list[float]:
    """When the key pictures are shown, in seconds. The index tells when they are decoded, which is earlier by as much
    for all of them."""
    found = [entry.timestamp for entry in track.index_entries if entry.is_keyframe]
    earlier = track.start_time - found[0] if found and track.start_time is not None else 0
    return [float((timestamp + earlier) * (track.time_base or 0)) for timestamp in found]


def _decoding(media: InputContainer, track: VideoStream) -> Iterator[av.VideoFrame | None]:
    """The frames, and None for every packet that holds none to show, so that nobody waits for the next one in vain."""
    for packet in media.demux(track):
        frames = packet.decode()
        yield from frames
        if not frames:
            yield None


def _reached(
    decoding: Iterator[av.VideoFrame | None], moment: float, frame: av.VideoFrame | None
) -> av.VideoFrame | None:
    """The frame at a time, beginning from the one that was reached last."""
    began = time.monotonic()
    while frame is None or (frame.time is not None and frame.time < moment - 0.001):
        try:
            frame = next(decoding) or frame
        except StopIteration:
            break
        if time.monotonic() - began > (LOOK_S if frame else NOTHING_S):
            break
    return frame


def _seconds(media: InputContainer, track: VideoStream) -> float:
    if media.duration:
        return media.duration / av.time_base
    # A browser's recording has no length in its header; the last packet tells.
    media.seek(0)
    ends = [
        float((packet.pts + (packet.duration or 0)) * packet.time_base)
        for packet in media.demux(track)
        if packet.pts is not None and packet.time_base is not None
    ]
    return max(ends, default=0.0)
