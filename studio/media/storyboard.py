"""A storyboard card: a small landscape in calm colours, and below it what the scene is about."""

from __future__ import annotations

import hashlib
import math

from PIL import Image, ImageDraw

from studio.language import Language
from studio.media import titles

_SCALE = 2
"""Drawn larger and scaled down: Pillow does not smooth the edges of what it draws."""
_PAPER = (253, 249, 240)
_INK = (74, 58, 48)
_FAINT = (150, 134, 118)
_SKIES = ((214, 232, 240), (244, 226, 208), (226, 224, 242), (216, 236, 222))
_SUNS = ((244, 196, 110), (240, 160, 130), (250, 220, 150))
_HILLS = ((150, 184, 150), (168, 176, 204), (206, 176, 150), (134, 176, 184))
_HEADINGS: dict[Language, str] = {"zh": "分镜草图", "en": "Storyboard sketch"}


def card(size: tuple[int, int], caption: str, language: Language) -> Image.Image:
    """The card, `size` in pixels. The same words always give the same card."""
    width, height = size
    side = min(size)
    margin = round(side * 0.06)
    sheet = Image.new("RGB", size, _PAPER)
    panel = (width - 2 * margin, round(height * 0.56))
    sheet.paste(_landscape(panel, caption), (margin, margin))
    pen = ImageDraw.Draw(sheet)
    pen.rectangle(
        (margin, margin, margin + panel[0] - 1, margin + panel[1] - 1), outline=_INK, width=max(2, side // 250)
    )
    top = margin + panel[1] + margin // 2
    small = max(12, side // 36)
    pen.text((margin, top), _HEADINGS[language], font=titles.font(small), fill=_FAINT)
    _write(pen, titles.readable(caption), (margin, top + round(small * 1.8), width - margin, height - margin // 2))
    return sheet


def _landscape(size: tuple[int, int], words: str) -> Image.Image:
    """A sky with a sun and three rows of hills, chosen by the words."""
    chance = hashlib.sha256(words.encode()).digest()
    width, height = size[0] * _SCALE, size[1] * _SCALE
    picture = Image.new("RGB", (width, height), _SKIES[chance[0] % len(_SKIES)])
    pen = ImageDraw.Draw(picture)
    x, y, radius = width * (0.2 + 0.6 * chance[1] / 255), height * (0.2 + 0.2 * chance[2] / 255), height * 0.11
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_SUNS[chance[3] % len(_SUNS)])
    for row in range(3):
        hills = _HILLS[(chance[4] + row) % len(_HILLS)]
        base, swing = height * (0.58 + 0.14 * row), height * (0.05 + 0.06 * chance[5 + row] / 255)
        turns, start = 1.0 + chance[8 + row] / 128, chance[11 + row] / 40
        line = [
            (step * width / 96, base - swing * math.sin(start + turns * math.tau * step / 96)) for step in range(97)
        ]
        pen.polygon([(0, height), *line, (width, height)], fill=hills)
    return picture.resize(size, Image.Resampling.LANCZOS)


def _write(pen: ImageDraw.ImageDraw, words: str, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    lines, size = _fitted(words, right - left, bottom - top)
    for number, line in enumerate(lines):
        pen.text((left, top + round(number * size * 1.4)), line, font=titles.font(size), fill=_INK)


def _fitted(words: str, width: int, height: int) -> tuple[list[str], int]:
    """Lines and the largest size of letters at which they fit; words that never fit lose their end."""
    smallest = 14
    size = max(smallest, height // 5)
    while True:
        lines = titles.wrap(words, width, size)
        room = max(1, int(height / (size * 1.4)))
        fits = len(lines) <= room and all(titles.font(size).getlength(line) <= width for line in lines)
        if fits or size <= smallest:
            break
        size = max(smallest, size - 2)
    if len(lines) > room:
        lines = [*lines[: room - 1], lines[room - 1][:-1] + "…"]
    return lines, size
