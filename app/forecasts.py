"""What can be said of a job's future: its place in line, and how long it is likely to take."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from anyio import to_thread

from actors.messages import message_id
from broker import MongoBroker, places_in_line
from studio.jobs import LIVE, Job, JobStatus
from studio.step_times import History
from studio.studio import Studio

READ_EVERY_S = 10.0


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    queue_position: int | None = None
    """1 is next; None when the job does not stand in line."""
    eta_s: int | None = None
    """Seconds of work that are left, without those in line; None when nothing can be said."""


NO_FORECAST = Forecast()


class Forecasts:
    """Forecasts of one web process. The history behind them is read every few seconds, for all callers together."""

    def __init__(self, studio: Studio, broker: MongoBroker) -> None:
        self._studio = studio
        self._broker = broker
        self._history = History()
        self._read_at = 0.0
        self._read_again_at = 0.0

    async def of(self, job: Job) -> Forecast:
        return (await self.of_all([job]))[0]

    async def of_all(self, jobs: Sequence[Job]) -> list[Forecast]:
        """A forecast for each of these jobs. Those that have ended cost nothing."""
        if not any(job.status in LIVE for job in jobs):
            return [NO_FORECAST] * len(jobs)
        queued = [message_id(job) for job in jobs if job.status is JobStatus.QUEUED]
        places = await to_thread.run_sync(places_in_line, self._broker, "default", queued) if queued else {}
        await self._keep_history()
        return [Forecast(queue_position=places.get(message_id(job)), eta_s=self._eta_s(job)) for job in jobs]

    async def _keep_history(self) -> None:
        if time.monotonic() < self._read_again_at:
            return
        # Noted first: those who ask meanwhile make do with what there was before.
        self._read_again_at = time.monotonic() + READ_EVERY_S
        self._history, self._read_at = History(await self._studio.step_times.list_all()), time.monotonic()

    def _eta_s(self, job: Job) -> int | None:
        now = self._server_time()
        left = self._studio.step_times.seconds_left(job, self._history, now=now) if now else None
        return math.ceil(left) if left is not None else None

    def _server_time(self) -> datetime | None:
        """The database's clock, which wrote the times in jobs; None while there is no history anyway."""
        read_at = self._history.read_at
        return read_at + timedelta(seconds=time.monotonic() - self._read_at) if read_at else None
