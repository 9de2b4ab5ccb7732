from __future__ import annotations

import pytest
from dramatiq.results import Results

from broker import MongoBroker, MongoResultBackend, group
from tests.broker.queues import message

AN_HOUR_MS = 3_600_000


@pytest.fixture
def backend(broker: MongoBroker, monkeypatch: pytest.MonkeyPatch) -> MongoResultBackend:
    """The one of the broker that messages look results up with."""
    made = MongoResultBackend(database=broker.database)
    broker.add_middleware(Results(backend=made))
    monkeypatch.setattr("dramatiq.broker.global_broker", broker)
    return made


def test_members_that_are_complete_are_counted_in_whatever_order(
    broker: MongoBroker, backend: MongoResultBackend
) -> None:
    members = [message(), message(), message()]
    whole = group(members, broker=broker)  # type: ignore[no-untyped-call]
    assert whole.completed_count == 0
    backend.store_result(members[1], "second", AN_HOUR_MS)
    assert whole.completed_count == 1
    backend.store_exception(members[2], ValueError("third"), AN_HOUR_MS)
    assert whole.completed_count == 2
    assert not whole.completed
    backend.store_result(members[0], None, AN_HOUR_MS)
    assert whole.completed
