"""A child's words as data: what other people said is quoted in a prompt, and can be neither its flags nor its end."""

from __future__ import annotations

import re
import unicodedata

from studio.language import Language

_QUOTES: dict[Language, tuple[str, str]] = {"zh": ("「", "」"), "en": ('"', '"')}


def plain(text: str) -> str:
    """One line without control characters or invisible direction marks."""
    kept = "".join(c if unicodedata.category(c) not in {"Cc", "Cf", "Co", "Cs"} else " " for c in text)
    return " ".join(unicodedata.normalize("NFC", kept).split())


def as_data(text: str, language: Language) -> str:
    """The words in quotation marks, without what an animation service might take for its own flags or for their end.

    Empty where nothing is left.
    """
    # Quotes and brackets first: what they hid must not become a flag when they are gone.
    text = re.sub(r"[「」『』\"“”`<>{}\[\]|\\]", " ", plain(text))
    text = re.sub(r"(?<!\S)[-–—]{1,2}[A-Za-z][\w-]*(?:[ =]\d[\w.:]*)?", " ", text)
    text = re.sub(r"-{2,}", " ", text)
    text = " ".join(text.split())
    opening, closing = _QUOTES[language]
    return f"{opening}{text}{closing}" if text else ""
