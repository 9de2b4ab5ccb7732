"""Pictures of results: a drawing with what was read in it, and a strip of a film's frames."""

from __future__ import annotations

from pathlib import Path

import av
from PIL import Image, ImageColor, ImageDraw, ImageOps

from app.client import Json
from studio.media.titles import font

WIDTH = 1280
STRIP = 150
PAPER = "#fffdf7"
INK = "#3b3a36"
MARGIN = 24
BADGE = 16
LINE = 44
COLUMNS = 2


def draw_analysis(drawing: Path, reading: Json, target: Path) -> None:
    """The drawing with its regions framed and numbered; below it their names and the palette."""
    regions = reading["boxes"]
    with Image.open(drawing) as opened:
        picture = ImageOps.contain(opened.convert("RGB"), (WIDTH, WIDTH))
    legend = LINE * -(-len(regions) // COLUMNS) + MARGIN
    sheet = Image.new("RGB", (picture.width, picture.height + legend + STRIP), PAPER)
    sheet.paste(picture, (0, 0))
    pen = ImageDraw.Draw(sheet)
    for number, region in enumerate(regions, 1):
        left, top, width, height = region["box"]
        x, y = left * picture.width, top * picture.height
        frame = (x, y, x + width * picture.width, y + height * picture.height)
        pen.rounded_rectangle(frame, 12, outline=region["color"], width=5)
        _draw_badge(pen, number, region["color"], (int(x) + BADGE, int(y) + BADGE))
        row, column = divmod(number - 1, COLUMNS)
        place = (MARGIN + BADGE + column * sheet.width // COLUMNS, picture.height + MARGIN + BADGE + row * LINE)
        _draw_badge(pen, number, region["color"], place)
        pen.text((place[0] + 2 * BADGE, place[1]), region["label"], font=font(22), fill=INK, anchor="lm")
    _draw_palette(pen, reading["palette"], top=picture.height + legend, width=sheet.width)
    sheet.save(target)


def _draw_badge(pen: ImageDraw.ImageDraw, number: int, color: str, centre: tuple[int, int]) -> None:
    """A number in a disc. Names beside the frames themselves would cover each other, and the drawing."""
    x, y = centre
    pen.ellipse((x - BADGE, y - BADGE, x + BADGE, y + BADGE), fill=color, outline=PAPER, width=2)
    pen.text(centre, str(number), font=font(20), fill=_readable_on(color), anchor="mm")


def _draw_palette(pen: ImageDraw.ImageDraw, palette: list[Json], *, top: int, width: int) -> None:
    """One field per colour, as wide as its share, and its name where it fits."""
    total = sum(swatch["share"] for swatch in palette) or 1
    x, room, small = float(MARGIN), width - 2 * MARGIN, font(20)
    for swatch in palette:
        right = x + room * swatch["share"] / total
        pen.rectangle((x, top + MARGIN, right, top + 84), fill=swatch["color"])
        name = f"{swatch['name']} {swatch['share']:.0%}"
        if pen.textlength(name, font=small) <= right - x - 6:
            pen.text((x + 2, top + 94), name, font=small, fill=INK)
        x = right


def _readable_on(color: str) -> str:
    red, green, blue = ImageColor.getrgb(color)[:3]
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else "white"


def draw_frames(film: Path, target: Path, *, count: int) -> None:
    """Frames from the whole length of a film, side by side."""
    with av.open(film) as container:
        stream = container.streams.video[0]
        frames = [frame for number, frame in enumerate(container.decode(stream)) if number % 5 == 0]
        chosen = [frames[round((0.06 + 0.88 * i / (count - 1)) * (len(frames) - 1))] for i in range(count)]
        pictures = [Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in chosen]
    small = [ImageOps.contain(picture, (400, 400)) for picture in pictures]
    gap = 8
    strip = Image.new("RGB", (sum(one.width + gap for one in small) - gap, small[0].height), PAPER)
    x = 0
    for one in small:
        strip.paste(one, (x, 0))
        x += one.width + gap
    strip.save(target)
