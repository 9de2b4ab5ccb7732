"""What past works show over weeks and months: measured, with the works behind every claim, and never made up."""

from studio.reports.abilities import ENOUGH, Ability
from studio.reports.findings import ColourUse, Trait
from studio.reports.insights import Insight
from studio.reports.making import MOST_WORKS, make
from studio.reports.periods import BEFORE, Period, Span, day_in_words, zone_named
from studio.reports.report import PeriodReport, Report
from studio.reports.works import Work

__all__ = [
    "BEFORE",
    "ENOUGH",
    "MOST_WORKS",
    "Ability",
    "ColourUse",
    "Insight",
    "Period",
    "PeriodReport",
    "Report",
    "Span",
    "Trait",
    "Work",
    "day_in_words",
    "make",
    "zone_named",
]
