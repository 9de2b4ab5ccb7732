"""`GET /ai/analyses/{artworkId}`: what can be said about a drawing."""

from __future__ import annotations

from litestar import get
from litestar.params import FromPath

from app.dependencies import Owner, TheStudio
from app.errors import AnyRequest, language_of
from app.openapi import refusals
from app.views import AnalysisView, view_analysis
from studio.errors import StudioError


@get("/ai/analyses/{artwork_id:str}", responses=refusals("ANALYSIS_NOT_READY"))
async def get_analysis(artwork_id: FromPath[str], owner: Owner, studio: TheStudio, request: AnyRequest) -> AnalysisView:
    """The newest reading of an artwork's drawing."""
    if await studio.artworks.get(owner, artwork_id) is None:
        raise StudioError("NOT_FOUND")
    analysis = await studio.analyses.get(owner, artwork_id)
    if analysis is None:
        raise StudioError("ANALYSIS_NOT_READY")
    return view_analysis(analysis, language_of(request))
