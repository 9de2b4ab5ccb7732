"""Dramatiq's group, sent in few commands."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import dramatiq

from broker.broker import MongoBroker


class group(dramatiq.group):  # noqa: N801 (it stands in for dramatiq.group, which is named so)
    """As `dramatiq.group`; on a MongoBroker its messages are stored together, as by `enqueue_many`."""

    def run(self, *, delay: int | None = None) -> Any:
        """Send all messages of the group, ready after `delay` milliseconds.

        Raises what `enqueue_many` raises, and RuntimeError when there are completion callbacks and no GroupCallbacks.
        """
        with self.broker.batch() if isinstance(self.broker, MongoBroker) else nullcontext():
            return super().run(delay=delay)  # type: ignore[no-untyped-call]
