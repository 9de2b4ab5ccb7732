from __future__ import annotations

import socket

from app.stack.ports import free_port, is_free, port_near


def test_free_port_is_kept() -> None:
    port = free_port()
    assert port_near(port) == port


def test_taken_port_gives_another_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free(port)
        assert port_near(port) != port


def test_last_port_has_no_neighbours_and_still_gives_one() -> None:
    assert 0 < port_near(65_535) <= 65_535
