"""The plate that the camera films: the sheet on its backdrop, the figures above it, and one frame of all that."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image, ImageFilter

from studio.media import layers, paper, titles
from studio.media.camera import Box, Scene, View
from studio.media.motion import Motion, Pose
from studio.media.shapes import connected, grow

Size = tuple[int, int]

LONG_SIDE = 1280
LANDSCAPE: Size = (1280, 720)
_PIXELS = LANDSCAPE[0] * LANDSCAPE[1]
_PLATE_SCALE = 1.75
"""Plate pixels per frame pixel: what a push-in uncovers instead of blurring."""
_TALLEST = 9 / 16


@dataclass(frozen=True, slots=True)
class Actor:
    """A figure on the plate. `pictures` holds it at full and at half size, with premultiplied alpha."""

    pictures: tuple[Image.Image, Image.Image]
    left: float
    top: float
    motion: Motion

    @property
    def box(self) -> Box:
        width, height = self.pictures[0].size
        return (self.left, self.top, self.left + width, self.top + height)


@dataclass(frozen=True, slots=True)
class Stage:
    frame: Size
    plate: Image.Image
    actors: list[Actor]
    scene: Scene

    def picture(self, view: View, seconds: float, *, liveliness: float) -> Image.Image:
        """What the camera sees."""
        zoom = self.frame[0] / view.width
        left, top = view.x - view.width / 2, view.y - self.frame[1] / zoom / 2
        right, bottom = left + view.width, top + self.frame[1] / zoom
        box = (max(0.0, left), max(0.0, top), min(self.plate.width, right), min(self.plate.height, bottom))
        picture = self.plate.resize(self.frame, Image.Resampling.HAMMING, box=box)
        for actor in reversed(self.actors):
            _place(picture, actor, actor.motion.at(seconds, liveliness=liveliness), zoom, (left, top))
        return picture


def frame_size(width: int, height: int) -> Size:
    """The film's frame: 16:9 for a drawing that lies, the drawing's own shape for one that is square or stands."""
    aspect = width / height
    if aspect >= 1.15:
        return LANDSCAPE
    aspect = max(aspect, _TALLEST)
    wide = min(math.sqrt(_PIXELS * aspect), LONG_SIDE * aspect, LONG_SIDE)
    return round(wide / 2) * 2, round(wide / aspect / 2) * 2


def set_up(drawing: Image.Image, *, airborne: bool) -> Stage:
    """Build the stage for an upright drawing. `airborne`: the story has the main figure fly or swim."""
    frame = frame_size(*drawing.size)
    plate_size = (round(frame[0] * _PLATE_SCALE), round(frame[1] * _PLATE_SCALE))
    sheet_box = _sheet_box(drawing.size, plate_size)
    width, height = round(sheet_box[2] - sheet_box[0]), round(sheet_box[3] - sheet_box[1])
    fitted = drawing.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    sheet = paper.read(fitted)
    parts = layers.separate(fitted, sheet)
    plate = _lay(parts.background, plate_size, sheet_box, fitted)
    actors = [_actor(figure, i, sheet_box, airborne=airborne) for i, figure in enumerate(parts.figures)]
    focuses = tuple(actor.box for actor in actors) or _drawn_boxes(sheet, sheet_box)
    return Stage(frame, plate, actors, Scene(plate_size, sheet_box, focuses))


def _sheet_box(drawing: Size, plate: Size) -> Box:
    """Where the sheet lies on the plate: all over it when the shapes agree, else with a little air around."""
    scale = min(plate[0] / drawing[0], plate[1] / drawing[1])
    fills = max(plate[0] / drawing[0], plate[1] / drawing[1]) / scale < 1.02
    if fills:
        return (0.0, 0.0, float(plate[0]), float(plate[1]))
    scale *= 0.94
    width, height = round(drawing[0] * scale), round(drawing[1] * scale)
    left, top = (plate[0] - width) // 2, (plate[1] - height) // 2
    return (left, top, left + width, top + height)


def _lay(background: Image.Image, plate_size: Size, box: Box, drawing: Image.Image) -> Image.Image:
    left, top = round(box[0]), round(box[1])
    if (left, top) == (0, 0):
        return background.resize(plate_size) if background.size != plate_size else background
    plate = titles.backdrop(plate_size, drawing)
    shade = Image.new("L", plate_size, 0)
    shade.paste(70, (left + 6, top + 12, left + background.width + 6, top + background.height + 12))
    plate.paste((70, 55, 45), mask=shade.filter(ImageFilter.GaussianBlur(22)))
    plate.paste(background, (left, top))
    return plate


def _actor(figure: layers.Figure, index: int, sheet: Box, *, airborne: bool) -> Actor:
    left, top = sheet[0] + figure.left, sheet[1] + figure.top
    width, height = figure.image.size
    tall = sheet[3] - sheet[1]
    floats = (airborne and index == 0) or figure.top + height < 0.62 * tall
    motion = Motion(
        pivot_x=left + width / 2,
        pivot_y=top + height * (0.5 if floats else 0.97),
        # Small things drift further for their size, or nobody would notice them.
        reach=tall * (0.020 if airborne and index == 0 else 0.012),
        floats=floats,
        phase=index * 1.9,
    )
    full = figure.image.convert("RGBa")
    half = full.resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.BOX)
    return Actor((full, half), left, top, motion)


def _drawn_boxes(sheet: paper.Sheet, box: Box) -> tuple[Box, ...]:
    """The largest drawn shapes where none stands free; the whole sheet when nothing is drawn."""
    height, width = sheet.ink.shape
    ratio = (box[2] - box[0]) / width
    _, shapes = connected(grow(sheet.ink, 2))
    large = [shape for shape in shapes if 0.01 < shape.area / (height * width) < 0.6][:3]
    found = tuple(
        (box[0] + s.left * ratio, box[1] + s.top * ratio, box[0] + s.right * ratio, box[1] + s.bottom * ratio)
        for s in large
    )
    return found or (box,)


def _place(picture: Image.Image, actor: Actor, pose: Pose, zoom: float, origin: tuple[float, float]) -> None:
    """Draw a figure in its pose onto the picture, at fractions of a pixel, so that slow movements do not jump."""
    small = zoom < 0.7
    source = actor.pictures[1 if small else 0]
    ratio = source.width / actor.pictures[0].width
    cos, sin = math.cos(pose.turn) * pose.size, math.sin(pose.turn) * pose.size
    pivot_x, pivot_y = actor.motion.pivot_x, actor.motion.pivot_y

    def on_screen(x: float, y: float) -> tuple[float, float]:
        dx, dy = x - pivot_x, y - pivot_y
        moved_x = pivot_x + pose.dx + cos * dx - sin * dy
        moved_y = pivot_y + pose.dy + sin * dx + cos * dy
        return (moved_x - origin[0]) * zoom, (moved_y - origin[1]) * zoom

    left, top, right, bottom = actor.box
    corners = [on_screen(x, y) for x in (left, right) for y in (top, bottom)]
    x0 = max(0, math.floor(min(x for x, _ in corners)))
    y0 = max(0, math.floor(min(y for _, y in corners)))
    x1 = min(picture.width, math.ceil(max(x for x, _ in corners)))
    y1 = min(picture.height, math.ceil(max(y for _, y in corners)))
    if x0 >= x1 or y0 >= y1:
        return
    # Pillow asks for the way back: from a pixel of the result to a point of the source.
    back = ratio / (zoom * pose.size * pose.size)
    a, b = cos * back, sin * back
    shift_x = x0 + (origin[0] - pivot_x - pose.dx) * zoom
    shift_y = y0 + (origin[1] - pivot_y - pose.dy) * zoom
    c = a * shift_x + b * shift_y + (pivot_x - left) * ratio
    f = -b * shift_x + a * shift_y + (pivot_y - top) * ratio
    drawn = source.transform(
        (x1 - x0, y1 - y0), Image.Transform.AFFINE, (a, b, c, -b, a, f), Image.Resampling.BILINEAR
    ).convert("RGBA")
    picture.paste(drawn, (x0, y0), drawn)
