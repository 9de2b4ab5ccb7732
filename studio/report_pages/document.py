"""The report in print: charts, claims beside pictures of the works, and how everything was measured."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image

from studio.language import Language
from studio.media.titles import readable
from studio.report_pages import charts, words
from studio.report_pages.pen import INK, LINE, SOFT, WASH, Point, cut, lines_of
from studio.report_pages.print_pen import HEIGHT, WIDTH, PrintPen
from studio.reports import Ability, Insight, PeriodReport, Report, Work, day_in_words

Pictures = Mapping[str, Image.Image]
"""Small pictures of drawings, by the ids of their artworks."""

PICTURES = 3
"""Of one claim that are shown; the others only count."""

_MARGIN = 48.0
_INNER = WIDTH - 2 * _MARGIN
_FOOT = HEIGHT - 52
_PICTURE: Point = (64.0, 48.0)
_GAP = 8.0


def print_(report: Report, pictures: Pictures, language: Language) -> bytes:
    """A PDF of A4 pages. The same report and pictures give the same bytes."""
    title = words.title(report).in_(language)
    pen = PrintPen(title=title, subject=words.MADE_BY.in_(language), language=language, day=report.day)
    sheet = _Sheet(pen)
    sheet.begin_page()
    sheet.write(title, 24, is_bold=True)
    for period in report.periods:
        _period(sheet, period, pictures, language)
    _methods(sheet, report, language)
    _feet(pen, report, language)
    return pen.finished()


class _Sheet:
    """Paper that is filled from the top, and goes on with a new page where something does not fit."""

    def __init__(self, pen: PrintPen) -> None:
        self.pen = pen
        self._y = 0.0

    def begin_page(self) -> None:
        self.pen.add_page()
        self._y = _MARGIN

    def take(self, height: float) -> float:
        """Room of this height; the y at which it begins."""
        if self._y + height > _FOOT:
            self.begin_page()
        top = self._y
        self._y += height
        return top

    def write(self, text: str, size: float, color: str = INK, *, is_bold: bool = False) -> None:
        for line in lines_of(text, _INNER, size):
            top = self.take(1.45 * size)
            self.pen.text((_MARGIN, top + 1.1 * size), line, size, color, is_bold=is_bold)

    def head(self, text: str, *, followed_by: float) -> None:
        """A heading that stays on one page with what follows it."""
        top = self.take(40 + followed_by)
        self._y -= followed_by
        self.pen.text((_MARGIN, top + 25), text, 13, is_bold=True)


def _period(sheet: _Sheet, period: PeriodReport, pictures: Pictures, language: Language) -> None:
    # The charts need the upper half of a page.
    sheet.take(14)
    sheet.head(period.span.label.in_(language), followed_by=300 if period.works else 20)
    sheet.write(words.summary(period).in_(language), 10, SOFT)
    if not period.works:
        return
    if period.is_cut:
        sheet.write(words.CUT.in_(language), 10, SOFT)
    _charts(sheet, period, language)
    sheet.head(words.INSIGHTS.in_(language), followed_by=80)
    for insight in period.insights:
        _insight(sheet, insight, pictures, language)


def _charts(sheet: _Sheet, period: PeriodReport, language: Language) -> None:
    top = sheet.take(258)
    pen, right = sheet.pen, _MARGIN + 0.56 * _INNER
    charts.radar(pen, period.abilities, language, centre=(_MARGIN + 0.25 * _INNER, top + 130), radius=84, text=9)
    if any(ability.earlier is not None for ability in period.abilities):
        pen.text((_MARGIN, top + 250), words.DASHED[period.span.period].in_(language), 8, SOFT)
    pen.text((right, top + 24), words.DAYS.in_(language), 10, is_bold=True)
    charts.bars(
        pen,
        charts.bars_of_days(period, language),
        corner=(right, top + 30),
        size=(_MARGIN + _INNER - right, 110),
        text=8,
    )
    if period.colours:
        pen.text((right, top + 172), words.COLOURS.in_(language), 10, is_bold=True)
        charts.colours(pen, period.colours, language, corner=(right, top + 184), width=_MARGIN + _INNER - right, text=9)


def _insight(sheet: _Sheet, insight: Insight, pictures: Pictures, language: Language) -> None:
    shown = insight.works[:PICTURES]
    width = _INNER - PICTURES * (_PICTURE[0] + _GAP) - _GAP
    text = lines_of(insight.text.in_(language), width, 11)
    method = lines_of(words.method(insight.method, insight.sample_size).in_(language), width, 8)
    height = max(16 * len(text) + 11.5 * len(method), _PICTURE[1] + 11) + 14
    top = sheet.take(height)
    y = top + 11
    for line in text:
        sheet.pen.text((_MARGIN, y), line, 11)
        y += 16
    for line in method:
        sheet.pen.text((_MARGIN, y), line, 8, SOFT)
        y += 11.5
    for position, work in enumerate(shown):
        left = _MARGIN + _INNER - (PICTURES - position) * (_PICTURE[0] + _GAP) + _GAP
        _work(sheet.pen, work, pictures, (left, top), language)


def _work(pen: PrintPen, work: Work, pictures: Pictures, corner: Point, language: Language) -> None:
    """A work as its drawing, in a frame of one size for all, with its title below."""
    name = readable(work.artwork.title) or words.UNTITLED.in_(language)
    pen.box(corner, _PICTURE, WASH, radius=3)
    if picture := pictures.get(work.id):
        scale = min(_PICTURE[0] / picture.width, _PICTURE[1] / picture.height)
        size = (picture.width * scale, picture.height * scale)
        place = (corner[0] + (_PICTURE[0] - size[0]) / 2, corner[1] + (_PICTURE[1] - size[1]) / 2)
        pen.picture(picture, place, size, name=name)
    pen.text(
        (corner[0] + _PICTURE[0] / 2, corner[1] + _PICTURE[1] + 9), cut(name, _PICTURE[0], 7), 7, SOFT, align="middle"
    )


def _methods(sheet: _Sheet, report: Report, language: Language) -> None:
    """How the abilities were measured, with the values of the newest period that has any works."""
    for period in [period for period in report.periods if period.works][:1]:
        sheet.head(words.measured_in(period).in_(language), followed_by=80)
        for ability in period.abilities:
            _ability(sheet, ability, period, language)
    sheet.take(10)
    for note in (words.NOT_MARKS, words.TOO_FEW):
        sheet.write(note.in_(language), 9, SOFT)


def _ability(sheet: _Sheet, ability: Ability, period: PeriodReport, language: Language) -> None:
    left = _MARGIN + 150
    said = words.method(ability.method, len(ability.works)).in_(language)
    method = lines_of(said, _MARGIN + _INNER - left, 8.5)
    below = words.beside(ability, period.span.period)
    height = max(12 * len(method), 26 if below else 12) + 8
    top = sheet.take(height)
    value = words.NO_VALUE if ability.value is None else str(ability.value)
    sheet.pen.text((_MARGIN, top + 9), f"{ability.label.in_(language)}  {value}", 10.5)
    if below:
        sheet.pen.text((_MARGIN, top + 22), below.in_(language), 8, SOFT)
    for line, text in enumerate(method):
        sheet.pen.text((left, top + 9 + 12 * line), text, 8.5, SOFT)
    bottom = top + height - 4
    sheet.pen.line([(_MARGIN, bottom), (_MARGIN + _INNER, bottom)], LINE, 0.5)


def _feet(pen: PrintPen, report: Report, language: Language) -> None:
    for page in range(1, pen.pages + 1):
        pen.go_to(page)
        pen.text((_MARGIN, HEIGHT - 30), words.MADE_BY.in_(language), 8, SOFT)
        place = f"{day_in_words(report.day).in_(language)} – {page}/{pen.pages}"
        pen.text((WIDTH - _MARGIN, HEIGHT - 30), place, 8, SOFT, align="right")
