from __future__ import annotations

import io
import logging
import re
from datetime import timedelta

import pytest
from PIL import Image

from studio.language import Language, Text
from studio.media.titles import MARK, has_glyph
from studio.profiles import Profile
from studio.report_pages import Pictures, draw, print_, words
from studio.reports import Period, Report
from tests.studio import works as made
from tests.studio.reports.test_report import full_report, texts_of
from tests.studio.works import NOW, seen, work

LANGUAGES: tuple[Language, ...] = ("zh", "en")


def pictures_of(report: Report) -> Pictures:
    shown = [work for period in report.periods for work in period.works]
    return {work.id: Image.new("RGB", (240, 180), "#308030") for work in shown[::2]}


def test_the_same_report_gives_the_same_bytes() -> None:
    report = full_report()

    assert draw(report, "en") == draw(report, "en")
    assert print_(report, pictures_of(report), "zh") == print_(report, pictures_of(report), "zh")


def test_the_picture_says_that_a_program_made_it() -> None:
    with Image.open(io.BytesIO(draw(full_report(), "en"))) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.info["Comment"] == MARK
        assert len(picture.getcolors(1 << 20) or []) > 20, "something is drawn"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_letter_that_is_printed_has_a_shape(language: Language, caplog: pytest.LogCaptureFixture) -> None:
    nickname = "小羊🐑é ﷽\u202e\u0007"
    profile = Profile(id="somebody", created_at=NOW, updated_at=NOW, nickname=nickname)
    report = made.report([work(title="🦊 狐狸\x00", reading=seen(50)) for _ in range(4)], [], profile=profile)

    with caplog.at_level(logging.DEBUG, logger="fpdf"):
        draw(report, language)
        print_(report, pictures_of(report), language)
        print_(full_report(), {}, language)

    assert "missing" not in caplog.text


def test_every_letter_of_our_own_words_has_a_shape() -> None:
    fixed = [value for value in vars(words).values() if isinstance(value, Text)]
    fixed += [
        text
        for value in vars(words).values()
        if isinstance(value, dict)
        for text in value.values()
        if isinstance(text, Text)
    ]
    texts = [f"{text.zh}{text.en}" for text in fixed] + ["".join(pair) for pair in texts_of(full_report())]

    assert len(texts) > 50
    assert {letter for letter in "".join(texts) if not has_glyph(letter) and letter != " "} == set()


def test_a_document_has_a_language_a_title_and_the_mark() -> None:
    profile = Profile(id="somebody", created_at=NOW, updated_at=NOW, nickname="Mia")
    content = print_(made.report([work()], profile=profile), {}, "en")

    assert content.startswith(b"%PDF-")
    assert b"/Lang (en)" in content
    assert b"/Title (Growth report for Mia)" in content
    assert b"/Subject <feff" + MARK.encode("utf-16-be").hex().encode() in content


def test_many_periods_with_many_works_stay_small() -> None:
    months = [
        [
            work(NOW - timedelta(days=31 * month), title="很长的名字" * 16, reading=seen(50), description="字" * 2000)
            for _ in range(8)
        ]
        for month in range(12)
    ]
    report = made.report(*months, period=Period.MONTH)

    content = print_(report, pictures_of(report), "zh")

    (pages,) = re.findall(rb"/Count (\d+)", content)
    assert int(pages) <= 40
    assert len(content) < 2_000_000


def test_empty_periods_take_no_page_each() -> None:
    content = print_(made.report(*[[] for _ in range(12)]), {}, "en")

    (pages,) = re.findall(rb"/Count (\d+)", content)
    assert int(pages) <= 2
