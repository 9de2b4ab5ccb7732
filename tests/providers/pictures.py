"""What the simulators of painters have in common: a picture of the size that was asked for."""

from __future__ import annotations

import io
import re
from functools import cache

from PIL import Image

from tests.providers.simulator import Simulator


class Paints(Simulator):
    picture = b""
    """What is painted; empty for a plain picture of the size that was asked for."""

    def painted(self, size: tuple[int, int]) -> bytes:
        return self.picture or _plain(size)


@cache
def _plain(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (120, 170, 200)).save(file, "PNG")
    return file.getvalue()


def sides(size: object, between: str) -> tuple[int, int] | None:
    """Width and height in pixels of 1024*1024 or 1024x1024; None where it is not written so."""
    match = re.fullmatch(rf"(\d{{2,5}}){re.escape(between)}(\d{{2,5}})", size) if isinstance(size, str) else None
    return (int(match[1]), int(match[2])) if match else None
