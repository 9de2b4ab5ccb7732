from __future__ import annotations

import pytest

from studio.language import count_words, counted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("小狐狸飞了。", 5),
        ("A fox flies, 3 times!", 4),
        ("It's the fox’s balloon", 4),
        ("小fox和balloon", 4),
        ("🦊 … 12 —", 0),
        ("niño größer", 2),
    ],
)
def test_words_are_counted_as_people_count_them(text: str, words: int) -> None:
    assert count_words(text) == words


def test_english_nouns_agree_with_their_number() -> None:
    assert [counted(n, "story") for n in (0, 1, 2)] == ["0 stories", "1 story", "2 stories"]
    assert [counted(n, "day") for n in (1, 2)] == ["1 day", "2 days"]
