"""What is left of a prompt on its way to an animator: no parameters in it, and no more than the model reads."""

from __future__ import annotations

import re

# Some services read parameters from the prompt itself, and a prompt holds what a child has said.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_FLAGS = re.compile(r"\s*-{2,}(?=[^\W\d_])")
_BROKEN_WORD = re.compile(r"[A-Za-z0-9'’-]+$")
_QUOTES = (("「", "」"), ("『", "』"), ("“", "”"), ('"', '"'))


def for_model(prompt: str, most_chars: int) -> str:
    """The prompt as one line, without anything that reads like a `--flag`, cut at a word where it is too long.

    Length is counted in UTF-16 units, the strictest way in which services count. What is quoted stays quoted: a
    quotation that is cut ends with its mark, so that nothing in it becomes an instruction.
    """
    plain = _FLAGS.sub(" ", _CONTROLS.sub(" ", prompt)).strip()
    if _units(plain) <= most_chars:
        return plain
    short = _first(plain, most_chars)
    # One quotation may stand in another, and each mark needs its place.
    while _units(short) + len(marks := _left_open(short)) > most_chars:
        short = _first(plain, _units(short) - 1)
    return short + marks


def _first(text: str, units: int) -> str:
    """The beginning of a text, up to the end of a word."""
    begin = text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", errors="ignore")
    following = text[len(begin) : len(begin) + 1]
    whole_words = _BROKEN_WORD.sub("", begin) if _BROKEN_WORD.match(following) else begin
    return whole_words.rstrip() or begin


def _left_open(text: str) -> str:
    """The marks that end the quotations which are open at the end of a text, the inner ones first."""
    opened: list[str] = []
    for char in text:
        if opened and char == opened[-1]:
            opened.pop()
        else:
            opened += [closing for opening, closing in _QUOTES if char == opening]
    return "".join(reversed(opened))


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
