"""When what is done that nobody asks for: the one list of schedules. Every worker watches them, each tick runs once."""

from __future__ import annotations

from actors.housekeeping import (
    empty_bin,
    erase_inactive_clients,
    forget_failed_jobs,
    resume_erasures,
    review_media,
    sweep_exports,
    sweep_orphans,
    sweep_uploads,
    unlink_old_spending,
)
from actors.roll_up_statistics import roll_up_statistics
from actors.wiring import broker
from broker import Schedule, Schedules

DAY_S = 24 * 3600.0
"""A machine that is off at night makes up for it when it is on: retention is no matter of the hour."""


# In UTC: what walks through everything does so at night where most families are, in China.
SCHEDULES = [
    Schedule("roll_up_statistics", "5 * * * *", roll_up_statistics),
    Schedule("sweep_uploads", "11 * * * *", sweep_uploads),
    Schedule("sweep_exports", "21 * * * *", sweep_exports),
    Schedule("resume_erasures", "31 * * * *", resume_erasures),
    Schedule("erase_inactive_clients", "2 19 * * *", erase_inactive_clients, grace_s=DAY_S),
    Schedule("empty_bin", "12 19 * * *", empty_bin, grace_s=DAY_S),
    Schedule("forget_failed_jobs", "22 19 * * *", forget_failed_jobs, grace_s=DAY_S),
    Schedule("unlink_old_spending", "27 19 * * *", unlink_old_spending, grace_s=DAY_S),
    Schedule("review_media", "32 19 * * *", review_media, grace_s=DAY_S),
    Schedule("sweep_orphans", "52 19 * * *", sweep_orphans, grace_s=DAY_S),
]

broker.add_middleware(Schedules(SCHEDULES))
