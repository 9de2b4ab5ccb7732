from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from studio.media import layers, paper, shapes


def sheet(*, draw_table: bool = False) -> Image.Image:
    """A ball on a sheet in uneven light, from nearly white down to a dull beige."""
    image = Image.new("RGB", (400, 300), "white")
    pen = ImageDraw.Draw(image)
    pen.ellipse((150, 100, 250, 200), outline=(30, 40, 160), width=6)
    light = np.linspace(1.0, 0.62, 400)[None, :, None] * np.array([1.0, 0.95, 0.86])
    pixels = np.asarray(image, np.float32) * light
    if draw_table:
        pixels[:24] = 70
    return Image.fromarray(pixels.astype(np.uint8))


def test_uneven_light_is_not_taken_for_drawing() -> None:
    ring = np.pi * (50**2 - 44**2) / (400 * 300)
    assert abs(paper.read(sheet()).coverage - ring) < 0.25 * ring


def test_the_table_around_the_sheet_is_neither_paper_nor_drawn() -> None:
    read = paper.read(sheet(draw_table=True))
    assert read.table[:20].all()
    assert not read.table[60:].any()
    assert not read.ink[:24].any()


def test_a_page_coloured_to_its_edges_is_covered() -> None:
    image = Image.new("RGB", (400, 300), (60, 140, 220))
    ImageDraw.Draw(image).rectangle((0, 200, 400, 300), fill=(60, 160, 70))
    assert paper.read(image).coverage > 0.95


def test_an_empty_page_is_empty() -> None:
    assert paper.read(Image.new("RGB", (400, 300), (240, 236, 225))).coverage == 0


def test_a_figure_comes_off_the_paper_and_the_paper_closes() -> None:
    image = sheet()
    parts = layers.separate(image, paper.read(image))
    assert len(parts.figures) == 1
    figure = parts.figures[0]
    assert abs(figure.left - 150) < 12
    assert abs(figure.top - 100) < 12
    assert abs(figure.image.width - 100) < 24
    assert paper.read(parts.background).coverage < 0.002


def test_a_figure_cut_by_the_edge_stays_in_the_background() -> None:
    image = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(image).ellipse((-40, 100, 60, 200), fill=(200, 40, 40))
    parts = layers.separate(image, paper.read(image))
    assert parts.figures == []
    assert parts.background is image


def test_touching_pixels_are_one_shape_and_others_are_not() -> None:
    mask = np.zeros((6, 8), bool)
    mask[0, 0] = mask[1, 1] = mask[2, 0] = True
    mask[4, 4:7] = True
    _, found = shapes.connected(mask)
    assert [(s.left, s.top, s.right, s.bottom, s.pixels) for s in found] == [(0, 0, 2, 3, 3), (4, 4, 7, 5, 3)]


def test_holes_are_filled() -> None:
    mask = np.ones((5, 5), bool)
    mask[2, 2] = False
    assert shapes.filled(mask).all()
