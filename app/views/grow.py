"""The child's profile and the growth report as callers see them."""

from __future__ import annotations

from datetime import date, datetime

from app.views.links import Links
from app.views.view import View
from studio.language import Language
from studio.media_assets import MediaAsset
from studio.profiles import Profile
from studio.report_pages import words
from studio.reports import ENOUGH, Ability, ColourUse, Insight, PeriodReport, Report, Trait, Work


class ProfileView(View, frozen=True, kw_only=True):
    """All null until somebody tells."""

    nickname: str | None = None
    age: int | None = None
    age_band: str | None = None
    description: str | None = None
    avatar_asset_id: str | None = None
    avatar_url: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class DayView(View, frozen=True, kw_only=True):
    date: date
    works: int


class CountsView(View, frozen=True, kw_only=True):
    works: int
    active_days: int
    films: int
    stories: int
    story_words: int
    """Each Chinese character counts as a word."""
    voice_seconds: int


class ColourUseView(View, frozen=True, kw_only=True):
    name: str
    color: str
    share: float
    """Of what is drawn, 0 to 1, on average over the drawings that were read."""
    artwork_ids: list[str]


class TraitView(View, frozen=True, kw_only=True):
    tag: str
    count: int
    artwork_ids: list[str]


class AbilityView(View, frozen=True, kw_only=True):
    key: str
    label: str
    value: int | None
    """0 to 100; null when too few works have what it measures."""
    earlier: int | None
    """The value of the period before."""
    note: str | None
    """Why there is no value."""
    method: str
    sample_size: int
    artwork_ids: list[str]


class InsightView(View, frozen=True, kw_only=True):
    key: str
    text: str
    method: str
    sample_size: int
    """The works that were looked at for it."""
    artwork_ids: list[str]
    """The works that show it, the newest first."""


class PeriodView(View, frozen=True, kw_only=True):
    label: str
    first_day: date
    last_day: date
    start: datetime
    end: datetime
    """The instant at which the next period begins."""
    is_over: bool
    is_cut: bool
    """There are more works than a report looks at; the oldest are left out."""
    summary: str
    counts: CountsView
    days: list[DayView]
    palette: list[ColourUseView]
    tags: list[TraitView]
    radar: list[AbilityView]
    insights: list[InsightView]


class WorkView(View, frozen=True, kw_only=True):
    title: str
    thumb_url: str | None
    created_at: datetime


class ReportView(View, frozen=True, kw_only=True):
    period: str
    range: int
    time_zone: str
    language: Language
    enough_works: int
    """With fewer works nothing is measured."""
    notes: list[str]
    """How the values are to be understood."""
    mark: str
    periods: list[PeriodView]
    """The newest first, also those without works."""
    artworks: dict[str, WorkView]
    """The works that are named above, by id."""


def view_profile(links: Links, profile: Profile | None, avatar: MediaAsset | None) -> ProfileView:
    if profile is None:
        return ProfileView()
    return ProfileView(
        nickname=profile.nickname,
        age=profile.age,
        age_band=profile.age_band,
        description=profile.description,
        avatar_asset_id=profile.avatar_asset_id,
        avatar_url=links.to_thumb(avatar) if avatar else None,
        created_at=profile.created_at,
        updated_at=profile.updated_at,
    )


def view_report(links: Links, report: Report, language: Language) -> ReportView:
    return ReportView(
        period=report.period,
        range=len(report.periods),
        time_zone=report.periods[0].span.zone.key,
        language=language,
        enough_works=ENOUGH,
        notes=[words.NOT_MARKS.in_(language), words.TOO_FEW.in_(language), words.MADE_BY.in_(language)],
        mark=words.MARK,
        periods=[_view_period(period, language) for period in report.periods],
        artworks={work.id: _view_work(links, work) for work in _named(report)},
    )


def _view_period(period: PeriodReport, language: Language) -> PeriodView:
    span = period.span
    return PeriodView(
        label=span.label.in_(language),
        first_day=span.first_day,
        last_day=span.last_day,
        start=span.start,
        end=span.end,
        is_over=period.is_over,
        is_cut=period.is_cut,
        summary=words.summary(period).in_(language),
        counts=_view_counts(period),
        days=[DayView(date=day, works=count) for day, count in period.days.items()],
        palette=[_view_colour(use, language) for use in period.colours],
        tags=[_view_trait(trait, language) for trait in period.traits],
        radar=[_view_ability(ability, language) for ability in period.abilities],
        insights=[_view_insight(insight, language) for insight in period.insights],
    )


def _view_counts(period: PeriodReport) -> CountsView:
    works = period.works
    return CountsView(
        works=len(works),
        active_days=period.active_days,
        films=sum(1 for work in works if work.has_film),
        stories=sum(1 for work in works if work.is_told),
        story_words=sum(work.words for work in works),
        voice_seconds=round(sum(work.voice_s for work in works)),
    )


def _view_colour(use: ColourUse, language: Language) -> ColourUseView:
    return ColourUseView(
        name=use.name.in_(language), color=use.color, share=round(use.share, 4), artwork_ids=_ids(use.works)
    )


def _view_trait(trait: Trait, language: Language) -> TraitView:
    return TraitView(tag=trait.name.in_(language), count=len(trait.works), artwork_ids=_ids(trait.works))


def _view_ability(ability: Ability, language: Language) -> AbilityView:
    return AbilityView(
        key=ability.key,
        label=ability.label.in_(language),
        value=ability.value,
        earlier=ability.earlier,
        note=ability.note.in_(language) if ability.note else None,
        method=ability.method.in_(language),
        sample_size=len(ability.works),
        artwork_ids=_ids(ability.works),
    )


def _view_insight(insight: Insight, language: Language) -> InsightView:
    return InsightView(
        key=insight.key,
        text=insight.text.in_(language),
        method=insight.method.in_(language),
        sample_size=insight.sample_size,
        artwork_ids=_ids(insight.works),
    )


def _view_work(links: Links, work: Work) -> WorkView:
    return WorkView(
        title=work.artwork.title,
        thumb_url=links.to_thumb(work.shown) if work.shown else None,
        created_at=work.artwork.created_at,
    )


def _named(report: Report) -> list[Work]:
    """The works of all periods, and those of the period before that are only compared with."""
    return [
        work
        for period in report.periods
        for works in (period.works, *(insight.works for insight in period.insights))
        for work in works
    ]


def _ids(works: list[Work]) -> list[str]:
    return [work.id for work in works]
