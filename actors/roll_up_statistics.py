"""Count how jobs ended, day by day. A schedule sends this; counting twice is counting once."""

from __future__ import annotations

import dramatiq

from actors.waiting import waiting
from actors.wiring import studio
from studio.statistics import newest_days

DAYS = 2
"""Today changes all the time, and yesterday's last jobs ended after the last count."""


@dramatiq.actor(actor_name="roll_up_statistics", priority=2)
def roll_up_statistics() -> None:
    with waiting():
        for day in newest_days(studio.database, DAYS):
            studio.statistics.put_day(day, studio.jobs.list_finished(day))
