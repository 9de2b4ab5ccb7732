"""Streams of events as callers see them."""

from __future__ import annotations

from app.views.view import View


class StreamedEvent(View, frozen=True, kw_only=True):
    """One event of a stream, between two empty lines."""

    id: str
    """Its number, for `Last-Event-ID`."""
    event: str
    """What it tells of."""
    data: str
    """JSON."""
