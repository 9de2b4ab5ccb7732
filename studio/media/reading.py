"""Opening sound and film from people we do not know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from studio.errors import StudioError
from studio.media.kinds import Container


@contextmanager
def opened(path: Path, container: Container, *, unreadable: str) -> Iterator[InputContainer]:
    """The opened file. Raises StudioError(unreadable) when it cannot be opened, or when reading it breaks off.

    The container is named, never guessed: a guess may take text for a playlist, which opens other files.
    """
    try:
        with av.open(str(path), format=container.demuxer, options={"protocol_whitelist": "file"}) as media:
            yield media
    except (FFmpegError, ValueError) as error:
        raise StudioError(unreadable) from error


def pictures(media: InputContainer) -> list[VideoStream]:
    """The tracks with moving pictures; the cover of a song is not one."""
    return [track for track in media.streams.video if not track.disposition & Disposition.attached_pic]
