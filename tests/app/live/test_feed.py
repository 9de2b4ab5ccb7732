from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from app.live.feed import KEPT, Feed
from app.live.news import News
from studio.events import Event
from studio.language import Language


def news(seq: int) -> News:
    return News(Event(owner="o", seq=seq, type="job", job_id="j", data={}, at=datetime.now(UTC)))


def numbers(found: list[News] | None) -> list[int] | None:
    return None if found is None else [one.event.seq for one in found]


def test_a_feed_tells_what_follows_a_number_as_far_back_as_it_reaches() -> None:
    feed = Feed("o")
    feed.begin(7)
    assert numbers(feed.after(7)) == []
    assert all(feed.take(news(seq)) for seq in (8, 9, 10))
    assert numbers(feed.after(7)) == [8, 9, 10]
    assert numbers(feed.after(9)) == [10]
    assert numbers(feed.after(6)) is None


def test_an_event_that_is_known_is_no_news_and_a_gap_is_noticed() -> None:
    feed = Feed("o")
    feed.begin(7)
    assert feed.take(news(8))
    assert feed.take(news(8))
    assert feed.take(news(3))
    assert not feed.take(news(10))
    assert numbers(feed.after(7)) == [8]


def test_an_event_that_comes_before_the_counter_was_read_says_where_the_log_ends() -> None:
    feed = Feed("o")
    assert feed.take(news(8))
    feed.begin(12)  # read meanwhile: the events up to it are still on their way
    assert (feed.floor, feed.newest) == (7, 8)
    assert all(feed.take(news(seq)) for seq in range(9, 13))
    assert numbers(feed.after(7)) == [8, 9, 10, 11, 12]


def test_a_feed_keeps_so_many_events_and_no_more() -> None:
    feed = Feed("o")
    feed.begin(0)
    for seq in range(1, KEPT + 11):
        feed.take(news(seq))
    assert (feed.floor, feed.newest) == (10, KEPT + 10)
    assert numbers(feed.after(9)) is None
    assert numbers(feed.after(10)) == list(range(11, KEPT + 11))


def test_whoever_waits_is_woken_by_the_next_event_and_by_the_end() -> None:
    async def scenario() -> None:
        feed = Feed("o")
        feed.begin(0)
        for wake in (lambda: feed.take(news(1)), feed.end):
            changed = feed.changed
            waiting = asyncio.create_task(changed.wait())
            await asyncio.sleep(0)
            assert not waiting.done()
            wake()
            await asyncio.wait_for(waiting, 60)

    asyncio.run(scenario())


@pytest.mark.parametrize("watchers", [1, 50])
def test_an_event_is_written_once_for_each_form_and_language(watchers: int) -> None:
    written = []

    def form(event: Event, language: Language) -> bytes:
        written.append(language)
        return language.encode()

    one = news(1)
    languages: list[Language] = ["zh", "en"]
    for _ in range(watchers):
        assert [one.written(form, language) for language in languages] == [b"zh", b"en"]
    assert written == languages
