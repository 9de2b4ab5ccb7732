from __future__ import annotations

from typing import Any

import pytest

from app.limits import household
from app.proxies import address_of, is_https


def call(*headers: tuple[str, str], scheme: str = "http", client: Any = ("10.0.0.1", 4711)) -> dict[str, Any]:
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    return {"headers": encoded, "scheme": scheme, "client": client}


def forwarded(*addresses: str) -> dict[str, Any]:
    return call(*(("x-forwarded-for", address) for address in addresses))


@pytest.mark.parametrize(
    ("trusted", "addresses", "address"),
    [
        (0, ["203.0.113.7"], "10.0.0.1"),
        (1, ["203.0.113.7"], "203.0.113.7"),
        (1, ["made up, 203.0.113.7"], "203.0.113.7"),
        (2, ["made up, 203.0.113.7, 192.0.2.1"], "203.0.113.7"),
        (2, ["made up, 203.0.113.7", "192.0.2.1"], "203.0.113.7"),
        (2, ["192.0.2.1"], "192.0.2.1"),
        (1, [], "10.0.0.1"),
    ],
)
def test_only_what_trusted_proxies_append_tells_an_address(trusted: int, addresses: list[str], address: str) -> None:
    assert address_of(forwarded(*addresses), trusted) == address


def test_a_caller_through_a_unix_socket_has_no_address() -> None:
    assert address_of(call(client=None), 0) == ""


@pytest.mark.parametrize(
    ("trusted", "scheme", "said", "encrypted"),
    [
        (0, "https", "http", True),
        (0, "http", "https", False),
        (1, "http", "https", True),
        (1, "https", "http", False),
        (2, "http", "https", True),
        (2, "http", "https, http", True),
    ],
)
def test_only_trusted_proxies_tell_that_a_caller_came_by_https(
    trusted: int, scheme: str, said: str, *, encrypted: bool
) -> None:
    assert is_https(call(("x-forwarded-proto", said), scheme=scheme), trusted) is encrypted


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:ffff::6]:4711", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_a_household_is_counted_as_one(address: str, counted: str) -> None:
    assert household(address) == counted
