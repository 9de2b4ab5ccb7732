from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import dramatiq
import pytest
from dramatiq.errors import ConnectionError as BrokerConnectionError
from dramatiq.middleware import CurrentMessage
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

from app.stack import Servers
from broker import MongoBroker
from broker import schedules as module
from broker.schedules import Schedule, Scheduler, Schedules, list_schedules
from tests.broker.conftest import MakeBroker, StartWorker
from tests.broker.faults import FAULTY, FailCommand
from tests.broker.queues import Queue, message, profiled
from tests.waiting import eventually

HOUR = timedelta(hours=1)
YEARLY = "0 0 1 1 *"


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone(UTC)


def cron_of(moment: datetime) -> str:
    """Once a day, at this minute."""
    return f"{moment.minute} {moment.hour} * * *"


def sent(queue: Queue) -> list[str]:
    """The ticks of the messages that are stored."""
    return sorted(document["msg"]["options"]["tick"] for document in queue.collection.find())


def server_time(database: Database[Any]) -> datetime:
    told: datetime = database.client.admin.command("hello")["localTime"]
    return told.replace(tzinfo=UTC)


@pytest.fixture
def now(database: Database[Any]) -> datetime:
    """The server's clock."""
    return server_time(database)


@pytest.fixture
def scheduler(broker: MongoBroker) -> Callable[..., Scheduler]:
    """Makes one that looks only when it is told to. `decided` is what an earlier worker has decided up to."""

    def make(*schedules: Schedule, decided: datetime | None = None, on: MongoBroker = broker) -> Scheduler:
        made = Scheduler(on, schedules)
        made._declare()
        if decided:
            made._collection.update_many({}, {"$set": {"decided": decided}})
        return made

    return make


def missed(schedule: Schedule, since: datetime, now: datetime) -> str | None:
    tick = schedule.due_tick(decided=since, now=now)
    return tick.isoformat() if tick else None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"cron": "0 3 * *"}, "'0 3 \\* \\*' is no cron expression: Wrong number of fields"),
        ({"cron": "61 * * * *"}, "Bad minute"),
        ({"cron": "0 0 30 2 *"}, "Bad day-of-month"),
        ({"cron": "@daily"}, "no cron expression"),
        ({"timezone": "Mars/Olympus"}, "'Mars/Olympus' is no time zone"),
        ({"timezone": ""}, "no time zone"),
        ({"timezone": "../../etc/passwd"}, "no time zone"),
        ({"grace_s": 0}, "grace_s"),
        ({"args": (1,)}, "own arguments"),
        ({"send": message("note", object())}, "JSON"),
        ({"send": print}, "message_with_options"),
        ({"name": ""}, "needs a name"),
    ],
)
def test_schedule_that_makes_no_sense_is_refused_at_its_declaration(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        Schedule(**{"name": "nightly", "cron": "0 3 * * *", "send": message(), **wrong})
    assert "name" in wrong or "nightly" in str(refused.value)


def test_two_schedules_of_one_name_are_refused() -> None:
    twice = [Schedule("nightly", cron, message()) for cron in ("0 3 * * *", "0 4 * * *")]
    with pytest.raises(ValueError, match="nightly"):
        Schedules(twice)


def test_newest_missed_tick_is_due_and_the_older_ones_are_skipped() -> None:
    hourly = Schedule("hourly", "0 * * * *", message())
    assert missed(hourly, at("2026-11-19T07:00Z"), at("2026-11-22T09:20Z")) == "2026-11-22T09:00:00+00:00"
    assert missed(hourly, at("2026-11-22T09:00Z"), at("2026-11-22T09:59:59.9Z")) is None


def test_tick_that_was_missed_for_longer_than_the_grace_is_skipped() -> None:
    nightly = Schedule("nightly", "0 3 * * *", message(), grace_s=600)
    assert missed(nightly, at("2026-11-19T03:00Z"), at("2026-11-22T03:10Z")) is None
    assert missed(nightly, at("2026-11-19T03:00Z"), at("2026-11-22T03:09:59Z")) == "2026-11-22T03:00:00+00:00"


def test_schedule_is_read_in_its_time_zone() -> None:
    nightly = Schedule("nightly", "0 3 * * *", message(), timezone="Asia/Shanghai")
    assert nightly.next_tick(after=at("2026-11-22T00:00Z")) == at("2026-11-22T19:00Z")


@pytest.mark.parametrize(
    ("cron", "start", "ticks"),
    [
        # 2:30 does not exist on the day in spring, and exists twice on the day in autumn.
        ("30 2 * * *", "2026-03-28T02:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]),
        ("10,30 2 * * *", "2026-03-29T00:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:10Z"]),
        ("30 2 * * *", "2026-10-24T12:00Z", ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]),
        # Looked at again between its two times.
        ("30 2 * * *", "2026-10-25T00:30Z", ["2026-10-26T01:30Z"]),
        ("30 2 * * *", "2026-10-25T01:10Z", ["2026-10-26T01:30Z"]),
        ("30 * * * *", "2026-10-25T00:00Z", ["2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-25T02:30Z"]),
        ("30 * * * *", "2026-03-29T00:00Z", ["2026-03-29T00:30Z", "2026-03-29T01:30Z"]),
    ],
)
def test_ticks_when_the_clocks_change(cron: str, start: str, ticks: list[str]) -> None:
    berlin = Schedule("berlin", cron, message(), timezone="Europe/Berlin")
    after, found = at(start), []
    for _ in ticks:
        after = berlin.next_tick(after=after)
        found.append(after)
    assert found == list(map(at, ticks))


def test_looks_in_any_rhythm_find_the_same_ticks_over_a_change_of_clocks() -> None:
    for cron in ("30 2 * * *", "15 * * * *", "*/20 1-3 * * *"):
        schedule = Schedule("any", cron, message(), timezone="Europe/Berlin", grace_s=7200)
        found = []
        for minutes in (1, 7, 19):
            decided, now, ticks = at("2026-10-24T20:00Z"), at("2026-10-24T20:00Z"), []
            while now < at("2026-10-26T04:00Z"):
                if tick := schedule.due_tick(decided=decided, now=now):
                    ticks.append(tick)
                    decided = tick
                now += timedelta(minutes=minutes)
            found.append(ticks)
        assert found[0] == found[1] == found[2]
        assert len(set(found[0])) == len(found[0]) > 1


def test_tick_is_sent_once_by_eight_schedulers(
    make_broker: MakeBroker, scheduler: Callable[..., Scheduler], queue: Queue, now: datetime
) -> None:
    schedules = [Schedule(name, cron_of(now - HOUR / 2), message()) for name in ("one", "two", "three")]
    rivals = []
    for _ in range(8):
        rival = make_broker()
        rival.declare_queue("default")
        rivals.append(scheduler(*schedules, on=rival, decided=now - 5 * HOUR))
    start, looked = threading.Barrier(8), list[Scheduler]()

    def look(rival: Scheduler) -> None:
        start.wait()
        rival.look()
        looked.append(rival)

    threads = [threading.Thread(target=look, args=(rival,)) for rival in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looked) == 8, "none has failed"
    assert queue.collection.count_documents({}) == 3
    assert {state.name: state.last_tick for state in list_schedules(rivals[0].broker)} == dict.fromkeys(
        ("one", "two", "three"), (now - HOUR / 2).replace(second=0, microsecond=0)
    )


@pytest.mark.parametrize("end", ["done", "dead", "expired"])
def test_tick_that_was_sent_is_not_sent_again_whatever_became_of_it(
    scheduler: Callable[..., Scheduler], queue: Queue, now: datetime, end: str
) -> None:
    half_past = scheduler(Schedule("x", cron_of(now - HOUR / 2), message()), decided=now - 5 * HOUR)
    half_past.look()
    assert queue.states() == {"QUEUED": 1}
    if end == "expired":
        queue.collection.delete_many({})
    else:
        queue.collection.update_many({}, {"$set": {"state": "DONE" if end == "done" else "REJECTED"}})
    before = queue.states()
    half_past.look()
    scheduler(*half_past.schedules).look()
    assert queue.states() == before


def test_restart_after_a_long_stop_sends_one_tick(
    scheduler: Callable[..., Scheduler], queue: Queue, now: datetime
) -> None:
    quarterly, too_late = cron_of(now - HOUR / 4), cron_of(now - 2 * HOUR)
    scheduler(
        Schedule("quarters", "*/15 * * * *", message()),
        Schedule("recent", quarterly, message()),
        Schedule("too-late", too_late, message()),
        decided=now - 100 * HOUR,
    ).look()
    names = sorted(document["msg"]["options"]["schedule"] for document in queue.collection.find())
    assert names == ["quarters", "recent"]


def test_ticks_from_before_the_declaration_are_not_sent(
    scheduler: Callable[..., Scheduler], queue: Queue, now: datetime
) -> None:
    scheduler(Schedule("x", cron_of(now - HOUR / 2), message())).look()
    assert queue.states() == {}


def test_schedule_that_is_declared_anew_begins_anew(
    scheduler: Callable[..., Scheduler], queue: Queue, now: datetime
) -> None:
    scheduler(Schedule("x", cron_of(now - HOUR / 2), message()), decided=now - 5 * HOUR)
    scheduler(Schedule("x", cron_of(now - HOUR / 4), message())).look()
    assert queue.states() == {}


@pytest.mark.parametrize("skew_s", [-300, 300])
def test_local_clock_does_not_matter(
    scheduler: Callable[..., Scheduler], queue: Queue, now: datetime, monkeypatch: pytest.MonkeyPatch, skew_s: int
) -> None:
    class Skewed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Self:
            return super().now(tz) + timedelta(seconds=skew_s)

    monkeypatch.setattr(module, "datetime", Skewed)
    monkeypatch.setattr("time.time", lambda: datetime.now(UTC).timestamp() + skew_s)
    past, future = now - timedelta(minutes=3), now + timedelta(minutes=3)
    watch = scheduler(
        Schedule("past", cron_of(past), message()),
        Schedule("future", cron_of(future), message()),
        decided=now - HOUR / 2,
    )
    assert watch.look() == 60
    assert sent(queue) == [past.replace(second=0, microsecond=0).isoformat()]
    (stored,) = queue.collection.find()
    assert abs(stored["msg"]["message_timestamp"] / 1000 - now.timestamp()) < 60


def test_tick_carries_what_the_schedule_says(broker: MongoBroker, now: datetime) -> None:
    @dramatiq.actor(broker=broker, priority=50, max_retries=7)
    def water(plant: str, *, litres: int) -> None: ...

    broker.declare_queue("garden")
    cron = cron_of(now - HOUR / 2)
    schedule = Schedule("x", cron, water, args=("fern",), kwargs={"litres": 2}, queue_name="garden", priority=3)
    watch = Scheduler(broker, [schedule])
    watch._declare()
    watch._collection.update_many({}, {"$set": {"decided": now - HOUR}})
    watch.look()
    stored = broker.database["garden"].find_one({})
    assert (stored["priority"], stored["state"]) == (3, "QUEUED")
    assert (stored["msg"]["actor_name"], stored["msg"]["queue_name"]) == ("water", "garden")
    assert (stored["msg"]["args"], stored["msg"]["kwargs"]) == (["fern"], {"litres": 2})


def test_tick_whose_send_failed_is_sent_by_the_next_look(
    scheduler: Callable[..., Scheduler], queue: Queue, now: datetime, make_broker: MakeBroker, failing: FailCommand
) -> None:
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    watch = scheduler(Schedule("x", cron_of(now - HOUR / 2), message()), decided=now - HOUR, on=broker)
    for command in ("insert", "commitTransaction"):
        with failing(command, errorCode=2), pytest.raises((PyMongoError, BrokerConnectionError)):
            watch.look()
        assert queue.states() == {}
    watch.look()
    assert queue.states() == {"QUEUED": 1}


def test_schedule_that_cannot_be_sent_does_not_keep_the_others_from_it(
    scheduler: Callable[..., Scheduler], queue: Queue, now: datetime
) -> None:
    cron = cron_of(now - HOUR / 2)
    scheduler(
        Schedule("nowhere", cron, message(queue="nowhere")), Schedule("x", cron, message()), decided=now - HOUR
    ).look()
    assert queue.states() == {"QUEUED": 1}


def test_idle_look_is_one_command_a_minute(scheduler: Callable[..., Scheduler], database: Database[Any]) -> None:
    watch = scheduler(*(Schedule(name, YEARLY, message()) for name in "abc"))
    with profiled(database) as read:
        assert watch.look() == 60
    assert len(read()) == 1


def test_schedules_that_were_dropped_are_declared_again(
    scheduler: Callable[..., Scheduler], broker: MongoBroker
) -> None:
    watch = scheduler(Schedule("x", YEARLY, message()))
    watch._collection.drop()
    watch.look()
    assert [state.name for state in list_schedules(broker)] == ["x"]


def test_list_tells_what_workers_declared(
    scheduler: Callable[..., Scheduler], broker: MongoBroker, now: datetime
) -> None:
    assert list_schedules(broker) == []
    watch = scheduler(
        Schedule("water", "0 3 * * *", message("note"), timezone="Asia/Shanghai"), Schedule("a", YEARLY, message())
    )
    watch._collection.update_one({"_id": "a"}, {"$set": {"seen_at": now - HOUR, "timezone": "Mars/Olympus"}})
    first, second = list_schedules(broker)
    assert (first.name, first.next_tick, first.is_watched) == ("a", None, False)
    assert (second.name, second.cron, second.timezone) == ("water", "0 3 * * *", "Asia/Shanghai")
    assert (second.actor_name, second.queue_name, second.last_tick) == ("note", "default", None)
    assert second.next_tick is not None
    assert now < second.next_tick <= now + 25 * HOUR
    assert second.is_watched


def test_scheduler_says_now_and_then_that_it_watches(
    scheduler: Callable[..., Scheduler], broker: MongoBroker, now: datetime
) -> None:
    watch = scheduler(Schedule("x", YEARLY, message()))
    watch._collection.update_one({}, {"$set": {"seen_at": now - HOUR}})
    watch.look()
    assert list_schedules(broker)[0].is_watched


def test_worker_sends_and_runs_ticks_and_stops_at_once(make_broker: MakeBroker, start_worker: StartWorker) -> None:
    broker = make_broker(middleware=[CurrentMessage()])
    ticks = Counter[str]()

    @dramatiq.actor(broker=broker)
    def note_tick() -> None:
        current = CurrentMessage.get_current_message()
        assert current is not None
        ticks[current.options["tick"]] += 1

    broker.add_middleware(Schedules([Schedule("s", "* * * * * *", note_tick), Schedule("y", YEARLY, note_tick)]))
    worker = start_worker(broker)
    eventually(lambda: len(ticks) >= 2)
    worker.stop()
    assert set(ticks.values()) == {1}
    assert "schedules" not in {thread.name for thread in threading.enumerate()}


def test_scheduler_outlives_a_database_that_is_away(
    make_broker: MakeBroker, queue: Queue, failing: FailCommand, caplog: pytest.LogCaptureFixture
) -> None:
    broker = make_broker(client=FAULTY)
    broker.declare_queue("default")
    watch = Scheduler(broker, [Schedule("s", "* * * * * *", message())])
    with failing("update", "find", errorCode=91):
        watch.start()
        eventually(lambda: "looking again" in caplog.text)
    eventually(queue.states)
    watch.stop()


def test_eight_processes_with_wrong_clocks_send_each_tick_once_though_one_is_killed(
    make_broker: MakeBroker, start_worker: StartWorker, servers: Servers, database: Database[Any], tmp_path: Path
) -> None:
    now = server_time(database)
    broker = make_broker(middleware=[CurrentMessage()])
    runs = Counter[str]()

    @dramatiq.actor(broker=broker)
    def note_tick() -> None:
        current = CurrentMessage.get_current_message()
        assert current is not None
        runs[current.options["tick"]] += 1

    start_worker(broker)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.broker.schedulers"],
                    stdin=subprocess.PIPE,
                    stderr=stack.enter_context((tmp_path / f"{skew_s}.log").open("wb")),
                    env={
                        **os.environ,
                        "TEST_MONGODB_URI": servers.mongodb_uri,
                        "TEST_DATABASE": database.name,
                        "TEST_SKEW_S": str(skew_s),
                        "TZ": "Asia/Tokyo" if skew_s > 0 else "America/New_York",
                    },
                )
            )
            for skew_s in (-300, -200, -100, -1, 1, 100, 200, 300)
        ]
        eventually(lambda: database.watching.count_documents({}) == 8)
        seen = len(runs)
        eventually(lambda: len(runs) >= seen + 2)
        processes[0].kill()
        seen = len(runs)
        eventually(lambda: len(runs) >= seen + 3)
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
    assert [process.returncode for process in processes] == [-9, 0, 0, 0, 0, 0, 0, 0]
    broker.join("default", timeout=30_000)
    assert set(runs.values()) == {1}
    assert now.replace(microsecond=0).isoformat() <= min(runs)
    assert datetime.fromisoformat(max(runs)) < now + timedelta(minutes=4)


@pytest.fixture
def alone(standalone: str) -> Iterator[MongoBroker]:
    with MongoClient[Any](standalone, uuidRepresentation="standard") as client:
        broker = MongoBroker(database=client[f"alone_{secrets.token_hex(4)}"], middleware=[])
        broker.declare_queue("default")
        yield broker
        broker.close()


def test_tick_is_sent_once_without_transactions_too(alone: MongoBroker) -> None:
    now = server_time(alone.database)
    queue = Queue(alone.database["default"])
    schedule = Schedule("x", cron_of(now - HOUR / 2), message("note", 7), priority=4)
    rivals = [Scheduler(alone, [schedule]) for _ in range(2)]
    rivals[0]._declare()
    decided = {"$set": {"decided": now - HOUR}}
    rivals[0]._collection.update_many({}, decided)
    rivals[0].look()
    (stored,) = queue.collection.find()
    assert (stored["msg"]["args"], stored["priority"], stored["state"]) == ([7], 4, "QUEUED")
    queue.collection.update_many({}, {"$set": {"state": "DONE"}})
    # As if the first had been killed between its two writes.
    rivals[0]._collection.update_many({}, decided)
    rivals[1].look()
    assert queue.states() == {"DONE": 1}
    assert list_schedules(alone)[0].last_tick is not None
