"""Weeks and months as a family counts them: whole days in its own time zone, a week from its Monday."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from studio.errors import StudioError
from studio.language import Text

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class Period(StrEnum):
    WEEK = "week"
    MONTH = "month"


BEFORE = {Period.WEEK: Text("上一周", "the week before"), Period.MONTH: Text("上个月", "the month before")}
"""What the period before is called."""


@dataclass(frozen=True, slots=True)
class Span:
    """One week or month, from its first day to its last, both included."""

    period: Period
    first_day: date
    last_day: date
    zone: ZoneInfo

    @property
    def start(self) -> datetime:
        """The instant at which it begins."""
        return _midnight(self.first_day, self.zone)

    @property
    def end(self) -> datetime:
        """The instant at which the next one begins."""
        return _midnight(self.last_day + timedelta(days=1), self.zone)

    @property
    def days(self) -> list[date]:
        return [self.first_day + timedelta(days=n) for n in range((self.last_day - self.first_day).days + 1)]

    def day_of(self, at: datetime) -> date:
        """The day on the family's calendar."""
        return at.astimezone(self.zone).date()

    @property
    def label(self) -> Text:
        first, last = self.first_day, self.last_day
        if self.period is Period.MONTH:
            return Text(f"{first.year}年{first.month}月", f"{_MONTHS[first.month - 1]} {first.year}")
        until_zh = f"{last.month}月{last.day}日"
        if first.year != last.year:
            until_zh = f"{last.year}年{until_zh}"
        from_en = str(first.day) if first.month == last.month else f"{first.day} {_MONTHS[first.month - 1]}"
        if first.year != last.year:
            from_en = f"{from_en} {first.year}"
        return Text(f"{first.year}年{first.month}月{first.day}日至{until_zh}", f"{from_en} – {day_in_words(last).en}")


def day_in_words(day: date) -> Text:
    return Text(f"{day.year}年{day.month}月{day.day}日", f"{day.day} {_MONTHS[day.month - 1]} {day.year}")


def zone_named(name: str) -> ZoneInfo:
    """A time zone by its IANA name. Raises StudioError("TIME_ZONE_UNKNOWN")."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        # A name may also be that of a folder of zones, or no path at all.
        raise StudioError("TIME_ZONE_UNKNOWN") from error


def spans_before(now: datetime, period: Period, count: int, zone: ZoneInfo) -> list[Span]:
    """The period that `now` falls into and those before it, `count` in all, the newest first."""
    day = now.astimezone(zone).date()
    spans = []
    for _ in range(count):
        spans.append(_span_of(day, period, zone))
        day = spans[-1].first_day - timedelta(days=1)
    return spans


def _span_of(day: date, period: Period, zone: ZoneInfo) -> Span:
    if period is Period.WEEK:
        monday = day - timedelta(days=day.weekday())
        return Span(period, monday, monday + timedelta(days=6), zone)
    first = day.replace(day=1)
    in_next_month = first + timedelta(days=31)
    return Span(period, first, in_next_month.replace(day=1) - timedelta(days=1), zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    # Where a clock change skips midnight, this is the instant of the change, with which that day begins.
    return datetime.combine(day, time.min, zone).astimezone(UTC)
