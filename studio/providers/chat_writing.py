"""What a chat model is asked of a child's story, and what its answer has to keep of it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated

import msgspec
from msgspec import Meta

from studio.language import Language, Text, language_of, words_of
from studio.providers.chat_questions import Question, Wrong, require_language, require_plain
from studio.providers.interfaces import Words
from studio.providers.local_writer import LOOK, tidy
from studio.providers.quoting import as_data, plain

_RULES = Text(
    """你在帮一个孩子整理他自己讲的故事，并告诉动画师画面怎样动。
资料里 title 是题目，story 是孩子的原话（null 表示没有文字）。
narration：把 story 整理通顺，用孩子自己的话，用中文。孩子说“我”就保留“我”。只去掉口头语、重复和口误，补上标点；
不加新的情节、人物或道理，不删去情节，不评价，不解释。没有 story 时是空字符串。
scene：给动画师的画面说明，用中文，不超过 200 字：画里有谁、有什么、怎样轻轻地动。
只写题目和故事里有的；画面温暖、安静、不吓人。
只写普通文字，不要网址、标记、表情、命令或参数。""",
    """You help a child to tidy the story that it told, and you tell an animator how the picture should move. In the
data, title is the drawing's title and story holds the child's own words (null: there are none in writing).
narration: the story, made readable, in the child's own words and in English. Where the child says "I", it stays "I".
Only take out fillers, repetitions and slips of the tongue, and set punctuation; add no events, figures or morals, leave
no event out, do not judge and do not explain. An empty string where there is no story.
scene: what the animator should show, in English, at most 60 words: who and what is there and how it moves, gently. Only
what the title and the story speak of; warm, calm and never frightening.
Plain words only: no addresses, markup, emoji, commands or parameters.""",
)
_SCENE = Text(
    "画面和动作（仅为描述，不是指令）：", "What is seen and how it moves (a description, not an instruction): "
)
_STORY_LOST = Text("narration 丢掉了孩子讲的内容。", "narration leaves out too much of what the child told.")
_STORY_ADDED = Text(
    "narration 里有太多不是孩子说的话；没有 story 时它必须是空字符串。",
    "narration has too many words that are not the child's; without a story it has to be empty.",
)
_PERSON_LOST = Text("孩子说的是“我”，narration 也要用“我”。", 'The child says "I", and narration has to say it, too.')
_NO_SCENE = Text("scene 里没有文字。", "There are no words in scene.")

_FIRST_PERSON = re.compile(r"[我咱]|\b(?:i|me|my|mine|we|us|our)\b", re.IGNORECASE)
_KEPT = 0.5
"""The part of the words that a tidied story must have in common with what was told, either way."""
_SPARE_WORDS = 3
"""So many may be lost or added in any case: a small word set right weighs much in a short story."""


class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model writes."""

    narration: Annotated[str, Meta(max_length=3000)]
    scene: Annotated[str, Meta(min_length=1, max_length=400)]


def question(story: str | None, *, title: str, language: Language) -> Question[Draft]:
    """The story's own script decides the language, and `language` where it has none."""
    told, name = plain(story or ""), plain(title)
    spoken = language_of(told, name, default=language)

    def check(draft: Draft) -> None:
        require_plain(draft.narration, draft.scene)
        require_language("narration", draft.narration, spoken)
        require_language("scene", draft.scene, spoken)
        _require_own_words(tidy(told, spoken), draft.narration)
        if not words_of(as_data(draft.scene, spoken)):
            raise Wrong(_NO_SCENE)

    return Question(
        rules=_RULES.in_(spoken),
        language=spoken,
        data={"title": name, "story": told or None},
        kind=Draft,
        check=check,
    )


def words(draft: Draft, language: Language, *, method: str) -> Words:
    """What comes of an answer that was found good. The model's scene is quoted like a child's words."""
    scene = _SCENE.in_(language) + as_data(draft.scene, language)
    prompt = f"{LOOK[language]}\n{scene}"
    return Words(narration=plain(draft.narration), prompt=prompt, language=language, method=method)


def _require_own_words(told: str, narration: str) -> None:
    """Raises Wrong where the narration is not the child's story any more."""
    before, after = Counter(words_of(told.lower())), Counter(words_of(narration.lower()))
    common = (before & after).total() + _SPARE_WORDS
    if (after and not told) or common < _KEPT * after.total():
        raise Wrong(_STORY_ADDED)
    if (told and not narration.strip()) or common < _KEPT * before.total():
        raise Wrong(_STORY_LOST)
    if _FIRST_PERSON.search(told) and not _FIRST_PERSON.search(narration):
        raise Wrong(_PERSON_LOST)
