from __future__ import annotations

import pytest

from studio.providers.clip_prompts import for_model


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("a fox --ratio 1:1 flies", "a fox ratio 1:1 flies"),
        ("--resolution 1080p", "resolution 1080p"),
        ("a fox\n---seed 4", "a fox seed 4"),
        ("狐狸--水印 true", "狐狸 水印 true"),
        ("它飞啊飞——飞到月亮上", "它飞啊飞——飞到月亮上"),
        ("well-known, 3 -- 2 - 1", "well-known, 3 -- 2 - 1"),
    ],
)
def test_nothing_in_a_prompt_reads_like_a_parameter(said: str, sent: str) -> None:
    assert for_model(said, 1000) == sent


@pytest.mark.parametrize(
    ("said", "most", "sent"),
    [
        ("a fox flies", 11, "a fox flies"),
        ("a fox flies high", 11, "a fox flies"),
        ("a fox flies high", 13, "a fox flies"),
        ("小狐狸飞到月亮上", 5, "小狐狸飞到"),
        ("abcdefghij", 4, "abcd"),
        # A character outside of the basic plane is two units, and never half of it is kept.
        ("🦊🦊🦊", 5, "🦊🦊"),
    ],
)
def test_a_long_prompt_ends_at_a_word(said: str, most: int, sent: str) -> None:
    assert for_model(said, most) == sent


@pytest.mark.parametrize(
    ("said", "most", "sent"),
    [
        ("孩子说：「小狐狸飞到月亮上」", 10, "孩子说：「小狐狸飞」"),
        ('Story: "the fox flew far away"', 20, 'Story: "the fox"'),
        ("他说：「妈妈说“回家吃饭”」", 11, "他说：「妈妈说“回”」"),
        ("「好」然后飞走", 5, "「好」然后"),
    ],
)
def test_a_quotation_that_is_cut_ends_with_its_mark(said: str, most: int, sent: str) -> None:
    assert for_model(said, most) == sent
