"""The growth page: the child's profile, and what the works of past weeks or months show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from anyio import CapacityLimiter, to_thread
from litestar import Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from app.dependencies import Owner, TheLinks, TheStudio
from app.errors import AnyRequest, language_of
from app.limits import Calls
from app.openapi import refusals
from app.payloads import Id, Payload
from app.views import Links, ProfileView, ReportView, view_profile, view_report
from studio import report_pages, reports
from studio.language import Language
from studio.profiles import AgeBand, Profile
from studio.reports import Period, Report, zone_named
from studio.studio import Studio

T = TypeVar("T")

_AT_ONCE = CapacityLimiter(2)
"""Reports that a process makes at the same time; others wait. Each keeps a core busy, for a second at most."""

_Period = Annotated[Period, QueryParameter(description="Weeks begin on Monday.")]
_Range = Annotated[int, QueryParameter(ge=1, le=12, description="How many periods, the current one first.")]
_Zone = Annotated[str, QueryParameter(max_length=64, description="An IANA time zone.")]
_Lang = Annotated[Language | None, QueryParameter(description="Instead of Accept-Language.")]


class ProfileChange(Payload, frozen=True, kw_only=True):
    """What is told of the child. What is left out stays as it is, and null takes it back."""

    nickname: Annotated[str, Meta(max_length=30)] | UnsetType | None = UNSET
    age: Annotated[int, Meta(ge=1, le=18)] | UnsetType | None = UNSET
    age_band: AgeBand | UnsetType | None = UNSET
    """Follows from the age where one is given."""
    description: Annotated[str, Meta(max_length=500)] | UnsetType | None = UNSET
    avatar_asset_id: Id | UnsetType | None = UNSET
    """A picture of the client's own."""

    def told(self) -> dict[str, Any]:
        """The given fields, under the names of the domain."""
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        plain = {name: value.strip() or None if isinstance(value, str) else value for name, value in given.items()}
        return {name: value for name, value in plain.items() if value is not UNSET}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which report a call asks for."""

    period: Period
    count: int
    zone: ZoneInfo
    language: Language

    def report(self, studio: Studio, owner: str) -> Report:
        return reports.make(studio, owner, period=self.period, count=self.count, zone=self.zone)


@get("/grow/profile")
async def get_profile(owner: Owner, studio: TheStudio, links: TheLinks) -> ProfileView:
    """The child's profile. Nothing in it is needed for anything."""
    return await _view(studio, links, owner, await studio.profiles.get(owner))


@post("/grow/profile", status_code=200, responses=refusals("NOT_FOUND"))
async def change_profile(
    data: JSONBody[ProfileChange], owner: Owner, studio: TheStudio, links: TheLinks
) -> ProfileView:
    """Tell something of the child, or take it back."""
    profile = await to_thread.run_sync(studio.profiles.change, owner, data.told())
    return await _view(studio, links, owner, profile)


def provide_wanted(
    request: AnyRequest,
    *,
    period: _Period = Period.WEEK,
    range: _Range = 1,  # noqa: A002 (this and tz are their names on the wire, and in a refusal)
    tz: _Zone = "UTC",
    lang: _Lang = None,
) -> Wanted:
    """The report that a call asks for. Raises StudioError("TIME_ZONE_UNKNOWN")."""
    return Wanted(period, range, zone_named(tz), lang or language_of(request))


_WANTED = {"wanted": Provide(provide_wanted, sync_to_thread=False)}


@get("/grow/report", dependencies=_WANTED, responses=refusals("TIME_ZONE_UNKNOWN"))
async def get_report(owner: Owner, studio: TheStudio, links: TheLinks, wanted: NamedDependency[Wanted]) -> ReportView:
    """What the works of the last weeks or months show: measured, with the works behind every claim, never made up."""
    return await _in_turn(lambda: view_report(links, wanted.report(studio, owner), wanted.language))


@get(
    "/grow/report.png",
    dependencies=_WANTED,
    media_type="image/png",
    counted_as=Calls.JOBS,
    responses=refusals("TIME_ZONE_UNKNOWN"),
)
async def get_report_picture(owner: Owner, studio: TheStudio, wanted: NamedDependency[Wanted]) -> Response[bytes]:
    """The report's charts as one picture."""
    return await _in_turn(lambda: _picture(studio, owner, wanted))


@get(
    "/grow/report.pdf",
    dependencies=_WANTED,
    media_type="application/pdf",
    counted_as=Calls.JOBS,
    responses=refusals("TIME_ZONE_UNKNOWN"),
)
async def get_report_document(owner: Owner, studio: TheStudio, wanted: NamedDependency[Wanted]) -> Response[bytes]:
    """The report for printing, on A4."""
    return await _in_turn(lambda: _document(studio, owner, wanted))


def _picture(studio: Studio, owner: str, wanted: Wanted) -> Response[bytes]:
    report = wanted.report(studio, owner)
    return _file(report, report_pages.draw(report, wanted.language), "png")


def _document(studio: Studio, owner: str, wanted: Wanted) -> Response[bytes]:
    report = wanted.report(studio, owner)
    pictures = report_pages.fetch(studio, report)
    return _file(report, report_pages.print_(report, pictures, wanted.language), "pdf")


def _file(report: Report, content: bytes, extension: str) -> Response[bytes]:
    name = f"huaban-{report.period}-{report.periods[0].span.first_day}.{extension}"
    return Response(content, headers={"Content-Disposition": f'inline; filename="{name}"'})


async def _in_turn(make: Callable[[], T]) -> T:
    return await to_thread.run_sync(make, limiter=_AT_ONCE)


async def _view(studio: Studio, links: Links, owner: str, profile: Profile | None) -> ProfileView:
    asset_id = profile.avatar_asset_id if profile else None
    return view_profile(links, profile, await studio.media_assets.get(owner, asset_id) if asset_id else None)
