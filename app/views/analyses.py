"""Readings of drawings as callers see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.views.view import View
from studio.analyses import Analysis
from studio.language import Language


class AnalysisView(View, frozen=True, kw_only=True):
    artwork_id: str
    summary: str
    tags: list[str]
    palette: list[dict[str, Any]]
    boxes: list[dict[str, Any]]
    """`box` is [left, top, width, height] in fractions of the drawing."""
    scores: dict[str, dict[str, Any]]
    coverage: float
    method: str
    language: Language
    created_at: datetime


def view_analysis(analysis: Analysis, language: Language) -> AnalysisView:
    reading = analysis.reading
    return AnalysisView(
        artwork_id=analysis.id,
        summary=reading.summary[language],
        tags=[tag[language] for tag in reading.tags],
        palette=[
            {"color": swatch.color, "name": swatch.name[language], "share": swatch.share} for swatch in reading.palette
        ],
        boxes=[
            {"box": region.box, "label": region.label[language], "color": region.color, "share": region.share}
            for region in reading.regions
        ],
        scores={
            name: {"value": score.value, "label": score.label[language], "method": score.method[language]}
            for name, score in reading.scores.items()
        },
        coverage=reading.coverage,
        method=reading.method,
        language=language,
        created_at=analysis.created_at,
    )
