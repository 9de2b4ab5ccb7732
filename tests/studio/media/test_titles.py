from __future__ import annotations

import pytest
from PIL import Image

from studio.media import titles


def test_what_the_font_cannot_draw_is_left_out() -> None:
    assert titles.readable("小狐狸🦊 和\u200b\n红气球\x00 \U0001f388") == "小狐狸 和 红气球"


def test_chinese_breaks_between_characters_and_punctuation_stays_behind() -> None:
    lines = titles.wrap("一二三四五，六七八", titles.font(40).getlength("一二三四五") + 1, 40)
    assert lines == ["一二三四", "五，六七八"]


def test_english_breaks_at_spaces() -> None:
    assert titles.wrap("the little fox", titles.font(40).getlength("the little") + 1, 40) == ["the little", "fox"]


@pytest.mark.parametrize("title", ["", "🦊🎈", "小狐狸", "很长的题目" * 60, "Donaudampfschifffahrt" * 9, "a " * 300])
@pytest.mark.parametrize("size", [(1280, 720), (720, 1280)])
def test_every_title_makes_a_card(title: str, size: tuple[int, int]) -> None:
    card = titles.card(size, Image.new("RGB", (200, 150), "white"), title, [])
    assert card.size == size


def test_a_card_with_words_has_ink_below_the_drawing() -> None:
    drawing = Image.new("RGB", (200, 150), "white")
    for title, written in (("小狐狸", True), ("", False)):
        below = titles.card((1280, 720), drawing, title, []).crop((200, 500, 1080, 640)).convert("L")
        assert (min(below.tobytes()) < 120) is written
