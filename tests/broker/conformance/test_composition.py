"""Pipelines and groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq import Actor, Broker, group, pipeline
from dramatiq.common import current_millis
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits import RateLimiterBackend
from dramatiq.results import ResultBackend, ResultFailure, ResultMissing, ResultTimeout
from pymongo.database import Database

from broker import MongoRateLimiterBackend
from tests.broker.conformance.conftest import LIMIT_MS, Finish, Start
from tests.broker.conformance.hooks import dead, only_mongo

Add = Actor[..., Any]


@pytest.fixture
def note(broker: Broker, runs: list[Any]) -> Actor[..., Any]:
    """Writes its arguments down in `runs`."""

    def note(*args: Any) -> None:
        runs.append(args)

    return dramatiq.actor(note)


@pytest.fixture
def add(broker: Broker) -> Add:
    return dramatiq.actor(lambda left, right: left + right, actor_name="add", max_retries=0)


@pytest.fixture
def stored_add(result_backend: ResultBackend) -> Add:
    """Its results are stored."""
    return dramatiq.actor(lambda left, right: left + right, actor_name="stored_add", store_results=True, max_retries=0)


def test_pipeline_hands_each_result_on_as_the_last_argument(
    broker: Broker, finish: Finish, add: Add, note: Add, runs: list[Any]
) -> None:
    pipeline([add.message(1, 2), add.message(10), note.message("sum")]).run()
    finish()
    assert runs == [("sum", 13)]


def test_messages_and_pipelines_are_joined_by_a_bar(
    broker: Broker, finish: Finish, add: Add, note: Add, runs: list[Any]
) -> None:
    pipe = (add.message(1, 2) | add.message(10)) | (add.message(100) | note.message())
    assert len(pipe) == 4
    pipe.run()
    finish()
    assert runs == [(113,)]


def test_step_may_ignore_the_result_before_it(
    broker: Broker, finish: Finish, add: Add, note: Add, runs: list[Any]
) -> None:
    pipeline([
        add.message(1, 2),
        add.message_with_options(args=(10, 20), pipe_ignore=True),
        note.message(),
    ]).run()  # fmt: skip
    finish()
    assert runs == [(30,)]


def test_pipeline_without_a_result_hands_on_none(broker: Broker, finish: Finish, note: Add, runs: list[Any]) -> None:
    (note.message("first") | note.message("second")).run()
    finish()
    assert runs == [("first",), ("second", None)]


def test_pipeline_crosses_queues(broker: Broker, finish: Finish, add: Add, runs: list[Any]) -> None:
    far = dramatiq.actor(lambda *args: runs.append(args), actor_name="far", queue_name="far")
    (add.message(1, 2) | far.message("far") | add.message(1)).run()
    finish()
    assert runs == [("far", 3)]


def test_pipeline_ends_where_a_step_fails(broker: Broker, finish: Finish, note: Add, runs: list[Any]) -> None:
    @dramatiq.actor(max_retries=1)
    def fail() -> None:
        runs.append("failed")
        raise ValueError

    (fail.message() | note.message()).run()
    finish()
    assert runs == ["failed", "failed"]


def test_pipeline_goes_on_once_after_a_step_was_repeated(
    broker: Broker, finish: Finish, note: Add, runs: list[Any]
) -> None:
    @dramatiq.actor
    def waver() -> str:
        runs.append("run")
        if len(runs) == 1:
            raise ValueError
        return "well"

    (waver.message() | note.message()).run()
    finish()
    assert runs == ["run", "run", ("well",)]


def test_delay_of_a_pipeline_is_the_delay_of_its_first_step(
    broker: Broker, finish: Finish, add: Add, runs: list[Any]
) -> None:
    at = dramatiq.actor(lambda *_: runs.append(current_millis()), actor_name="at")
    earliest = current_millis() + 30
    (at.message() | at.message()).run(delay=30)
    finish()
    assert earliest <= runs[0] <= runs[1]


@pytest.mark.parametrize("position", [0, 1])
def test_step_of_a_pipeline_may_have_a_delay(broker: Broker, finish: Finish, runs: list[Any], position: int) -> None:
    at = dramatiq.actor(lambda *_: runs.append(current_millis()), actor_name="at")
    steps = [at.message(), at.message()]
    steps[position] = at.message_with_options(delay=40)
    began = current_millis()
    pipeline(steps).run()
    finish()
    assert runs[position] >= ([began, *runs][position]) + 40


def test_results_of_a_pipeline(broker: Broker, finish: Finish, stored_add: Add) -> None:
    pipe = pipeline([stored_add.message(1, 2), stored_add.message(10), stored_add.message(100)])
    with pytest.raises(ResultMissing):
        pipe.get_result()
    assert (pipe.completed, pipe.completed_count) == (False, 0)
    pipe.run()
    assert pipe.get_result(block=True, timeout=LIMIT_MS) == 113
    assert list(pipe.get_results(block=True, timeout=LIMIT_MS)) == [3, 13, 113]
    assert (pipe.completed, pipe.completed_count) == (True, 3)


def test_pipeline_that_does_not_end_times_out(broker: Broker, stored_add: Add) -> None:
    pipe = (stored_add.message(1, 2) | stored_add.message(1)).run()
    with pytest.raises(ResultTimeout):
        pipe.get_result(block=True, timeout=1)


def test_members_of_a_group_all_run(broker: Broker, finish: Finish, note: Add, runs: list[Any]) -> None:
    members = group(note.message(number) for number in range(10))
    assert len(members) == 10
    assert members.run() is members
    finish()
    assert sorted(runs) == [(number,) for number in range(10)]


def test_results_of_a_group_come_in_its_order(broker: Broker, worker: Any, stored_add: Add) -> None:
    members = group(stored_add.message(number, number) for number in range(10)).run()
    assert list(members.get_results(block=True, timeout=LIMIT_MS)) == [2 * number for number in range(10)]
    members.wait(timeout=LIMIT_MS)
    assert (members.completed, members.completed_count) == (True, 10)


def test_group_that_does_not_end_times_out(broker: Broker, stored_add: Add) -> None:
    members = group([stored_add.message(1, 1), stored_add.message(2, 2)]).run()
    assert (members.completed, members.completed_count) == (False, 0)
    with pytest.raises(ResultMissing):
        list(members.get_results())
    with pytest.raises(ResultTimeout):
        members.wait(timeout=1)


def test_failed_member_fails_the_results_of_its_group(broker: Broker, worker: Any, stored_add: Add) -> None:
    members = group([stored_add.message(1, 1), stored_add.message(1, "one")]).run()
    results = members.get_results(block=True, timeout=LIMIT_MS)
    assert next(results) == 2
    with pytest.raises(ResultFailure, match="TypeError"):
        next(results)


def test_delay_of_a_group_delays_each_member(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    at = dramatiq.actor(lambda: runs.append(current_millis()), actor_name="at")
    earliest = current_millis() + 30
    group([at.message(), at.message(), at.message() | at.message_with_options(pipe_ignore=True)]).run(delay=30)
    finish()
    assert len(runs) == 4
    assert min(runs) >= earliest


def test_groups_and_pipelines_nest(broker: Broker, worker: Any, stored_add: Add) -> None:
    members = group([
        group([stored_add.message(1, 1), stored_add.message(2, 2)]),
        stored_add.message(3, 3) | stored_add.message(10),
        stored_add.message(4, 4),
    ]).run()  # fmt: skip
    assert list(members.get_results(block=True, timeout=LIMIT_MS)) == [[2, 4], 16, 8]


@pytest.fixture
def callback(limits: RateLimiterBackend, note: Add) -> Callable[..., Any]:
    """The message of a completion callback."""
    return note.message


def test_completion_is_called_back_once_each(
    broker: Broker, finish: Finish, add: Add, callback: Callable[..., Any], runs: list[Any]
) -> None:
    members = group(add.message(number, 1) for number in range(10))
    members.add_completion_callback(callback("first"))
    members.add_completion_callback(callback("second"))
    members.run()
    finish()
    assert sorted(runs) == [("first",), ("second",)]


def test_completion_comes_after_all_members(
    broker: Broker, finish: Finish, callback: Callable[..., Any], runs: list[Any]
) -> None:
    run = dramatiq.actor(runs.append, actor_name="run")
    members = group([run.message("a"), run.message("b") | run.message_with_options(args=("c",), pipe_ignore=True)])
    members.add_completion_callback(callback("completed"))
    members.run()
    finish()
    assert sorted(runs[:3]) == ["a", "b", "c"]
    assert runs[3:] == [("completed",)]


def test_completion_waits_for_a_member_that_is_repeated(
    broker: Broker, finish: Finish, add: Add, callback: Callable[..., Any], runs: list[Any]
) -> None:
    @dramatiq.actor
    def waver() -> None:
        runs.append("run")
        if len(runs) < 3:
            raise ValueError

    members = group([waver.message(), add.message(1, 1)])
    members.add_completion_callback(callback("completed"))
    members.run()
    finish()
    assert runs == ["run", "run", "run", ("completed",)]


def test_completion_is_not_called_back_when_a_member_fails(
    broker: Broker, finish: Finish, add: Add, callback: Callable[..., Any], runs: list[Any]
) -> None:
    bad = add.message(1, "one")
    members = group([bad, add.message(1, 1)])
    members.add_completion_callback(callback("completed"))
    members.run()
    finish()
    assert runs == []
    assert dead(broker) == {bad.message_id}


def test_group_may_run_again_with_its_callbacks(
    broker: Broker, finish: Finish, add: Add, callback: Callable[..., Any], runs: list[Any]
) -> None:
    def members(word: str) -> Any:
        made = group([add.message(1, 1), add.message(2, 2)])
        made.add_completion_callback(callback(word))
        return made

    first, second = members("first"), members("second")
    first.run()
    second.run()
    finish()
    assert sorted(runs) == [("first",), ("second",)]


@only_mongo
def test_callbacks_may_count_with_a_client_of_their_own(
    broker: Broker, finish: Finish, note: Add, database: Database[Any], runs: list[Any]
) -> None:
    broker.add_middleware(GroupCallbacks(MongoRateLimiterBackend(database=database)))
    members = group([note.message(1), note.message(2)])
    members.add_completion_callback(note.message("completed"))
    members.run()
    finish()
    assert sorted(runs[:2]) == [(1,), (2,)]
    assert runs[2:] == [("completed",)]


def test_callbacks_need_their_middleware(broker: Broker, note: Add) -> None:
    members = group([note.message()])
    members.add_completion_callback(note.message())
    with pytest.raises(RuntimeError, match="GroupCallbacks middleware not found"):
        members.run()


def test_group_of_another_broker_runs_there(broker: Broker, start: Start, note: Add, runs: list[Any]) -> None:
    dramatiq.set_broker(None)  # type: ignore[arg-type]
    group([note.message(1), pipeline([note.message(2)], broker=broker)], broker=broker).run()
    start()
    broker.join("default", timeout=LIMIT_MS)
    assert sorted(runs) == [(1,), (2,)]
