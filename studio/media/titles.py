"""Words on the film: the title card, and the mark that says an AI made it."""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from pathlib import Path

import pylopdf_fonts_zh_cn as fonts
from PIL import Image, ImageDraw, ImageFilter, ImageFont

MARK = "AI 生成 / AI-generated"

_INK = (74, 58, 48)
_CREAM = (253, 249, 240)
_MOST_LINES = 3


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Noto Sans SC at a size in pixels."""
    return ImageFont.truetype(str(Path(fonts.sans_path())), size)


def readable(text: str) -> str:
    """The text without control characters, and without what the font cannot draw, such as emoji."""
    kept = "".join(
        letter if not letter.isspace() else " "
        for letter in unicodedata.normalize("NFC", text)
        if letter.isspace() or (unicodedata.category(letter)[0] not in "CM" and has_glyph(letter))
    )
    return " ".join(kept.split())


@lru_cache(maxsize=4096)
def has_glyph(letter: str) -> bool:
    face = font(32)
    missing = face.getmask("\U0010fffd")
    drawn = face.getmask(letter)
    return (drawn.size, bytes(drawn)) != (missing.size, bytes(missing))


def wrap(text: str, width: float, size: int) -> list[str]:
    """Lines no wider than `width` pixels: at spaces where there are any, between characters otherwise."""
    lines: list[str] = []
    line = ""
    for piece in _pieces(text):
        if line and font(size).getlength((line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line.rstrip()] if line.strip() else lines


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for letter in text:
        breaks = letter == " " or ord(letter) >= 0x2E80 or not pieces
        after_break = pieces and (pieces[-1].endswith(" ") or ord(pieces[-1][-1]) >= 0x2E80)
        closes = letter in "，。！？、；：”’）》…,.!?;:)"
        if pieces and (closes or pieces[-1][-1] in "“‘（《「『"):
            pieces[-1] += letter
        elif breaks and letter != " ":
            pieces.append(letter)
        elif letter == " " and pieces:
            pieces[-1] += letter
        elif after_break:
            pieces.append(letter)
        else:
            pieces[-1] += letter
    return pieces


def _fitted(text: str, width: int, height: int, largest: int) -> tuple[list[str], int]:
    """Lines and the largest font size at which they fit; a title that never fits loses its end."""
    smallest = max(14, largest // 3)
    for most_lines, least in ((1, largest * 0.6), (2, largest * 0.5), (_MOST_LINES, smallest)):
        for size in range(largest, int(least), -2):
            lines = wrap(text, width, size)
            wide = max(font(size).getlength(line) for line in lines)
            if len(lines) <= most_lines and len(lines) * size * 1.3 <= height and wide <= width:
                return lines, size
    lines = wrap(text, width, smallest)[:_MOST_LINES]
    while lines and font(smallest).getlength(lines[-1] + "…") > width:
        lines[-1] = lines[-1][:-1]
    return [*lines[:-1], lines[-1] + "…"], smallest


def card(size: tuple[int, int], drawing: Image.Image, title: str, accents: list[str]) -> Image.Image:
    """The title card: the drawing like a print on a table, its title below, underlined in its own colours (#rrggbb)."""
    width, height = size
    words = readable(title)
    sheet = backdrop(size, drawing)
    print_height = 0.58 if words else 0.76
    lay_print(
        sheet,
        drawing,
        (width / 2, height * (0.06 + print_height / 2 + (0.0 if words else 0.03))),
        (0.74 * width, print_height * height),
    )
    if words:
        _write(sheet, words, accents, top=round(height * 0.68))
    return sheet


def backdrop(size: tuple[int, int], drawing: Image.Image) -> Image.Image:
    """A calm surface in the drawing's own light: the drawing itself, far out of focus, under a veil of paper."""
    tiny = drawing.resize((24, 24), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(5))
    wash = tiny.resize(size, Image.Resampling.BICUBIC)
    return Image.blend(wash, Image.new("RGB", size, _CREAM), 0.62)


def lay_print(
    surface: Image.Image, drawing: Image.Image, centre: tuple[float, float], room: tuple[float, float]
) -> None:
    """Put the drawing on the surface as a slightly turned print with a white border and a soft shadow."""
    scale = min(room[0] / drawing.width, room[1] / drawing.height) * 0.94
    small = drawing.resize(
        (max(8, round(drawing.width * scale)), max(8, round(drawing.height * scale))), Image.Resampling.LANCZOS
    )
    border = max(6, round(min(surface.size) * 0.018))
    framed = Image.new("RGB", (small.width + 2 * border, small.height + 2 * border), (255, 255, 255))
    framed.paste(small, (border, border))
    turned = framed.convert("RGBA").rotate(1.6, Image.Resampling.BICUBIC, expand=True)
    left, top = round(centre[0] - turned.width / 2), round(centre[1] - turned.height / 2)
    shade = Image.new("L", surface.size, 0)
    shade.paste(turned.getchannel("A").point(lambda alpha: alpha * 80 // 255), (left + border // 3, top + border))
    surface.paste((70, 55, 45), mask=shade.filter(ImageFilter.GaussianBlur(border)))
    surface.paste(turned, (left, top), turned)


def _write(sheet: Image.Image, words: str, accents: list[str], *, top: int) -> None:
    width, height = sheet.size
    bottom = round(height * 0.90)
    lines, size = _fitted(words, round(width * 0.86), bottom - top, round(min(width, height) * 0.105))
    pen = ImageDraw.Draw(sheet)
    line_height = round(size * 1.3)
    y = top + max(0, (bottom - top - line_height * len(lines)) // 3)
    for line in lines:
        pen.text((width / 2, y), line, font=font(size), fill=_INK, anchor="ma", stroke_width=max(1, size // 44))
        y += line_height
    if y < bottom:
        _underline(
            pen,
            (width / 2, y + (bottom - y) * 0.35 + size * 0.12),
            max(font(size).getlength(line) for line in lines),
            accents,
        )


def _underline(pen: ImageDraw.ImageDraw, centre: tuple[float, float], width: float, accents: list[str]) -> None:
    """A row of crayon dots."""
    colours = accents or ["#e87a5d"]
    gap = max(18.0, width / 9)
    count = max(3, min(9, int(width / gap)))
    radius = max(5.0, gap * 0.11)
    for i in range(count):
        x = centre[0] + (i - (count - 1) / 2) * gap * 0.62
        y = centre[1] + (radius * 0.5 if i % 2 else -radius * 0.5)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colours[i % len(colours)])


def mark(frame: tuple[int, int]) -> tuple[Image.Image, tuple[int, int]]:
    """The mark as a transparent picture, and where its left top corner goes on a frame of this size."""
    size = max(13, round(min(frame) * 0.026))
    box = font(size).getbbox(MARK)
    pad_x, pad_y = round(size * 0.7), round(size * 0.42)
    width, height = round(box[2] - box[0]) + 2 * pad_x, round(size * 1.05) + 2 * pad_y
    scale = 4  # drawn large and scaled down, because Pillow's rounded corners are not smoothed
    pill = Image.new("L", (width * scale, height * scale), 0)
    ImageDraw.Draw(pill).rounded_rectangle((0, 0, width * scale - 1, height * scale - 1), height * scale / 2, fill=112)
    label = Image.new("RGBA", (width, height), (40, 34, 30, 0))
    label.putalpha(pill.resize((width, height), Image.Resampling.BOX))
    words = Image.new("RGBA", (width, height), (255, 255, 255, 0))
    ImageDraw.Draw(words).text((width / 2, height / 2), MARK, font=font(size), fill=(255, 255, 255, 240), anchor="mm")
    margin = round(min(frame) * 0.025)
    return Image.alpha_composite(label, words), (frame[0] - width - margin, frame[1] - height - margin)
