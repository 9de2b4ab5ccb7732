"""The report of one client over some weeks or months, put together from the works of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime

from studio.profiles import Profile
from studio.reports import abilities, insights
from studio.reports.abilities import Ability
from studio.reports.findings import ColourUse, Trait, colours_of, traits_of
from studio.reports.insights import Insight
from studio.reports.periods import Period, Span
from studio.reports.works import Work


@dataclass(frozen=True, slots=True)
class Made:
    """What a client made in a span."""

    span: Span
    works: list[Work]
    """The newest first."""
    is_cut: bool = False
    """There are more, too many for a report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodReport:
    span: Span
    is_over: bool
    """False while more works may come."""
    works: list[Work]
    """The works that the rest speaks of, the newest first."""
    is_cut: bool
    """There are older ones in the span, too many for a report."""
    days: dict[date, int]
    """Works of each day of the span, also of those without any."""
    colours: list[ColourUse]
    traits: list[Trait]
    abilities: list[Ability]
    insights: list[Insight]

    @property
    def active_days(self) -> int:
        return sum(1 for count in self.days.values() if count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    period: Period
    day: date
    """The day on which it was made, in the family's time zone."""
    profile: Profile | None
    periods: list[PeriodReport]
    """The newest first."""


def put_together(made: list[Made], *, profile: Profile | None, now: datetime) -> Report:
    """The report over these spans, the newest first. The last one is only there for the others to be compared with."""
    today = made[0].span.day_of(now)
    measured = [_measured(one, today) for one in made]
    periods = [
        _period_report(one, today, own, before) for one, own, before in zip(made, measured, measured[1:], strict=False)
    ]
    return Report(period=made[0].span.period, day=today, profile=profile, periods=periods)


def _measured(made: Made, today: date) -> list[Ability]:
    begun = sum(1 for day in made.span.days if day <= today)
    return abilities.measure(made.works, active_days=len(_active_days(made)), days=begun)


def _period_report(made: Made, today: date, own: list[Ability], before: list[Ability]) -> PeriodReport:
    active_days = _active_days(made)
    is_over = made.span.last_day < today
    colours, traits = colours_of(made.works), traits_of(made.works)
    compared = abilities.compared(own, before)
    return PeriodReport(
        span=made.span,
        is_over=is_over,
        works=made.works,
        is_cut=made.is_cut,
        days={day: active_days[day] for day in made.span.days},
        colours=colours,
        traits=traits,
        abilities=compared,
        insights=[
            *insights.about_making(made.works, active_days=len(active_days)),
            *insights.about_drawings(made.works, colours, traits),
            *insights.about_change(compared, before, period=made.span.period, is_over=is_over),
        ],
    )


def _active_days(made: Made) -> Counter[date]:
    return Counter(made.span.day_of(work.artwork.created_at) for work in made.works)
