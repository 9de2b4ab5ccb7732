from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import cycle
from threading import Event

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect

from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.gates import Gates
from studio.gates import gates as gates_module
from studio.providers.cards import Limits
from studio.providers.interfaces import Capability
from studio.records import CODEC, Document
from tests.product import Product
from tests.studio.commands import Commands
from tests.waiting import eventually

ANIMATOR = Capability.ANIMATOR
FREE = Limits()


@pytest.fixture
def provider() -> str:
    return f"provider-{secrets.token_hex(4)}"


@pytest.fixture
def gates(product: Product) -> Gates:
    return Gates(product.studio.database)


@contextmanager
def elsewhere(product: Product, *listeners: Commands) -> Iterator[Gates]:
    """The gates as another process has them."""
    uri = product.studio.settings.mongodb_uri
    client: MongoClient[Document]
    with MongoClient(uri, event_listeners=listeners) as client:
        yield Gates(client.get_database(product.studio.settings.mongodb_db, codec_options=CODEC))


def call(
    gates: Gates, provider: str, limits: Limits = FREE, *, ticket: str = "", meets: Exception | None = None
) -> None:
    with gates.passing(provider, ANIMATOR, limits, ticket=ticket or secrets.token_hex(4)):
        if meets:
            raise meets


def goes(gates: Gates, provider: str, limits: Limits = FREE, *, ticket: str = "") -> bool:
    try:
        call(gates, provider, limits, ticket=ticket)
    except NotNow:
        return False
    return True


def open_circuit(gates: Gates, provider: str) -> None:
    for _ in range(5):
        with suppress(Away):
            call(gates, provider, meets=Away("away"))


def let_be_probed(product: Product, provider: str) -> None:
    """Have the time of an open circuit be over."""
    over = {"shut_until": "$$NOW", "revision": {"$add": ["$revision", 1]}}
    product.studio.database["gates"].update_one({"_id": f"{provider}/animator/calls"}, [{"$set": over}])


def test_of_calls_at_once_from_two_processes_no_more_go_than_may(product: Product, gates: Gates, provider: str) -> None:
    limits = Limits(per_minute=120)
    with elsewhere(product) as others, ThreadPoolExecutor(8) as pool:
        turns = cycle((gates, others))
        calls = [pool.submit(goes, next(turns), provider, limits) for _ in range(60)]
        went = sum(each.result() for each in calls)
    stored = product.studio.database["gates"].find_one({"_id": f"{provider}/animator/calls"})
    assert stored
    assert 2 <= went < 60, "a second's worth, and what the time of the test itself allows"
    assert stored["revision"] == 60, "each was judged by what the one before had left"
    assert product.studio.database["gate_places"].count_documents({"gate": stored["_id"]}) == 60 - went


def test_whoever_comes_again_at_his_time_goes(product: Product, gates: Gates, provider: str) -> None:
    limits, gate_id = Limits(per_minute=30), f"{provider}/animator/calls"
    refused = [ticket for ticket in "abcd" if not goes(gates, provider, limits, ticket=ticket)]
    assert refused
    places = product.studio.database["gate_places"].find({"gate": gate_id}).sort("due", 1)
    assert [place["_id"] for place in places] == [f"{gate_id} {ticket}" for ticket in refused], (
        "first come, first served"
    )
    last = refused[-1]
    eventually(lambda: goes(gates, provider, limits, ticket=last))
    assert gates.count_places().get(gate_id, 0) == len(refused) - 1


def test_a_provider_that_says_when_to_come_again_is_left_alone_by_all(
    product: Product, gates: Gates, provider: str
) -> None:
    with pytest.raises(NotNow):
        call(gates, provider, meets=NotNow("busy", retry_after_s=30))
    with elsewhere(product) as others, pytest.raises(NotNow) as refused:
        call(others, provider)
    assert refused.value.retry_after_s is not None
    assert 1 < refused.value.retry_after_s <= 31
    assert not isinstance(refused.value, Away)


@pytest.mark.parametrize("fault", [Away("away"), OutcomeUnknown()])
def test_five_faults_in_a_row_open_the_circuit_for_all(
    product: Product, gates: Gates, provider: str, fault: Exception
) -> None:
    with elsewhere(product) as others:
        for number in range(5):
            with pytest.raises(type(fault)):
                call(gates if number % 2 else others, provider, meets=fault)
        for each in (gates, others):
            with pytest.raises(Away):
                call(each, provider)


def test_a_refusal_is_an_answer(gates: Gates, provider: str) -> None:
    for _ in range(3):
        for _ in range(4):
            with suppress(Away):
                call(gates, provider, meets=Away("away"))
        with pytest.raises(StudioError):
            call(gates, provider, meets=StudioError("PROVIDER_REFUSED"))
    assert goes(gates, provider)


def test_exactly_one_probe_goes_of_all_that_come_from_two_processes(
    product: Product, gates: Gates, provider: str
) -> None:
    open_circuit(gates, provider)
    let_be_probed(product, provider)
    went, is_enough = list[int](), Event()

    def come(each: Gates) -> bool:
        try:
            with each.passing(provider, ANIMATOR, FREE, ticket=secrets.token_hex(4)):
                went.append(1)
                assert is_enough.wait(30)
        except NotNow:
            return False
        return True

    with elsewhere(product) as others, ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(come, each) for each in (gates, others) * 6]
        eventually(lambda: sum(each.done() for each in calls) == 11)
        is_enough.set()
        assert sum(each.result() for each in calls) == 1
        assert len(went) == 1
        assert goes(gates, provider), "it was answered, and so everybody may go"


def test_a_call_that_failed_on_our_side_is_no_fault_of_the_provider(gates: Gates, provider: str) -> None:
    for _ in range(6):
        with pytest.raises(ValueError, match="ours"):
            call(gates, provider, meets=ValueError("ours"))
    assert goes(gates, provider)


@pytest.mark.parametrize("symbol", ["SPEND_CAP_REACHED", "PRICE_UNKNOWN"])
def test_a_call_that_we_may_not_pay_for_says_nothing_of_a_provider_that_was_away(
    symbol: str, product: Product, gates: Gates, provider: str
) -> None:
    open_circuit(gates, provider)
    let_be_probed(product, provider)
    with pytest.raises(StudioError):
        call(gates, provider, meets=StudioError(symbol))
    [gate] = [gate for gate in gates.list_all() if gate.id.startswith(provider)]
    assert gate.is_open


def test_looking_has_limits_of_its_own(gates: Gates, provider: str) -> None:
    open_circuit(gates, provider)
    with gates.passing_look(provider, ANIMATOR, FREE, ticket="job"):
        pass


def test_a_hundred_looks_at_a_provider_that_is_well_cost_hardly_a_command(
    product: Product, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates_module, "BELIEVED_FOR_S", 3600.0)
    commands = Commands()
    with elsewhere(product, commands) as others:
        for _ in range(100):
            with others.passing_look(provider, ANIMATOR, FREE, ticket="job"):
                pass
    assert len(commands.among("find", "hello", "update", "findAndModify")) <= 2


def test_at_a_pace_that_nobody_is_too_fast_for_no_places_are_looked_for(product: Product, provider: str) -> None:
    commands, limits = Commands(), Limits(per_minute=60_000)
    with elsewhere(product, commands) as others:
        for _ in range(10):
            call(others, provider, limits)
    assert commands.among("find", "update", "delete") == ["find", "update"] * 10


def test_what_a_call_met_outlives_a_database_that_is_away(product: Product, provider: str) -> None:
    class Broken(Gates):
        def _change(self, *_: object) -> object:
            raise AutoReconnect

    gates = Broken(product.studio.database)
    with pytest.raises(StudioError):
        call(gates, provider, meets=StudioError("PROVIDER_REFUSED"))
    with pytest.raises(OutcomeUnknown):
        call(gates, provider, meets=OutcomeUnknown())
