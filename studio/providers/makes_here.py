"""Makers that need no service: they work when they are looked at, in this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar

from studio.errors import StudioError
from studio.objects import ObjectStore
from studio.providers.interfaces import Lookup, Made, Progress
from studio.scratch import scratch_folder
from studio.settings import Settings


class _Request(Protocol):
    @property
    def folder(self) -> str: ...


R = TypeVar("R", bound=_Request)


class MakesHere(ABC, Generic[R]):
    """The work costs nothing, repeats itself exactly, and is done once per id."""

    name = "local"
    limit_s = None
    is_free = True
    ending: ClassVar[str]
    """Of what it makes, with the dot."""
    mime: ClassVar[str]

    def __init__(self, _settings: Settings, objects: ObjectStore) -> None:
        self._objects = objects

    @abstractmethod
    def _make(self, request: R, folder: Path, progress: Progress) -> Path:
        """Make it, in a folder for that. Raises as `look`."""

    def estimate(self, request: R) -> int | None:
        return 0

    def submit(self, request: R, *, idempotency_key: str) -> str:
        """The id under which `look` will make it; nothing is started and nothing is charged."""
        return f"local-{idempotency_key}"

    def reconcile(self, request: R, *, idempotency_key: str, age_s: float) -> str | None:
        """The same id again: asking for it twice is asking once."""
        return self.submit(request, idempotency_key=idempotency_key)

    def look(self, provider_id: str, request: R, *, progress: Progress) -> Lookup:
        """Make and store it, unless it is there already. Raises NotNow, StudioError("RENDER_FAILED")."""
        key = f"{request.folder}{provider_id}{self.ending}"
        if self._objects.head(key) is None:
            with scratch_folder() as folder:
                self._objects.upload(self._make(request, folder, progress), key, mime=self.mime)
        progress(1.0)
        return Made(key)

    def fetch(self, made: Made, target: Path) -> None:
        """Copy it into `target`. Raises NotNow, StudioError("CLIP_GONE")."""
        try:
            self._objects.download(made.location, target)
        except FileNotFoundError as error:
            raise StudioError("CLIP_GONE") from error

    def forget(self, made: Made) -> None:
        """Delete it; who asked has a copy."""
        self._objects.delete(made.location)

    def cancel(self, provider_id: str) -> None:
        """Nothing to stop: it is only made while somebody looks."""
