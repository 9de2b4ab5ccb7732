"""Events as watchers are told them: the same JSON by polling, as a server-sent event and over a WebSocket."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from app.views.jobs import view_event
from app.views.view import View
from studio.events import Event
from studio.language import Language

# A dead connection looks like a quiet one to browsers, which see no pings.
ALIVE = b'{"type":"alive"}'


class EventView(View, frozen=True, kw_only=True):
    type: str
    """`job` says where a job is. `start` says where a stream begins. `reset` comes in place of events that are gone:
    what is shown should be loaded again."""
    data: dict[str, Any]
    timestamp: datetime
    seq: int
    """The number that `since` takes up from here."""


def write_event(event: Event, language: Language) -> bytes:
    data = view_event(event, language) if event.job_id else event.data
    return msgspec.json.encode(EventView(type=event.type, data=data, timestamp=event.at, seq=event.seq))


def frame_event(event: Event, language: Language) -> bytes:
    """The event for `/api/v1/events`."""
    return _frame(event, write_event(event, language))


def frame_job_event(event: Event, language: Language) -> bytes:
    """The event for the stream of one job, whose data are the job's alone."""
    return _frame(event, msgspec.json.encode(view_event(event, language)))


def _frame(event: Event, data: bytes) -> bytes:
    return b"event: %b\nid: %d\ndata: %b\n\n" % (event.type.encode(), event.seq, data)
