"""What actors return or raise, asked for by those who sent the message."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dramatiq
import pytest
from dramatiq import Broker, Message, Middleware
from dramatiq.encoder import PickleEncoder
from dramatiq.middleware import SkipMessage
from dramatiq.results import ResultBackend, ResultFailure, ResultMissing, Results, ResultTimeout
from pymongo.database import Database

from broker import MongoResultBackend
from tests.broker.conformance.conftest import LIMIT_MS, Finish
from tests.broker.conformance.hooks import actor, middleware_of, only_mongo
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("result_backend")


def returning(value: Any, **options: Any) -> Any:
    return dramatiq.actor(lambda: value, actor_name="give", **{"store_results": True, **options})


@pytest.mark.parametrize(
    "value",
    [3, "画伴", None, 0, "", False, [], {"a.b": [1, {"$c": None}]}, 2**70, {"__t": "something"}],
    ids=str,
)
def test_result_is_what_the_actor_returned(broker: Broker, finish: Finish, value: Any) -> None:
    message = returning(value).send()
    assert message.get_result(block=True, timeout=LIMIT_MS) == value
    finish()
    assert message.get_result() == value


def test_result_is_not_there_before_the_message_ran(broker: Broker) -> None:
    message = returning(1).send()
    with pytest.raises(ResultMissing):
        message.get_result()
    with pytest.raises(ResultTimeout):
        message.get_result(block=True, timeout=1)


def test_reader_waits_for_the_result(broker: Broker, worker: Any) -> None:
    release = threading.Event()

    @dramatiq.actor(store_results=True)
    def hold() -> str:
        release.wait()
        return "late"

    message = hold.send()
    with ThreadPoolExecutor(2) as readers:
        reading = [readers.submit(message.get_result, block=True, timeout=LIMIT_MS) for _ in range(2)]
        release.set()
        assert [reader.result() for reader in reading] == ["late", "late"]


def test_result_is_found_by_whoever_has_the_message(
    broker: Broker, result_backend: ResultBackend, finish: Finish
) -> None:
    message: Message[Any] = Message(**returning(5).send().asdict())
    finish()
    assert message.get_result(backend=result_backend) == 5
    assert result_backend.get_result(message) == 5
    assert broker.get_results_backend() is result_backend


def test_result_of_a_delayed_message(broker: Broker, worker: Any) -> None:
    message = returning(6).send_with_options(delay=20)
    assert message.get_result(block=True, timeout=LIMIT_MS) == 6


def test_failure_is_the_result_of_the_last_attempt(broker: Broker, finish: Finish) -> None:
    attempts: list[int] = []

    @dramatiq.actor(store_results=True, max_retries=2)
    def fail() -> None:
        attempts.append(1)
        raise ValueError(f"attempt {len(attempts)}")

    message = fail.send()
    with pytest.raises(ResultFailure, match="actor raised ValueError: attempt 3") as failure:
        message.get_result(block=True, timeout=LIMIT_MS)
    assert (failure.value.orig_exc_type, failure.value.orig_exc_msg) == ("ValueError", "attempt 3")


def test_expected_failure_is_a_result(broker: Broker, worker: Any) -> None:
    @dramatiq.actor(store_results=True, throws=KeyError)
    def fail() -> None:
        raise KeyError("k")

    with pytest.raises(ResultFailure, match="KeyError"):
        fail.send().get_result(block=True, timeout=LIMIT_MS)


def test_message_that_works_in_the_end_has_its_result(broker: Broker, worker: Any) -> None:
    attempts: list[int] = []

    @dramatiq.actor(store_results=True)
    def waver() -> int:
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError
        return len(attempts)

    assert waver.send().get_result(block=True, timeout=LIMIT_MS) == 3


def test_skipped_message_has_none_for_a_result(broker: Broker, worker: Any) -> None:
    class Skip(Middleware):
        def before_process_message(self, broker: Broker, message: Any) -> None:
            raise SkipMessage

    broker.add_middleware(Skip())
    assert returning(1).send().get_result(block=True, timeout=LIMIT_MS) is None


def test_message_too_old_to_run_has_a_failure_for_a_result(broker: Broker, worker: Any) -> None:
    message = returning(1, max_age=1).message().copy(message_timestamp=0)
    broker.enqueue(message)
    with pytest.raises(ResultFailure, match="age limit"):
        message.get_result(block=True, timeout=LIMIT_MS)


def test_result_is_forgotten_after_its_time(broker: Broker, finish: Finish) -> None:
    message = returning(1, result_ttl=1).send()
    finish()

    def is_forgotten() -> bool:
        try:
            message.get_result()
        except ResultMissing:
            return True
        return False

    eventually(is_forgotten)


@pytest.mark.parametrize(
    ("asked", "is_stored"),
    [
        ((False, None, None), False),
        ((True, None, None), True),
        ((True, False, None), False),
        ((False, True, None), True),
        ((False, False, True), True),
        ((True, True, False), False),
    ],
)
def test_results_are_stored_when_asked_for(
    broker: Broker,
    finish: Finish,
    asked: tuple[bool, bool | None, bool | None],
    is_stored: bool,  # noqa: FBT001 (a row of a table)
) -> None:
    of_middleware, of_actor, of_message = asked
    middleware_of(broker, Results).store_results = of_middleware
    by_actor: dict[str, Any] = {} if of_actor is None else {"store_results": of_actor}
    by_message: dict[str, Any] = {} if of_message is None else {"store_results": of_message}
    message = dramatiq.actor(lambda: 1, actor_name="give", **by_actor).send_with_options(**by_message)
    finish()
    if is_stored:
        assert message.get_result() == 1
    else:
        with pytest.raises(ResultMissing):
            message.get_result()


def test_results_of_two_messages_are_kept_apart(broker: Broker, finish: Finish) -> None:
    echo = dramatiq.actor(lambda word: word, actor_name="echo", store_results=True)
    sent = [echo.send(number) for number in range(10)]
    finish()
    assert [message.get_result() for message in sent] == list(range(10))


def test_coroutine_has_a_result(broker: Broker, worker: Any) -> None:
    @actor(store_results=True)
    async def give() -> int:
        return 7

    assert give.send().get_result(block=True, timeout=LIMIT_MS) == 7


@pytest.fixture
def _pickle() -> Iterator[None]:
    before = dramatiq.get_encoder()
    dramatiq.set_encoder(PickleEncoder())
    yield
    dramatiq.set_encoder(before)


@pytest.mark.usefixtures("_pickle", "result_backend")
def test_encoder_that_was_set_encodes_results(request: pytest.FixtureRequest) -> None:
    # It has to be set before the backend is made.
    request.getfixturevalue("worker")
    value = {1: (b"bytes", {2, 3})}
    assert returning(value).send().get_result(block=True, timeout=LIMIT_MS) == value


@only_mongo
@pytest.mark.parametrize("raises", [False, True])
def test_backend_may_have_a_client_of_its_own(
    broker: Broker,
    worker: Any,
    result_backend: ResultBackend,
    database: Database[Any],
    raises: bool,  # noqa: FBT001
) -> None:
    elsewhere = MongoResultBackend(database=database)
    middleware_of(broker, Results).backend = elsewhere

    @dramatiq.actor(store_results=True, max_retries=0)
    def give() -> int:
        if raises:
            raise ValueError("wrong")
        return 8

    message = give.send()
    broker.join("default", timeout=LIMIT_MS)
    if raises:
        with pytest.raises(ResultFailure, match="wrong"):
            message.get_result(backend=elsewhere, block=True, timeout=LIMIT_MS)
    else:
        assert message.get_result(backend=elsewhere) == 8


def test_broker_without_results_says_so(broker: Broker) -> None:
    broker.middleware[:] = [found for found in broker.middleware if not isinstance(found, Results)]
    message = dramatiq.actor(lambda: 1, actor_name="give").send()
    with pytest.raises(RuntimeError, match="results backend"):
        message.get_result()
