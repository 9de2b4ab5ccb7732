"""Real servers for every test that needs them: one mongod and one rclone for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.stack import Servers
from app.stack import servers as running_servers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """mongod (a replica set, with fail points) and rclone. A test that kills one restarts it."""
    with running_servers(tmp_path_factory.mktemp("servers"), test_commands=True) as running:
        yield running
