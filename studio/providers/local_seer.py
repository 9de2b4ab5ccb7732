"""The seer that needs no service: it measures the pixels of a drawing and describes them, warmly, without judging."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from studio.language import Language
from studio.media import images, palette, paper, places
from studio.media.palette import NAMES, Colour
from studio.media.paper import Sheet
from studio.media.places import Place
from studio.objects import ObjectStore
from studio.providers.interfaces import PaidCall, Reading, Region, Score, Swatch
from studio.settings import Settings

METHOD = "pixels"

Both = dict[Language, str]

_MOST_SWATCHES = 7
_WARM = {"red", "orange", "yellow", "pink", "brown"}
_COOL = {"green", "teal", "sky blue", "blue", "purple"}


class LocalSeer:
    """Reads paper, colours, shapes and balance from a drawing."""

    name = "local"
    is_free = True
    repeats_safely = True

    def __init__(self, settings: Settings, _objects: ObjectStore) -> None:
        self._max_pixels = settings.image_max_pixels

    def read(self, drawing: Path, *, story: str | None, call: PaidCall | None = None) -> Reading:
        """Describe a drawing. Raises StudioError("IMAGE_UNREADABLE")."""
        with images.upright(drawing, at_least=2 * paper.SIDE, max_pixels=self._max_pixels) as picture:
            sheet = paper.read(picture)
        colours = palette.leading(sheet.even, sheet.ink)[:_MOST_SWATCHES]
        found = places.find(sheet)
        return Reading(
            summary=_summary(sheet, colours, found, story),
            tags=_tags(sheet, colours, found),
            palette=[Swatch(c.color, dict(NAMES[c.index]), round(c.share, 4)) for c in colours],
            regions=[_region(place) for place in found],
            scores=_scores(sheet, colours),
            coverage=round(sheet.coverage, 4),
            method=METHOD,
        )


def _region(place: Place) -> Region:
    where, colour = _where(place), NAMES[place.colour.index]
    label: Both = {"zh": f"{where['zh']}的{colour['zh']}部分", "en": f"{colour['en']} part {where['en']}"}
    return Region(place.box, label, place.colour.color, round(place.share, 4))


def _where(place: Place) -> Both:
    left, top, width, height = place.box
    x, y = left + width / 2, top + height / 2
    if width > 0.8 and height < 0.4:
        return {"zh": "横贯画面", "en": "across the whole width"}
    column = 0 if x < 0.36 else 2 if x > 0.64 else 1
    row = 0 if y < 0.36 else 2 if y > 0.64 else 1
    zh = (("左上方", "上方", "右上方"), ("左边", "中间", "右边"), ("左下方", "下方", "右下方"))
    en = (
        ("at the upper left", "at the top", "at the upper right"),
        ("on the left", "in the middle", "on the right"),
        ("at the lower left", "at the bottom", "at the lower right"),
    )
    return {"zh": zh[row][column], "en": en[row][column]}


def _scores(sheet: Sheet, colours: list[Colour]) -> dict[str, Score]:
    return {
        "color_variety": Score(
            _variety(colours),
            {"zh": "色彩丰富度", "en": "Colour variety"},
            {
                "zh": "画中用到的颜色种类和各自面积的均匀程度（信息熵）。",
                "en": "How many named colours there are and how evenly they share the drawn area (entropy).",
            },
        ),
        "coverage": Score(
            _percent(sheet.coverage),
            {"zh": "画面覆盖", "en": "Coverage"},
            {"zh": "有笔迹的面积占纸面的百分比。", "en": "Drawn area as a percentage of the paper."},
        ),
        "detail": Score(
            _detail(sheet),
            {"zh": "线条细节", "en": "Detail"},
            {
                "zh": "笔迹轮廓的长度与纸张边长的比较。",
                "en": "Length of the outlines of strokes compared with the sides of the paper.",
            },
        ),
        "balance": Score(
            _balance(sheet),
            {"zh": "构图均衡", "en": "Balance"},
            {
                "zh": "笔迹重心离画面中心的远近，越近数值越大。",
                "en": "How near the centre of what is drawn lies to the centre of the paper.",
            },
        ),
    }


def _variety(colours: list[Colour]) -> int:
    shares = np.array([colour.share for colour in colours if colour.share > 0])
    if len(shares) < 2:
        return 10 * len(shares)
    shares = shares / shares.sum()
    entropy = float(-(shares * np.log2(shares)).sum())
    seven_equal_colours = float(np.log2(_MOST_SWATCHES))
    return _percent(entropy / seven_equal_colours)


def _detail(sheet: Sheet) -> int:
    ink = sheet.ink
    outline = int((ink[1:] != ink[:-1]).sum() + (ink[:, 1:] != ink[:, :-1]).sum())
    around = 2 * sum(ink.shape)
    # Half of the scale is reached by outlines as long as eight times around the sheet.
    return _percent(1 - 2 ** (-outline / (8 * around)))


def _balance(sheet: Sheet) -> int:
    rows, columns = np.nonzero(sheet.ink)
    if not len(rows):
        return 0
    height, width = sheet.ink.shape
    dx, dy = columns.mean() / (width - 1) - 0.5, rows.mean() / (height - 1) - 0.5
    return _percent(1 - 2 * float(np.hypot(dx, dy)))


def _percent(fraction: float) -> int:
    return round(100 * min(1.0, max(0.0, fraction)))


def _tags(sheet: Sheet, colours: list[Colour], found: list[Place]) -> list[Both]:
    names = {NAMES[colour.index]["en"]: colour.share for colour in colours}
    warm = sum(share for name, share in names.items() if name in _WARM)
    cool = sum(share for name, share in names.items() if name in _COOL)
    rules: tuple[tuple[bool, str, str], ...] = (
        (len(colours) >= 5, "色彩丰富", "many colours"),
        (1 <= len(colours) <= 2, "色彩简洁", "few colours"),
        (warm > 1.6 * cool and warm > 0.3, "暖色调", "warm colours"),
        (cool > 1.6 * warm and cool > 0.3, "冷色调", "cool colours"),
        (0 < sheet.coverage < 0.12, "线条画", "line drawing"),
        (sheet.coverage > 0.45, "画得满满的", "filled page"),
        (0.12 <= sheet.coverage <= 0.45, "有留白", "open space"),
        (len(found) == 1, "一个主角", "one main figure"),
        (len(found) >= 4, "多个元素", "several elements"),
    )
    tags: list[Both] = [{"zh": zh, "en": en} for holds, zh, en in rules if holds]
    if colours and colours[0].share > 0.4:
        name = NAMES[colours[0].index]
        tags.append({"zh": f"{name['zh']}为主", "en": f"mostly {name['en']}"})
    return tags


def _summary(sheet: Sheet, colours: list[Colour], found: list[Place], story: str | None) -> Both:
    if not found:
        return {
            "zh": "纸面上还很安静，笔迹很轻，或者留给想象的空间很多。" + _told(story)["zh"],
            "en": "The paper is still quiet: the strokes are light, or much is left to the imagination."
            + _told(story)["en"],
        }
    percent = max(1, round(100 * sheet.coverage))
    zh_names = "、".join(NAMES[colour.index]["zh"] for colour in colours[:3])
    main = max(found, key=_prominence)
    place = _where(main)
    zh = (
        f"这幅画主要用了{zh_names}，笔迹约占纸面的 {percent}%。"
        f"最显眼的是{place['zh']}的{NAMES[main.colour.index]['zh']}部分"
    )
    en = (
        f"This drawing is mostly in {_listed([NAMES[colour.index]['en'] for colour in colours[:3]])}, "
        f"and about {percent}% of the paper is drawn on. "
        f"What catches the eye first is the {NAMES[main.colour.index]['en']} part {place['en']}"
    )
    if len(found) > 1:
        zh += f"，周围还有 {len(found) - 1} 处值得慢慢看。"
        en += f", with {len(found) - 1} more {'place' if len(found) == 2 else 'places'} to linger on."
    else:
        zh += "，周围留出了安静的空白。"
        en += ", with quiet space around it."
    return {"zh": zh + _told(story)["zh"], "en": en + _told(story)["en"]}


def _prominence(place: Place) -> float:
    """Large and near the middle; a whole meadow is large and yet not what the drawing is about."""
    left, top, width, height = place.box
    off_centre = abs(left + width / 2 - 0.5) + abs(top + height / 2 - 0.5)
    return place.share * (1 - 0.8 * off_centre) * (0.3 if width > 0.8 or height > 0.9 else 1.0)


def _told(story: str | None) -> Both:
    """That there is a story, and how long. Its words are the child's own and stay out."""
    if not story or not story.strip():
        return {"zh": "", "en": ""}
    characters = len(re.findall(r"[\u3400-\u9fff]", story))
    words = len(re.findall(r"[^\W\d_\u3400-\u9fff]+(?:'[a-z]+)?", story))
    unit_zh, unit_en = ("字", "character") if characters else ("词", "word")
    count = characters or words
    return {
        "zh": f"它和一个 {count} 个{unit_zh}的故事一起讲了出来。",
        "en": f" It was told together with a story of {count} {unit_en}{'' if count == 1 else 's'}.",
    }


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
