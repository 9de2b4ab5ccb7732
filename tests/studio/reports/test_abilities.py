from __future__ import annotations

from typing import Any

import pytest

from studio.reports import Ability, Work
from studio.reports.abilities import compared, measure
from tests.studio.works import reading, seen, work


def measured(works: list[Work], **days: int) -> dict[str, Ability]:
    return {ability.key: ability for ability in measure(works, **{"active_days": 1, "days": 7, **days})}


def test_a_score_is_the_mean_over_the_drawings_that_have_it() -> None:
    works = [work(reading=reading(detail=value)) for value in (20, 40, 90)]

    detail = measured([*works, work(), work(reading=reading(balance=10))])["detail"]

    assert detail.value == 50
    assert detail.works == works
    assert detail.note is None


@pytest.mark.parametrize("key", ["color", "detail", "composition", "elements", "storytelling", "persistence"])
def test_two_works_are_not_enough_for_any_value(key: str) -> None:
    works = [work(reading=seen(60), description="A fox.") for _ in range(3)]

    few = measured(works[:2])[key]

    assert few.value is None
    assert few.works == works[:2]
    assert few.note
    assert (few.note.en, few.note.zh) == ("Not enough works yet (2 of 3)", "作品还不够（2/3）")
    assert measured(works)[key].value is not None


@pytest.mark.parametrize(
    ("told", "value"),
    [
        ({"description": "word " * 50}, 50),
        ({"description": "字" * 100}, 75),
        ({"transcript": "word " * 50}, 50),
        ({"voice_s": 20.0}, 50),
        ({"description": "word " * 50, "voice_s": 1.0}, 50),
    ],
)
def test_a_story_counts_by_its_words_or_its_seconds(told: dict[str, Any], value: int) -> None:
    assert measured([work(**told) for _ in range(3)])["storytelling"].value == value


def test_works_without_a_story_do_not_make_stories_shorter() -> None:
    told = [work(description="word " * 50) for _ in range(3)]

    ability = measured([*told, work(), work()])["storytelling"]

    assert (ability.value, ability.works) == (50, told)


def test_persistence_counts_the_days_that_have_begun() -> None:
    works = [work() for _ in range(3)]

    assert measured(works, active_days=2, days=4)["persistence"].value == 50
    assert measured(works, active_days=2, days=7)["persistence"].value == 29


def test_the_earlier_value_stands_beside_the_new_one() -> None:
    now = measure([work(reading=seen(60)) for _ in range(3)], active_days=1, days=7)
    before = measure([work(reading=seen(40)) for _ in range(3)], active_days=1, days=7)

    values = {ability.key: (ability.earlier, ability.value) for ability in compared(now, before)}

    assert values["detail"] == (40, 60)
    assert values["storytelling"] == (None, None)


def test_what_two_readers_saw_is_not_compared() -> None:
    now = measure([work(reading=seen(60, by="another")) for _ in range(3)], active_days=1, days=7)
    before = measure([work(reading=seen(40)) for _ in range(3)], active_days=1, days=7)

    assert {ability.earlier for ability in compared(now, before) if ability.key == "detail"} == {None}


def test_no_value_leaves_its_scale() -> None:
    works = [work(reading=seen(100, by="x"), description="字" * 2000, voice_s=180.0) for _ in range(3)]

    assert all(0 <= (ability.value or 0) <= 100 for ability in measured(works, active_days=7, days=7).values())
