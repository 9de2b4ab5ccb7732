from __future__ import annotations

import re

import pytest

from studio.reports import Insight, Period, PeriodReport, Report
from tests.studio import works as made
from tests.studio.works import reading, seen, weeks_ago, work


def told(period: PeriodReport) -> dict[str, Insight]:
    return {insight.key: insight for insight in period.insights}


def test_an_empty_period_is_stated_and_says_nothing() -> None:
    empty, full = made.report([], [work(weeks_ago(1))]).periods

    assert (empty.works, empty.insights, empty.colours, empty.traits) == ([], [], [], [])
    assert {ability.value for ability in empty.abilities} == {None}
    assert len(empty.days) == 7
    assert full.insights


def test_days_are_counted_by_the_familys_calendar() -> None:
    works = [work(weeks_ago(0)), work(weeks_ago(0, days=1)), work(weeks_ago(0, days=1))]

    (week,) = made.report(works).periods

    assert list(week.days.values()) == [0, 0, 2, 1, 0, 0, 0]
    assert week.active_days == 2
    assert told(week)["works"].text.en == "3 works on 2 days."


def test_only_the_current_period_is_not_over() -> None:
    assert [period.is_over for period in made.report([], [], []).periods] == [False, True, True]


def test_a_claim_names_the_works_behind_it() -> None:
    red = [work(reading=reading(palette={"red": 0.6, "blue": 0.4})) for _ in range(2)]
    blue = work(reading=reading(palette={"blue": 1.0}))
    unread = work()

    (week,) = made.report([*red, blue, unread]).periods
    favourite = told(week)["favorite_color"]

    assert favourite.text.en == "Blue is used most: in 3 of 3 drawings, and 60% of what is drawn on average."
    assert favourite.works == [*red, blue]
    assert favourite.sample_size == 3
    assert [(use.name.en, round(use.share, 2)) for use in week.colours] == [("blue", 0.6), ("red", 0.4)]


def test_a_trait_is_claimed_of_the_drawings_that_have_it() -> None:
    lined = [work(reading=reading(tags=("line drawing",))) for _ in range(2)]
    other = work(reading=reading(tags=("filled page",)))

    (week,) = made.report([*lined, other]).periods

    trait = told(week)["trait"]
    assert (week.traits[0].name.en, week.traits[0].works) == ("line drawing", lined)
    assert [i.text.en for i in week.insights if i.key == "trait"] == [
        "2 of 3 drawings: line drawing.",
        "1 of 3 drawings: filled page.",
    ]
    assert trait.sample_size == 3


def test_two_drawings_have_no_favourite_colour() -> None:
    works = [work(reading=reading(palette={"red": 1.0}, tags=("warm",))) for _ in range(2)]

    (week,) = made.report(works).periods

    assert not told(week).keys() & {"favorite_color", "trait"}
    assert week.colours, "what was used is a fact of two drawings too"


def test_stories_are_counted_in_the_childs_own_words() -> None:
    works = [
        work(description="小狐狸飞呀飞。"),
        work(transcript="It's a fox that flies"),
        work(voice_s=12.4),
        work(),
    ]

    stories = told(made.report(works).periods[0])

    assert stories["stories"].text.en == "2 stories in writing: 11 words, and 6 in the longest."
    assert stories["stories"].works == works[:2]
    assert stories["voices"].text.en == "1 story told aloud, 12 seconds in all."
    assert stories["voices"].works == [works[2]]


def test_films_are_counted_among_all_works() -> None:
    filmed = work(video_asset_id="film")

    insight = told(made.report([filmed, work(), work()]).periods[0])["films"]

    assert insight.text.en == "1 of 3 works became a film."
    assert (insight.works, insight.sample_size) == ([filmed], 3)


def test_a_change_is_told_with_both_values_and_all_works() -> None:
    now = [work(reading=seen(60)) for _ in range(3)]
    before = [work(weeks_ago(1), reading=seen(48)) for _ in range(4)]

    change = told(made.report(now, before).periods[0])["change_detail"]

    assert change.text.en == "Detail measures 60; the week before it was 48."
    assert change.works == [*now, *before]
    assert change.sample_size == 7


@pytest.mark.parametrize(("then", "works_then"), [(55, 3), (20, 2)])
def test_no_change_is_told_that_is_small_or_rests_on_too_few_works(then: int, works_then: int) -> None:
    now = [work(reading=seen(60)) for _ in range(3)]
    before = [work(weeks_ago(1), reading=seen(then)) for _ in range(works_then)]

    assert "change_detail" not in told(made.report(now, before).periods[0])


def test_a_running_week_is_not_blamed_for_the_days_that_are_left() -> None:
    now = [work(weeks_ago(0)) for _ in range(3)]
    before = [work(weeks_ago(1, days=day % 4)) for day in range(4)]
    older = [work(weeks_ago(2)) for _ in range(3)]

    running, over, _ = made.report(now, before, older).periods

    assert "change_persistence" not in told(running)
    assert "change_persistence" in told(over)


def test_nothing_ranks_diagnoses_or_compares_with_others() -> None:
    everything = texts_of(full_report())

    judging = r"\b(better than|worse than|normal|average child|disorder|gifted|talent|rank|percentile|score)\b"
    assert not re.search(judging, " ".join(english for _, english in everything), re.IGNORECASE)
    assert not re.search("优秀|落后|正常|障碍|天赋|排名|超过|得分", " ".join(chinese for chinese, _ in everything))


def full_report() -> Report:
    """A report in which every kind of claim is made."""
    story = "小狐狸飞呀飞。"
    now = [
        work(
            reading=seen(70, palette={"red": 0.7, "blue": 0.3}, tags=("warm",)),
            description=story,
            voice_s=9.0,
            video_asset_id="film",
        )
        for _ in range(3)
    ]
    before = [work(weeks_ago(5), reading=seen(30), description="fox " * 80) for _ in range(3)]
    return made.report(now, before, [], period=Period.MONTH)


def texts_of(report: Report) -> list[tuple[str, str]]:
    texts = []
    for period in report.periods:
        for ability in period.abilities:
            texts += [ability.label, ability.method, *([ability.note] if ability.note else [])]
        for insight in period.insights:
            texts += [insight.text, insight.method]
    return [(text.zh, text.en) for text in texts]
