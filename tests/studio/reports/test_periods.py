from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from studio.errors import StudioError
from studio.reports import Period, zone_named
from studio.reports.periods import spans_before

UTC_ZONE = ZoneInfo("UTC")


@pytest.mark.parametrize("day", [16, 19, 22])
def test_a_week_runs_from_monday_to_sunday(day: int) -> None:
    (week,) = spans_before(datetime(2026, 11, day, 12, tzinfo=UTC), Period.WEEK, 1, UTC_ZONE)

    assert (week.first_day, week.last_day) == (date(2026, 11, 16), date(2026, 11, 22))
    assert (week.start, week.end) == (datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))


@pytest.mark.parametrize("period", Period)
def test_periods_follow_one_another_without_gap(period: Period) -> None:
    spans = spans_before(datetime(2027, 2, 1, tzinfo=UTC), period, 60, ZoneInfo("Europe/Berlin"))

    assert [span.start for span in spans[:-1]] == [span.end for span in spans[1:]]
    assert len(spans) == 60


def test_months_end_where_the_calendar_says() -> None:
    spans = spans_before(datetime(2028, 3, 31, tzinfo=UTC), Period.MONTH, 5, UTC_ZONE)

    assert [span.last_day.day for span in spans] == [31, 29, 31, 31, 30]


def test_a_day_begins_at_midnight_of_the_familys_zone() -> None:
    late = datetime(2026, 11, 15, 17, tzinfo=UTC)  # already Monday in Shanghai

    (there,) = spans_before(late, Period.WEEK, 1, ZoneInfo("Asia/Shanghai"))
    (here,) = spans_before(late, Period.WEEK, 1, UTC_ZONE)

    assert there.start == datetime(2026, 11, 15, 16, tzinfo=UTC)
    assert (there.day_of(late), here.day_of(late)) == (date(2026, 11, 16), date(2026, 11, 15))


def test_a_midnight_that_the_clocks_skip_is_the_instant_of_the_change() -> None:
    # On 6 September 2026 Santiago's clocks go from 0:00 to 1:00, which is 4:00 in UTC.
    days = spans_before(datetime(2026, 9, 10, tzinfo=UTC), Period.WEEK, 2, ZoneInfo("America/Santiago"))[1]

    assert days.last_day == date(2026, 9, 6)
    assert days.day_of(datetime(2026, 9, 6, 4, tzinfo=UTC)) == days.last_day
    assert days.day_of(datetime(2026, 9, 6, 3, 59, tzinfo=UTC)) == date(2026, 9, 5)


@pytest.mark.parametrize(
    ("at", "period", "zh", "en"),
    [
        ("2026-11-19", Period.WEEK, "2026年11月16日至11月22日", "16 – 22 November 2026"),
        ("2026-12-01", Period.WEEK, "2026年11月30日至12月6日", "30 November – 6 December 2026"),
        ("2026-12-31", Period.WEEK, "2026年12月28日至2027年1月3日", "28 December 2026 – 3 January 2027"),
        ("2026-12-31", Period.MONTH, "2026年12月", "December 2026"),
    ],
)
def test_a_period_has_a_name_in_both_languages(at: str, period: Period, zh: str, en: str) -> None:
    (span,) = spans_before(datetime.fromisoformat(f"{at}T12:00:00Z"), period, 1, UTC_ZONE)

    assert (span.label.zh, span.label.en) == (zh, en)


@pytest.mark.parametrize("name", ["", "Nowhere/City", "America", "../../etc/passwd", "/etc/passwd", "a\0b", "北京"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(StudioError, match="TIME_ZONE_UNKNOWN"):
        zone_named(name)
