"""Clips: what they are, whether they play to the end, and a poster frame."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

_MIMES = {"mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm"}


@dataclass(frozen=True, slots=True)
class ClipFacts:
    mime: str
    width: int
    height: int
    seconds: float
    has_audio: bool
    codec: str


def inspect(path: Path, *, unreadable: str = "CLIP_UNREADABLE") -> ClipFacts:
    """The facts of a clip whose first frame and one near its end decode, or as far as it is looked at.

    Raises StudioError(unreadable) for what does not play, VIDEO_TOO_LARGE, and KIND_MISMATCH for pictures and sound.
    """
    container = _film_container(path, unreadable)
    with opened(path, container, unreadable=unreadable) as media:
        track = _picture_track(media, unreadable)
        first = _frame_at(media, track, 0.0)
        seconds = _seconds(media, track)
        last = _frame_at(media, track, max(0.0, seconds - 0.5))
        if first is None or last is None:
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
        # Each is made small before the next is decoded: a picture of 4K takes 25 MB.
        stills = [_still(frame) for frame in frames if frame]
    if not stills:
        raise StudioError(unreadable)
    still = max(stills, key=_detail)
    still.save(target, "JPEG", quality=JPEG_QUALITY)


def _still(frame: av.VideoFrame) -> Image.Image:
    shrink = max(1.0, max(frame.width, frame.height) / POSTER_SIDE)
    width, height = (max(1, round(side / shrink)) for side in (frame.width, frame.height))
    return Image.fromarray(frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA"))


def _detail(picture: Image.Image) -> float:
    """How much there is to see: the edges in a small grey copy. A frame within a crossfade has few."""
    grey = np.asarray(picture.convert("L").resize((160, 160)), dtype=np.float32)
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
    return track


def _frame_at(media: InputContainer, track: VideoStream, seconds: float) -> av.VideoFrame | None:
    """The first frame at or after a time, None when nothing decodes.

    Another one is the answer when the film is shorter, or the way there too long: the last one that was reached.
    """
    return next(_frames_at(media, track, [seconds]))


def _frames_at(media: InputContainer, track: VideoStream, moments: Sequence[float]) -> Iterator[av.VideoFrame | None]:
    """The same for several times, in their order.

    It goes on from one to the next, unless a key picture lies between them: then the way from there is shorter. Clips
    of a few seconds have only the one that they begin with.
    """
    keys = [float(entry.timestamp * (track.time_base or 0)) for entry in track.index_entries if entry.is_keyframe]
    decoding: Iterator[av.VideoFrame] | None = None
    before: av.VideoFrame | None = None
    for moment in moments:
        last = before
        is_shorter = last is None or last.time is None or any(last.time < key <= moment for key in keys)
        try:
            if decoding is None or is_shorter or not keys:
                media.seek(int(moment * av.time_base))
                decoding, last = media.decode(track), None
            before = _reached(decoding, moment, last)
        except FFmpegError:
            before = None
        yield before


def _reached(decoding: Iterator[av.VideoFrame], moment: float, frame: av.VideoFrame | None) -> av.VideoFrame | None:
    """The frame at a time, beginning from the one that was reached last."""
    give_up_at = time.monotonic() + LOOK_S
    while frame is None or (frame.time is not None and frame.time < moment - 0.001):
        following = next(decoding, None)
        if following is None or time.monotonic() > give_up_at:
            return following or frame
        frame = following
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
