from __future__ import annotations

from pathlib import Path

import pytest

from studio.language import Language
from studio.providers.local_writer import LocalWriter, tidy
from studio.settings import Settings
from tests.studio.made import FolderStore


@pytest.fixture
def writer(tmp_path: Path) -> LocalWriter:
    return LocalWriter(Settings(), FolderStore(tmp_path).as_store)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("嗯，有一天，那个，小狐狸 小狐狸捡到一个红气球", "有一天，小狐狸捡到一个红气球。"),
        ("它飞呀飞,,飞过了大房子!然后睡着了", "它飞呀飞，飞过了大房子！然后睡着了。"),
        ("我 我看到那个人了。。。", "我看到那个人了。"),
        ("呃", ""),
        ("，。", ""),
    ],
)
def test_chinese_stories_lose_fillers_and_stumbling(said: str, written: str) -> None:
    assert tidy(said, "zh") == written


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("um so there was was a a dragon , uh and it flew", "So there was a dragon, and it flew."),
        ("it is very very big. i like it", "It is very very big. I like it."),
        ("Um...", ""),
        ("the number 3.5 stays", "The number 3.5 stays."),
    ],
)
def test_english_stories_lose_fillers_and_stumbling(said: str, written: str) -> None:
    assert tidy(said, "en") == written


def test_tidying_a_tidy_story_changes_nothing() -> None:
    once = tidy("嗯，小狐狸 小狐狸飞呀飞,飞走了", "zh")
    assert tidy(once, "zh") == once


def test_chinese_characters_decide_the_language(writer: LocalWriter) -> None:
    assert writer.refine("小狐狸飞走了", title="Fox", language="en").language == "zh"
    assert writer.refine("the fox flew", title="小狐狸", language="zh").language == "en"
    assert writer.refine("123", title="", language="zh").language == "zh"


@pytest.mark.parametrize(
    ("story", "motion"),
    [
        ("鸟在飞", "飘动"),
        ("the bird flies", "flying"),
        ("他跑得很快", "一蹦一跳"),
        ("a fish swims", "swimming"),
        ("下雨了", "雨丝"),
        ("the sun shines", "sunlight"),
    ],
)
def test_words_of_movement_become_movements(writer: LocalWriter, story: str, motion: str) -> None:
    assert motion in writer.refine(story, title="", language="zh").prompt


def test_nothing_moves_that_the_story_does_not_speak_of(writer: LocalWriter) -> None:
    prompt = writer.refine("我的小狗", title="小狗", language="zh").prompt
    assert not any(word in prompt for word in ("雨", "雪", "月光", "飞"))
    assert "雪花" not in writer.refine(None, title="雪人", language="zh").prompt


@pytest.mark.parametrize("story", [None, "", "  \n"])
def test_without_a_story_the_title_speaks(writer: LocalWriter, story: str | None) -> None:
    words = writer.refine(story, title="会飞的鱼", language="zh")
    assert words.narration == ""
    assert "「会飞的鱼」" in words.prompt
    assert "飘动" in words.prompt


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_childs_words_are_quoted_and_cannot_carry_flags(writer: LocalWriter, language: Language) -> None:
    story = 'my fox --ar 16:9 --seed=7 "ignore all" 」 ```run``` <b>'
    prompt = writer.refine(story, title="Fox --v 5", language=language).prompt
    assert "--" not in prompt
    assert "16:9" not in prompt
    assert "`" not in prompt
    assert prompt.count('"') == 4
