"""Makers whose service answers at once, with what it has made or with the address of it.

What came back goes into the bucket just as it is, before anything is made of it: it is paid for, and there is no second
way to get it. Whether it is any good is looked at when it is fetched.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from studio.errors import NotNow, OutcomeUnknown, StudioError
from studio.objects import ObjectStore
from studio.providers.downloads import Downloads
from studio.providers.interfaces import Lookup, Made, Progress
from studio.scratch import scratch_folder


class _Request(Protocol):
    @property
    def folder(self) -> str: ...


R = TypeVar("R", bound=_Request)

ADDRESS = ".url"
"""How the names of objects end that only hold the address of what was made."""


class MakesAtOnce(ABC, Generic[R]):
    """What such makers have in common. `ending` is that of what they make, or ADDRESS."""

    ending: str
    _objects: ObjectStore
    _downloads: Downloads
    _unknown_for_s: float

    @abstractmethod
    def _make(self, request: R) -> bytes:
        """Buy it, or its address. Raises as `submit`."""

    @abstractmethod
    def _check(self, file: Path) -> None:
        """Raises StudioError("CLIP_UNREADABLE") unless all of it decodes."""

    def submit(self, request: R, *, idempotency_key: str) -> str:
        """Have it made, and keep what came back. The id is its name in the request's folder."""
        name = f"{idempotency_key}{self.ending}"
        # Before the call: while the bucket is away nothing is bought that could not be kept.
        if self._objects.head(request.folder + name) is None:
            self._keep(self._make(request), request.folder + name)
        return name

    def reconcile(self, request: R, *, idempotency_key: str, age_s: float) -> str | None:
        """It is there or it is lost; while the call may still be under way, that cannot be told."""
        name = f"{idempotency_key}{self.ending}"
        if self._objects.head(request.folder + name) is not None:
            return name
        if age_s < self._unknown_for_s:
            raise NotNow("it may be on its way", retry_after_s=self._unknown_for_s - age_s)
        raise OutcomeUnknown

    def look(self, provider_id: str, request: R, *, progress: Progress) -> Lookup:
        """It is there since it was asked for."""
        return Made(request.folder + provider_id)

    def fetch(self, made: Made, target: Path) -> None:
        """Bring it into `target`, from the bucket or from its address. Raises NotNow, StudioError."""
        try:
            self._objects.download(made.location, target)
        except FileNotFoundError as error:
            raise StudioError("CLIP_GONE") from error
        if self.ending == ADDRESS:
            self._downloads.fetch(target.read_text(encoding="utf-8"), target)
        self._check(target)

    def forget(self, made: Made) -> None:
        """Delete what was kept."""
        self._objects.delete(made.location)

    def cancel(self, provider_id: str) -> None:
        """Nothing to stop: it was there with the answer."""

    def _keep(self, content: bytes, key: str) -> None:
        with scratch_folder() as folder:
            path = folder / "answer"
            path.write_bytes(content)
            try:
                self._objects.upload(path, key, mime="application/octet-stream")
            except NotNow as error:
                # It was accepted, so this is no time to come again later.
                raise OutcomeUnknown from error
