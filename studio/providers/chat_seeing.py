"""What a chat model is asked of a drawing, and what it may answer: what is seen, never what anybody thinks of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from studio.language import Language, Text, language_of
from studio.providers.cards import PictureLimits
from studio.providers.chat_questions import Question, Wrong, require_language, require_plain
from studio.providers.interfaces import Reading, Region
from studio.providers.quoting import plain

PICTURE = PictureLimits(max_bytes=1_100_000, least_side=32, most_side=1280, least_ratio=0.2, most_ratio=5.0)
"""Small enough for all services: less than 1.5 MB in base64, and no more pixels than they look at."""

_RULES = Text(
    """你在为家长描述一幅孩子的画。图片是这幅画；资料里 story 是孩子讲的故事（可能是 null），regions 是画里显眼的部分，
各有 number、位置（left、top、width、height，占画面的百分比）和颜色。
summary：一两句话，说画里看得见什么、怎样安排、用了哪些颜色，温和而具体。
tags：1 到 6 个短语，说最显眼的东西。
labels：每个 region 正好一个，number 相同，用几个字说它看起来像什么；不能确定就说颜色和形状。
每处都要有 zh（中文）和 en（英文），意思相同。只描述看得见的：不诊断，不猜测孩子的性格、情绪、能力或健康，
不打分，不比较，不排名，不提建议，不复述故事。只写普通文字，不要网址、标记、表情或命令。""",
    """You describe a child's drawing to its parents. The picture is the drawing; in the data, story is what the child
told about it (or null), and regions are the parts that stand out, each with a number, a place (left, top, width and
height in percent of the picture) and a colour.
summary: a sentence or two on what can be seen, how it is arranged and in which colours, kindly and concretely.
tags: 1 to 6 short phrases for what strikes the eye.
labels: exactly one for each region, with its number: in a few words, what it looks like; its colour and shape where
that is not sure.
Everything in both zh (Chinese) and en (English), meaning the same. Only describe what is seen: do not diagnose, do not
guess at the child's character, feelings, abilities or health, give no marks, compare or rank nothing, advise nothing,
and do not retell the story. Plain words only: no addresses, markup, emoji or commands.""",
)
_JUDGING = Text(
    "只能描述画面，不能诊断、评分或比较。", "It may only describe what is seen, and never diagnose, mark or compare."
)
_LABELS = Text("labels 必须正好有这些 number，各一次：{0}。", "labels must have exactly these numbers, each once: {0}.")

# Words of clinics and of school marks. None of them is needed to say what is in a drawing.
_JUDGES = re.compile(
    r"诊断|障碍|自闭|孤独症|抑郁|焦虑|多动|症状|迟缓|智力|智商|创伤|心理|病理|缺陷|治疗|打分|评分|得分|满分|名次|同龄|优于|落后|"
    r"\b(?:diagnos\w*|disorders?|autis\w*|depressi\w*|depressed|anxiet\w*|adhd|hyperactiv\w*|symptoms?|patholog\w*|"
    r"psycholog\w*|intelligen\w*|iq|trauma\w*|therap\w*|delayed|disabilit\w*|scores?|percentile|rank(?:s|ed|ing)?|"
    r"(?:better|worse) than|(?:his|her|their|its) age)\b",
    re.IGNORECASE,
)


class Sentences(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    zh: Annotated[str, Meta(min_length=1, max_length=300)]
    en: Annotated[str, Meta(min_length=1, max_length=600)]


class Phrase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    zh: Annotated[str, Meta(min_length=1, max_length=30)]
    en: Annotated[str, Meta(min_length=1, max_length=60)]


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: Annotated[int, Meta(ge=1, le=8)]
    """Of the region, from 1 on."""
    zh: Annotated[str, Meta(min_length=1, max_length=30)]
    en: Annotated[str, Meta(min_length=1, max_length=60)]


class Sight(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model sees."""

    summary: Sentences
    tags: Annotated[list[Phrase], Meta(min_length=1, max_length=6)]
    labels: Annotated[list[Label], Meta(max_length=8)]


def question(pixels: Reading, picture: bytes, *, story: str | None) -> Question[Sight]:
    """About a drawing that was measured before. `picture` is a JPEG of it."""
    told = plain(story or "")
    language = language_of(told, default="zh")
    numbers = list(range(1, len(pixels.regions) + 1))

    def check(sight: Sight) -> None:
        for both in _pairs(sight):
            require_plain(both.zh, both.en)
            require_language("zh", both.zh, "zh")
            require_language("en", both.en, "en")
            if _JUDGES.search(f"{both.zh} {both.en}"):
                raise Wrong(_JUDGING)
        if sorted(label.number for label in sight.labels) != numbers:
            wanted = ", ".join(map(str, numbers)) or "–"
            raise Wrong(Text(_LABELS.zh.format(wanted), _LABELS.en.format(wanted)))

    return Question(
        rules=_RULES.in_(language),
        language=language,
        data={"story": told or None, "regions": list(map(_region, numbers, pixels.regions))},
        kind=Sight,
        check=check,
        picture=picture,
    )


def reading(pixels: Reading, sight: Sight, *, method: str) -> Reading:
    """What was measured, in the words of an answer that was found good."""
    labels = {label.number: label for label in sight.labels}
    regions = [
        msgspec.structs.replace(region, label=_both(labels[number])) for number, region in enumerate(pixels.regions, 1)
    ]
    return msgspec.structs.replace(
        pixels, summary=_both(sight.summary), tags=[_both(tag) for tag in sight.tags], regions=regions, method=method
    )


def _pairs(sight: Sight) -> Iterator[Sentences | Phrase | Label]:
    yield sight.summary
    yield from sight.tags
    yield from sight.labels


def _both(words: Sentences | Phrase | Label) -> dict[Language, str]:
    return {"zh": plain(words.zh), "en": plain(words.en)}


def _region(number: int, region: Region) -> dict[str, Any]:
    left, top, width, height = (round(100 * part) for part in region.box)
    place = {"left": left, "top": top, "width": width, "height": height}
    return {"number": number, **place, "color": region.color}
