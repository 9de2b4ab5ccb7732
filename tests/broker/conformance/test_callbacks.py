"""Actors that are told how another one's message went."""

from __future__ import annotations

from typing import Any

import dramatiq
import pytest
from dramatiq import Broker

from tests.broker.conformance.conftest import Finish
from tests.broker.conformance.hooks import actor, dead


@pytest.fixture
def told(broker: Broker) -> list[Any]:
    """What the actors `celebrate` and `mourn` were told."""
    said: list[Any] = []
    dramatiq.actor(lambda *args: said.append(("success", *args)), actor_name="celebrate", queue_name="other")
    dramatiq.actor(lambda *args: said.append(("failure", *args)), actor_name="mourn", queue_name="other")
    return said


@pytest.mark.parametrize("named_by", ["actor", "message", "actor object"])
def test_success_is_told_with_the_result(broker: Broker, finish: Finish, told: list[Any], named_by: str) -> None:
    options: dict[str, Any] = {"on_success": "celebrate", "on_failure": "mourn"}
    add = dramatiq.actor(lambda left, right: left + right, actor_name="add", **(options if named_by == "actor" else {}))
    if named_by == "message":
        sent = add.send_with_options(args=(1, 2), **options)
    elif named_by == "actor object":
        sent = add.send_with_options(args=(1, 2), on_success=broker.get_actor("celebrate"))
    else:
        sent = add.send(1, 2)
    finish()
    [(outcome, message, result)] = told
    assert (outcome, message["message_id"], message["args"], result) == ("success", sent.message_id, [1, 2], 3)


@pytest.mark.parametrize("named_by", ["actor", "message"])
def test_every_failure_is_told_with_its_error(broker: Broker, finish: Finish, told: list[Any], named_by: str) -> None:
    options: dict[str, Any] = {"on_success": "celebrate", "on_failure": "mourn"}

    @actor(max_retries=2, **(options if named_by == "actor" else {}))
    def fail() -> None:
        raise ValueError("wrong")

    sent = fail.send_with_options(**(options if named_by == "message" else {}))
    finish()
    assert [(outcome, message["message_id"], error) for outcome, message, error in told] == 3 * [
        ("failure", sent.message_id, {"type": "ValueError", "message": "wrong"})
    ]
    assert dead(broker) == {sent.message_id}
    assert dead(broker, "other") == set()


def test_failure_and_then_success_are_both_told(broker: Broker, finish: Finish, told: list[Any]) -> None:
    @dramatiq.actor(on_success="celebrate", on_failure="mourn")
    def waver() -> str:
        if not told_once:
            told_once.append(True)
            raise ValueError
        return "well"

    told_once: list[bool] = []
    waver.send()
    finish()
    # Two messages, in whichever order they were run.
    assert sorted(outcome for outcome, *_ in told) == ["failure", "success"]
