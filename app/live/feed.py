"""The end of one owner's event log, in memory while somebody watches it."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice

from app.live.news import News

KEPT = 128
"""How many events a watcher may be behind before the log has to be read for it."""


class Feed:
    """The newest events of one owner without a gap: everything after `floor`, up to `newest`.

    The numbers of an owner's events have no gaps either. So what the change stream failed to tell is noticed by the
    next number, and a feed needs no more trust in the stream than that.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.watchers = 0
        self.floor: int | None = None
        """None until it is known where the log ends."""
        self.is_over = False
        """Its watchers have to come back: the log is no longer the one that they know, or the process ends."""
        self.changed = asyncio.Event()
        """Set when there is something new; the next one takes its place at the same time."""
        self._kept: deque[News] = deque()

    @property
    def newest(self) -> int:
        return (self.floor or 0) + len(self._kept)

    def begin(self, newest: int) -> None:
        """Say where the log ended a moment ago, unless an event has told already."""
        if self.floor is None:
            self.floor = newest

    def take(self, news: News) -> bool:
        """Add the next event; one that is known already is no news. False when events before it are missing."""
        seq = news.event.seq
        self.begin(seq - 1)
        if seq > self.newest + 1:
            return False
        if seq == self.newest + 1:
            self._keep(news)
            self._tell()
        return True

    def after(self, seq: int) -> list[News] | None:
        """The events that follow number `seq`; None when they reach further back than what is kept."""
        floor = self.floor or 0
        return None if seq < floor else list(islice(self._kept, seq - floor, None))

    def end(self) -> None:
        self.is_over = True
        self._tell()

    def _keep(self, news: News) -> None:
        self._kept.append(news)
        if len(self._kept) > KEPT:
            self._kept.popleft()
            self.floor = news.event.seq - KEPT

    def _tell(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
