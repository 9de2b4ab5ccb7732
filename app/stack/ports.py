"""Which TCP port a part listens on."""

from __future__ import annotations

import random
import socket

# Below the range from which Linux picks ports for outgoing connections: one of those could take a port
# between the moment it was found free and the moment the part listens on it.
_QUIET_PORTS = range(20_000, 32_000)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # Servers set it too: without it, connections that were closed a moment ago would count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """A free port, a different one each time."""
    for port in random.sample(_QUIET_PORTS, k=200):
        if is_free(port, host):
            return port
    raise OSError(f"no free port on {host}")


def port_near(wanted: int, host: str = "127.0.0.1") -> int:
    """The wanted port when it is free, otherwise one of the next twenty, otherwise any."""
    for port in range(wanted, min(wanted + 20, 65_536)):
        if is_free(port, host):
            return port
    return free_port(host)
