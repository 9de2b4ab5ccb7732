"""Places in lists that are ordered by time, newest first. A place stays right while others come and go."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

from studio.errors import StudioError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The milliseconds of a time that MongoDB can hold, and an id.
_PLACE = re.compile(rb"(\d{1,14}) ([\w-]{1,64})")


def cursor_of(at: datetime, item_id: str) -> str:
    """The place after an item of a list, as callers get it."""
    milliseconds = (at - _EPOCH) // timedelta(milliseconds=1)
    return urlsafe_b64encode(f"{milliseconds} {item_id}".encode()).decode()


def read_cursor(cursor: str) -> tuple[datetime, str]:
    """The time and the id in a cursor. Raises StudioError("CURSOR_INVALID")."""
    try:
        place = _PLACE.fullmatch(urlsafe_b64decode(cursor.encode()))
    except ValueError:
        place = None
    if place is None:
        raise StudioError("CURSOR_INVALID")
    return _EPOCH + timedelta(milliseconds=int(place[1])), place[2].decode()
