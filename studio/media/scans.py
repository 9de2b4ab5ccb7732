"""Counting the scans of a JPEG without decoding any."""

from __future__ import annotations

import re

_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
# In the coded data 0xFF is followed by zero, by a restart marker, or by another 0xFF that pads.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def count_scans(jpeg: bytes) -> int:
    """How many scans the first picture of a file has. Phones put more behind it, which no reader shows."""
    scans, position = 0, 2
    while found := _NEXT_MARKER.search(jpeg, position):
        marker, position = found[0][1], found.end()
        if marker == _END_OF_IMAGE:
            break
        scans += marker == _START_OF_SCAN
        position += int.from_bytes(jpeg[position : position + 2])
    return scans
