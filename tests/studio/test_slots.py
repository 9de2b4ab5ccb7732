from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pymongo import MongoClient

from studio.gates import Slots
from studio.providers.cards import Limits
from studio.providers.interfaces import Capability
from studio.records import Document
from tests.product import Product
from tests.studio.commands import Commands

LIMITS = Limits(concurrent=3)


@pytest.fixture
def provider(product: Product) -> Iterator[str]:
    """A name of nobody else's, of which no slot is held afterwards: other tests ask who holds any."""
    name = f"provider-{secrets.token_hex(4)}"
    yield name
    for collection in ("slots", "slot_waiters"):
        product.studio.database[collection].delete_many({"account": f"{name}/{Capability.ANIMATOR}"})


@pytest.fixture
def slots(product: Product) -> Slots:
    return Slots(product.studio.database)


@pytest.fixture
def woken(slots: Slots) -> list[str]:
    messages: list[str] = []
    slots.wake = messages.append
    return messages


def take(slots: Slots, provider: str, holder: str, limits: Limits = LIMITS, *, for_s: float = 60) -> bool:
    return slots.take(
        provider, Capability.ANIMATOR, limits, holder=f"{provider} {holder}", for_s=for_s, wake=f"wake {holder}"
    )


def free(slots: Slots, provider: str, holder: str) -> None:
    slots.free(f"{provider} {holder}")


def held(product: Product, provider: str) -> int:
    return product.studio.database["slots"].count_documents(
        {"account": f"{provider}/animator", "is_held": True, "$expr": {"$gt": ["$until", "$$NOW"]}}
    )


def test_where_nobody_waits_a_slot_is_taken_and_freed_in_two_commands_each(product: Product, provider: str) -> None:
    commands, settings = Commands(), product.studio.settings
    client: MongoClient[Document]
    with MongoClient(settings.mongodb_uri, event_listeners=[commands]) as client:
        slots = Slots(client[settings.mongodb_db])
        for holder in "abc":
            take(slots, provider, holder)
        free(slots, provider, "b")
        commands.names.clear()
        assert take(slots, provider, "d")
        free(slots, provider, "d")
    assert commands.among("find", "update", "delete", "findAndModify") == ["find", *["findAndModify"] * 2, "find"]


def test_where_no_limit_is_set_nothing_is_stored(product: Product, slots: Slots, provider: str) -> None:
    assert take(slots, provider, "a", Limits())
    assert held(product, provider) == 0


def test_never_more_hold_a_slot_than_there_are(product: Product, provider: str) -> None:
    processes = [Slots(product.studio.database) for _ in range(2)]
    with ThreadPoolExecutor(12) as pool:
        taken = [pool.submit(take, processes[number % 2], provider, str(number)) for number in range(40)]
        got = sum(each.result() for each in taken)
    # Some of those who were told to wait were handed one in the same moment.
    assert got <= held(product, provider) == 3


def test_whoever_has_a_slot_keeps_it(product: Product, slots: Slots, provider: str) -> None:
    assert all(take(slots, provider, "a") for _ in range(5))
    assert held(product, provider) == 1


def test_a_slot_that_is_freed_goes_to_whoever_waits_longest_and_he_is_woken(
    slots: Slots, provider: str, woken: list[str]
) -> None:
    assert [take(slots, provider, name) for name in "abcdef"] == [True] * 3 + [False] * 3
    assert not take(slots, provider, "e"), "asking again moves nobody up"
    free(slots, provider, "b")
    assert woken == ["wake d"]
    assert not take(slots, provider, "g"), "it is kept for the one who was woken"
    assert take(slots, provider, "d")
    free(slots, provider, "a")
    free(slots, provider, "c")
    assert woken == ["wake d", "wake e", "wake f"]


def test_the_slot_of_a_holder_who_died_is_handed_on_by_whoever_looks_next(
    slots: Slots, provider: str, woken: list[str]
) -> None:
    assert [take(slots, provider, name, for_s=0) for name in "abc"] == [True] * 3
    slots._wait(f"{provider}/animator", f"{provider} d", "wake d")
    slots._wait(f"{provider}/animator", f"{provider} e", "wake e")
    assert take(slots, provider, "e")
    assert woken == ["wake d"], "he came before"


def test_whoever_does_not_wait_any_more_is_passed_over(slots: Slots, provider: str, woken: list[str]) -> None:
    for name in "abcde":
        take(slots, provider, name)
    free(slots, provider, "d")
    free(slots, provider, "a")
    assert woken == ["wake e"]


def test_a_slot_beyond_what_the_settings_allow_by_now_is_not_given_out(
    product: Product, slots: Slots, provider: str
) -> None:
    assert [take(slots, provider, name) for name in "abc"] == [True] * 3
    fewer = Limits(concurrent=1)
    free(slots, provider, "b")
    free(slots, provider, "c")
    assert not take(slots, provider, "d", fewer)
    free(slots, provider, "a")
    assert take(slots, provider, "d", fewer)
    assert held(product, provider) == 1


def test_those_who_hold_and_those_who_wait_can_be_listed(slots: Slots, provider: str) -> None:
    for name in "abcd":
        take(slots, provider, name)
    assert {f"{provider} {name}" for name in "abcd"} <= set(slots.list_holders())
    assert slots.count()[f"{provider}/animator"] == (3, 1)


def test_whoever_has_a_slot_keeps_it_while_others_wait(slots: Slots, provider: str) -> None:
    assert [take(slots, provider, name) for name in "abcd"] == [True] * 3 + [False]
    assert take(slots, provider, "a")
    assert not take(slots, provider, "e")


def test_whoever_is_handed_a_slot_just_as_he_goes_to_wait_stands_in_no_line_with_it(
    product: Product, slots: Slots, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [take(slots, provider, name) for name in "abcd"] == [True] * 3 + [False]
    wait = Slots._wait

    def wait_late(self: Slots, *who: str) -> None:
        monkeypatch.undo()
        free(slots, provider, "a")
        wait(self, *who)

    monkeypatch.setattr(Slots, "_wait", wait_late)
    assert take(slots, provider, "d")
    free(slots, provider, "d")
    assert held(product, provider) == 2, "nothing is handed to him who is done"
