"""Dramatiq's group, sent in few commands."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import dramatiq
from dramatiq.results import ResultError, ResultMissing

from broker.broker import MongoBroker


class group(dramatiq.group):  # noqa: N801 (it stands in for dramatiq.group, which is named so)
    """As `dramatiq.group`; on a MongoBroker its messages are stored together, as by `enqueue_many`."""

    @property
    def completed_count(self) -> int:
        """How many of its jobs have stored a result, in whatever order. Raises RuntimeError without a result backend.

        Dramatiq 1.18 stops counting at the first that has not: https://github.com/Bogdanp/dramatiq/issues/452.
        """
        return sum(map(_has_result, self.children))

    def run(self, *, delay: int | None = None) -> Any:
        """Send all messages of the group, ready after `delay` milliseconds.

        Raises what `enqueue_many` raises, and RuntimeError when there are completion callbacks and no GroupCallbacks.
        """
        with self.broker.batch() if isinstance(self.broker, MongoBroker) else nullcontext():
            return super().run(delay=delay)  # type: ignore[no-untyped-call]


def _has_result(child: Any) -> bool:
    try:
        if isinstance(child, dramatiq.group):
            list(child.get_results())
        else:
            child.get_result()
    except ResultMissing:
        return False
    except ResultError:
        # It has one, which says that it failed.
        return True
    return True
