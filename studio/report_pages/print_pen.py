"""The pen that draws on A4 pages of a PDF: lines stay lines, and text stays text with the letters it uses embedded."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, time

import pylopdf_fonts_zh_cn as fonts
from PIL import Image

from studio.language import Language
from studio.report_pages.pen import INK, Align, Point, starts_at, width_of

WIDTH, HEIGHT = 595.28, 841.89
"""A4 in points."""

_FONT = "noto"
_JPEG_QUALITY = 85


class PrintPen:
    def __init__(self, *, title: str, subject: str, language: Language, day: date) -> None:
        # Half a second at the start of every web process, which many never need.
        from fpdf import FPDF  # noqa: PLC0415

        self._pdf = FPDF(unit="pt", format=(WIDTH, HEIGHT))
        self._pdf.set_auto_page_break(auto=False)
        self._pdf.add_font(_FONT, fname=fonts.sans_path())
        self._pdf.set_title(title)
        self._pdf.set_subject(subject)
        self._pdf.set_creator("HuaBan")
        self._pdf.set_lang("zh-CN" if language == "zh" else "en")
        # A whole day, so that the same data give the same bytes.
        self._pdf.set_creation_date(datetime.combine(day, time.min, UTC))

    def add_page(self) -> None:
        self._pdf.add_page()
        self._pdf.set_font(_FONT)

    @property
    def pages(self) -> int:
        return self._pdf.pages_count

    def go_to(self, page: int) -> None:
        """Draw on a page that exists, counted from 1."""
        self._pdf.page = page
        self._pdf.set_font(_FONT)

    def finished(self) -> bytes:
        return bytes(self._pdf.output() or b"")

    def line(self, points: Sequence[Point], color: str, width: float, *, is_dashed: bool = False) -> None:
        with self._pdf.local_context(draw_color=color, line_width=width):
            if is_dashed:
                self._pdf.set_dash_pattern(dash=3, gap=2)
            self._pdf.polyline(points)
            if is_dashed:
                self._pdf.set_dash_pattern()

    def area(self, points: Sequence[Point], color: str, *, opacity: float = 1.0) -> None:
        with self._pdf.local_context(fill_color=color, fill_opacity=opacity):
            self._pdf.polygon(points, style="F")

    def box(self, corner: Point, size: Point, color: str, *, radius: float = 0.0) -> None:
        with self._pdf.local_context(fill_color=color):
            self._pdf.rect(*corner, *size, style="F", round_corners=radius > 0, corner_radius=radius)

    def dot(self, centre: Point, radius: float, color: str) -> None:
        with self._pdf.local_context(fill_color=color):
            self._pdf.circle(*centre, radius, style="F")

    def text(
        self, at: Point, words: str, size: float, color: str = INK, *, align: Align = "left", is_bold: bool = False
    ) -> None:
        x = starts_at(at[0], width_of(words, size), align)
        how = {"text_mode": "FILL_STROKE", "line_width": size / 40, "draw_color": color} if is_bold else {}
        with self._pdf.local_context(text_color=color, font_size_pt=size, **how):
            self._pdf.text(x, at[1], words)

    def picture(self, image: Image.Image, corner: Point, size: Point, *, name: str) -> None:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=_JPEG_QUALITY)
        self._pdf.image(file, *corner, *size, alt_text=name)
