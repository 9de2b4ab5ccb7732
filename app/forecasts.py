"""What can be said of a job's future: its place in line, and how long it is likely to take."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from anyio import to_thread

from actors.messages import message_id
from broker import MongoBroker, first_in_line
from studio.jobs import LIVE, Job, JobStatus
from studio.step_times import History
from studio.studio import Studio

LAST_PLACE = 1000
"""Whoever stands further back is told this one."""
KEEP_LINE_S = 1.0
KEEP_HISTORY_S = 10.0


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    queue_position: int | None = None
    """1 is next; None when the job does not stand in line."""
    eta_s: int | None = None
    """Seconds of work that are left, without those in line; None when nothing can be said."""


NO_FORECAST = Forecast()


class Forecasts:
    """Forecasts of one web process. What they rest on is read at most every few seconds, for all callers together."""

    def __init__(self, studio: Studio, broker: MongoBroker) -> None:
        self._studio = studio
        self._broker = broker
        self._places: dict[str, int] = {}
        self._line_asked_at = -math.inf
        self._history = History()
        self._history_asked_at = self._history_read_at = -math.inf

    async def of(self, job: Job) -> Forecast:
        return (await self.of_all([job]))[0]

    async def of_all(self, jobs: Sequence[Job]) -> list[Forecast]:
        """A forecast for each of these jobs. Those that have ended cost nothing."""
        if not any(job.status in LIVE for job in jobs):
            return [NO_FORECAST] * len(jobs)
        queued = {job.id: message_id(job) for job in jobs if job.status is JobStatus.QUEUED}
        if queued:
            await self._keep_line(list(queued.values()))
        await self._keep_history()
        return [Forecast(queue_position=self._place(queued.get(job.id)), eta_s=self._eta_s(job)) for job in jobs]

    async def _keep_line(self, message_ids: Sequence[str]) -> None:
        """Read the line again when it was read a while ago, or before one of these came."""
        is_known = self._is_long or all(message in self._places for message in message_ids)
        if is_known and time.monotonic() - self._line_asked_at < KEEP_LINE_S:
            return
        # Noted first: those who ask meanwhile make do with what there was before.
        self._line_asked_at = time.monotonic()
        line = await to_thread.run_sync(lambda: first_in_line(self._broker, "default", limit=LAST_PLACE - 1))
        self._places = {message: place for place, message in enumerate(line, start=1)}

    @property
    def _is_long(self) -> bool:
        return len(self._places) == LAST_PLACE - 1

    def _place(self, message: str | None) -> int | None:
        if message is None:
            return None
        return self._places.get(message, LAST_PLACE if self._is_long else None)

    async def _keep_history(self) -> None:
        if time.monotonic() - self._history_asked_at < KEEP_HISTORY_S:
            return
        self._history_asked_at = time.monotonic()
        self._history = History(await self._studio.step_times.list_all())
        self._history_read_at = time.monotonic()

    def _eta_s(self, job: Job) -> int | None:
        now = self._server_time()
        left = self._studio.step_times.seconds_left(job, self._history, now=now) if now else None
        return math.ceil(left) if left is not None else None

    def _server_time(self) -> datetime | None:
        """The database's clock, which wrote the times in jobs; None while there is no history anyway."""
        read_at = self._history.read_at
        return read_at + timedelta(seconds=time.monotonic() - self._history_read_at) if read_at else None
