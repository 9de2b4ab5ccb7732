from __future__ import annotations

from collections import Counter

import pytest


@pytest.mark.usefixtures("product")
def test_a_handler_that_the_framework_runs_in_a_thread_has_its_path_for_itself() -> None:
    # Imported here, because with the routes come the actors, and they are wired by the settings of the tests.
    from app.routes import ROUTES

    # Litestar 2.25 registers the handlers of a path again for each that joins it, and wraps such a one twice: it then
    # answers with a coroutine that nobody runs.
    of_path = Counter(path for handler in ROUTES for path in handler.paths)
    in_threads = [path for handler in ROUTES if getattr(handler, "sync_to_thread", False) for path in handler.paths]
    assert in_threads, "there are some"
    assert {of_path[path] for path in in_threads} == {1}
