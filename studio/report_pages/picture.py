"""The report as one picture: the radar, the bars and the colours of its newest period."""

from __future__ import annotations

import io

from PIL.PngImagePlugin import PngInfo

from studio.language import Language
from studio.report_pages import charts, words
from studio.report_pages.pen import INK, PAPER, SOFT, Pen, cut, lines_of
from studio.report_pages.picture_pen import PicturePen
from studio.reports import PeriodReport, Report

SIZE = (1200, 880)
_MARGIN = 50
_WIDTH = SIZE[0] - 2 * _MARGIN
_HEADING = 22


def draw(report: Report, language: Language) -> bytes:
    """A PNG. The same report gives the same bytes."""
    newest = report.periods[0]
    pen = PicturePen(*SIZE)
    _head(pen, report, newest, language)
    _card(pen, (_MARGIN, 150), (560, 560), words.RADAR.in_(language))
    if any(ability.earlier is not None for ability in newest.abilities):
        pen.text((585, 188), words.DASHED[report.period].in_(language), 16, SOFT, align="right")
    charts.radar(pen, newest.abilities, language, centre=(_MARGIN + 280, 455), radius=165, text=20)
    _bars(pen, report, newest, language)
    _card(pen, (630, 520), (520, 190), words.COLOURS.in_(language))
    if newest.colours:
        charts.colours(pen, newest.colours, language, corner=(655, 580), width=470, text=18)
    _foot(pen, newest, language)
    return _png(pen, title=words.title(report).in_(language))


def _head(pen: Pen, report: Report, newest: PeriodReport, language: Language) -> None:
    title = cut(words.title(report).in_(language), _WIDTH, 42)
    pen.text((_MARGIN, 78), title, 42, is_bold=True)
    line = f"{newest.span.label.in_(language)}{words.COLON.in_(language)}{words.summary(newest).in_(language)}"
    pen.text((_MARGIN, 122), line, 22, SOFT)


def _bars(pen: Pen, report: Report, newest: PeriodReport, language: Language) -> None:
    if len(report.periods) > 1:
        heading, counts = words.PERIODS[report.period], charts.bars_of_periods(report.periods)
    else:
        heading, counts = words.DAYS, charts.bars_of_days(newest, language)
    _card(pen, (630, 150), (520, 350), heading.in_(language))
    charts.bars(pen, counts, corner=(655, 205), size=(470, 275), text=17)


def _card(pen: Pen, corner: tuple[float, float], size: tuple[float, float], heading: str) -> None:
    pen.box(corner, size, PAPER, radius=16)
    pen.text((corner[0] + 25, corner[1] + 38), heading, _HEADING, INK, is_bold=True)


def _foot(pen: Pen, newest: PeriodReport, language: Language) -> None:
    notes = [words.NOT_MARKS, words.TOO_FEW, *([words.CUT] if newest.is_cut else [])]
    y = 744.0
    for note in notes:
        for line in lines_of(note.in_(language), _WIDTH, 16):
            pen.text((_MARGIN, y), line, 16, SOFT)
            y += 23
    pen.text((_MARGIN, SIZE[1] - 22), words.MADE_BY.in_(language), 16, SOFT)


def _png(pen: PicturePen, *, title: str) -> bytes:
    about = PngInfo()
    about.add_itxt("Title", title)
    about.add_itxt("Comment", words.MARK)
    file = io.BytesIO()
    pen.finished().save(file, "PNG", pnginfo=about, optimize=True)
    return file.getvalue()
