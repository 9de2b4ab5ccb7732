"""The two languages of the product. Whatever people read exists in both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Language = Literal["zh", "en"]

_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W\d_\u3400-\u9fff\uf900-\ufaff]+(?:['’][a-z]+)?")


@dataclass(frozen=True, slots=True)
class Text:
    zh: str
    en: str

    def in_(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


def language_of(*texts: str | None, default: Language = "en") -> Language:
    """The language of the first text that has letters: Chinese where there is a Han character, English otherwise."""
    for text in texts:
        if text and _LETTER.search(text):
            return "zh" if _HAN.search(text) else "en"
    return default


def words_of(text: str) -> list[str]:
    """The words that people would count: each Han character is one, and so is each word of other letters."""
    return _WORD.findall(text)


def count_words(text: str) -> int:
    """How many words people would count."""
    return len(words_of(text))


def counted(count: int, one: str) -> str:
    """An English noun with its number: "1 work", "2 works", "0 stories"."""
    many = f"{one[:-1]}ies" if one.endswith("y") and one[-2] not in "aeiou" else f"{one}s"
    return f"{count} {one if count == 1 else many}"
