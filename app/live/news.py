"""An event on its way to watchers."""

from __future__ import annotations

from collections.abc import Callable

from studio.events import Event
from studio.language import Language

Form = Callable[[Event, Language], bytes]
"""How an event is written for one kind of watcher."""


class News:
    """An event, and what it looks like in each form and language: written once, however many watch."""

    __slots__ = ("_written", "event")

    def __init__(self, event: Event) -> None:
        self.event = event
        self._written: dict[tuple[Form, Language], bytes] = {}

    def written(self, form: Form, language: Language) -> bytes:
        written = self._written.get((form, language))
        if written is None:
            written = self._written[form, language] = form(self.event, language)
        return written
