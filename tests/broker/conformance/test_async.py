"""Actors that are coroutines."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from dramatiq import Broker
from dramatiq.middleware import CurrentMessage

from tests.broker.conformance.conftest import Finish
from tests.broker.conformance.hooks import Recorder, actor, dead, only_mongo


def test_coroutines_run_side_by_side(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    met: list[str] = []

    @actor()
    async def meet(name: str) -> None:
        met.append(name)
        while len(met) < 2:  # noqa: ASYNC110 (an event would belong to one of them)
            await asyncio.sleep(0.001)
        runs.append(name)

    meet.send("one")
    meet.send("two")
    finish()
    assert sorted(runs) == ["one", "two"]


def test_failed_coroutine_is_repeated(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    @actor(max_retries=2)
    async def fail() -> None:
        runs.append("run")
        raise ValueError

    sent = fail.send()
    finish()
    assert len(runs) == 3
    assert dead(broker) == {sent.message_id}


def test_coroutine_knows_its_message(broker: Broker, finish: Finish, runs: list[Any]) -> None:
    @actor()
    async def note() -> None:
        message = CurrentMessage.get_current_message()
        assert message is not None
        runs.append(message.message_id)

    sent = note.send()
    finish()
    assert runs == [sent.message_id]


# Dramatiq 1.18 takes it for a timeout of its own and waits on, for ever and in ever more memory (its issue 791). The
# time limit is there to end that.
@only_mongo
def test_coroutine_may_raise_a_timeout_error(
    broker: Broker, recorder: Recorder, finish: Finish, caplog: pytest.LogCaptureFixture
) -> None:
    # By then the traceback would fill a book, too.
    caplog.set_level(logging.CRITICAL)
    broker.emit_after("process_boot")

    @actor(max_retries=0, time_limit=500)
    async def late() -> None:
        raise TimeoutError

    sent = late.send()
    finish()
    assert [type(call.kwargs["exception"]) for call in recorder.of("after_process_message")] == [TimeoutError]
    assert dead(broker) == {sent.message_id}
