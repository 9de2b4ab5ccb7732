"""What happens to a message whose actor raises."""

from __future__ import annotations

from typing import Any

import dramatiq
import pytest
from dramatiq import Broker, Retry
from dramatiq.errors import QueueJoinTimeout, RateLimitExceeded
from dramatiq.middleware import CurrentMessage, Retries

from tests.broker.conformance.conftest import Finish
from tests.broker.conformance.hooks import Recorder, actor, dead, middleware_of
from tests.waiting import eventually

AN_HOUR_MS = 3_600_000


def failing(runs: list[Any], *, times: int = 10**9, error: type[Exception] = ValueError, **options: Any) -> Any:
    """An actor that raises so often, and then no more."""

    @actor(**options)
    def fail() -> None:
        runs.append("run")
        if len(runs) <= times:
            raise error("wrong")

    return fail


def test_failed_message_is_repeated_until_it_works(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    failing(runs, times=3).send()
    finish()
    assert runs == ["run"] * 4
    assert dead(broker) == set()


def test_message_knows_of_its_failures(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    @dramatiq.actor
    def fail() -> None:
        message = CurrentMessage.get_current_message()
        assert message is not None
        runs.append(dict(message.options))
        if len(runs) < 3:
            raise ValueError("of this kind")

    fail.send()
    finish()
    assert [options.get("retries", 0) for options in runs] == [0, 1, 2]
    assert "ValueError: of this kind" in runs[2]["traceback"]
    assert runs[1]["requeue_timestamp"] <= runs[2]["requeue_timestamp"]


@pytest.mark.parametrize("most", [0, 1, 3])
def test_actor_says_how_often_a_message_is_repeated(broker: Broker, finish: Finish, runs: list[Any], most: int) -> None:
    sent = failing(runs, max_retries=most).send()
    finish()
    assert len(runs) == 1 + most
    assert dead(broker) == {sent.message_id}


def test_message_says_how_often_it_is_repeated(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    sent = failing(runs, max_retries=9).send_with_options(max_retries=1)
    finish()
    assert len(runs) == 2
    assert dead(broker) == {sent.message_id}


def test_middleware_says_how_often_messages_are_repeated(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    middleware_of(broker, Retries).max_retries = 2
    failing(runs).send()
    finish()
    assert len(runs) == 3


def test_no_limit_means_for_ever(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    middleware_of(broker, Retries).max_retries = 1
    failing(runs, times=4, max_retries=None).send()
    finish()
    assert len(runs) == 5
    assert dead(broker) == set()


@pytest.mark.parametrize("throws", [LookupError, (OSError, LookupError)])
def test_expected_error_is_not_repeated(broker: Broker, finish: Finish, runs: list[Any], throws: Any) -> None:
    sent = failing(runs, error=KeyError, throws=throws).send()
    finish()
    assert runs == ["run"]
    assert dead(broker) == {sent.message_id}


def test_other_error_than_the_expected_is_repeated(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    failing(runs, times=1, error=ValueError, throws=KeyError).send()
    finish()
    assert runs == ["run", "run"]


def test_actor_decides_which_failures_are_repeated(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    asked: list[Any] = []

    def worth_it(retries: int, error: Exception) -> bool:
        asked.append((retries, str(error)))
        return retries < 2

    # It also overrules the number.
    sent = failing(runs, retry_when=worth_it, max_retries=0).send()
    finish()
    assert asked == [(0, "wrong"), (1, "wrong"), (2, "wrong")]
    assert len(runs) == 3
    assert dead(broker) == {sent.message_id}


def test_wait_between_failures_grows_up_to_a_limit(
    broker: Broker, finish: Finish, recorder: Recorder, runs: list[Any]
) -> None:
    failing(runs, times=5, min_backoff=8, max_backoff=20).send()
    finish()
    delays = [call.args[1] for call in recorder.of("before_enqueue") if call.args[1]]
    assert all(
        low <= delay <= high for delay, (low, high) in zip(delays, [(4, 8), (8, 16), *[(10, 20)] * 3], strict=True)
    )


def test_message_has_a_wait_of_its_own(broker: Broker, finish: Finish, recorder: Recorder, runs: list[Any]) -> None:
    failing(runs, times=1, min_backoff=AN_HOUR_MS, max_backoff=AN_HOUR_MS).send_with_options(
        min_backoff=4, max_backoff=4
    )
    finish()
    assert next(call.args[1] for call in recorder.of("before_enqueue") if call.args[1]) in (2, 3, 4)


@pytest.mark.parametrize("option", ["min_backoff", "max_backoff"])
def test_no_wait_between_failures(broker: Broker, finish: Finish, runs: list[Any], option: str) -> None:
    options: dict[str, Any] = {option: 0}
    failing(runs, times=3, **options).send()
    finish()
    assert len(runs) == 4


def test_retry_says_when(broker: Broker, finish: Finish, recorder: Recorder, runs: list[Any]) -> None:
    @dramatiq.actor(min_backoff=AN_HOUR_MS, max_backoff=AN_HOUR_MS)
    def later() -> None:
        runs.append("run")
        if len(runs) == 1:
            raise Retry("not yet", delay=7)

    later.send()
    finish()
    assert runs == ["run", "run"]
    assert 7 in [call.args[1] for call in recorder.of("before_enqueue")]


def test_retry_without_a_time_waits_like_a_failure_and_counts(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    sent = failing(runs, error=Retry, max_retries=2).send()
    finish()
    assert len(runs) == 3
    assert dead(broker) == {sent.message_id}


def test_long_wait_keeps_no_thread_and_no_other_message(broker: Broker, start: Any, runs: list[Any]) -> None:
    @dramatiq.actor
    def later() -> None:
        raise Retry(delay=AN_HOUR_MS)

    note = dramatiq.actor(runs.append, actor_name="note")
    later.send()
    note.send("other")
    start(threads=1)
    eventually(lambda: runs == ["other"])
    with pytest.raises(QueueJoinTimeout):
        broker.join("default", timeout=50)
    assert dead(broker) == set()


@pytest.mark.parametrize("named_by", ["actor", "message"])
def test_exhausted_message_is_reported_to_an_actor(
    broker: Broker, finish: Finish, runs: list[Any], named_by: str
) -> None:
    reports: list[Any] = []
    dramatiq.actor(lambda *args: reports.append(args), actor_name="report", queue_name="reports")
    option: dict[str, Any] = {"on_retry_exhausted": "report"}
    fail = failing(runs, max_retries=1, **(option if named_by == "actor" else {}))
    sent = fail.send_with_options(**(option if named_by == "message" else {}))
    finish()
    assert len(runs) == 2
    [(message, how_often)] = reports
    assert (message["message_id"], message["actor_name"], message["options"]["retries"]) == (
        sent.message_id,
        "fail",
        2,
    )
    assert how_often == {"retries": 1, "max_retries": 1}


def test_message_that_works_or_was_expected_to_fail_is_not_reported(
    broker: Broker, finish: Finish, runs: list[Any]
) -> None:
    reports: list[Any] = []
    dramatiq.actor(lambda *args: reports.append(args), actor_name="report")
    failing(runs, times=1, on_retry_exhausted="report", max_retries=1).send()
    finish()
    assert (len(runs), reports) == (2, [])


def test_refusal_of_a_rate_limit_is_repeated(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    failing(runs, times=1, error=RateLimitExceeded).send()
    finish()
    assert runs == ["run", "run"]


def test_failures_of_one_message_do_not_touch_another(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    @dramatiq.actor(max_retries=2)
    def odd(number: int) -> None:
        runs.append(number)
        if number % 2:
            raise ValueError(number)

    sent = [odd.send(number) for number in range(10)]
    finish()
    assert sorted(runs) == sorted([0, 2, 4, 6, 8, *3 * [1, 3, 5, 7, 9]])
    assert dead(broker) == {message.message_id for message in sent[1::2]}


def test_exception_that_is_no_error_is_a_failure_too(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    @dramatiq.actor(max_retries=1)
    def leave() -> None:
        runs.append("run")
        raise SystemExit

    sent = leave.send()
    finish()
    assert len(runs) == 2
    assert dead(broker) == {sent.message_id}
