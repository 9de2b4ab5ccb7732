"""A provider that takes every request and finishes none before it is told to: by a file, from the bench."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from studio.objects import ObjectStore
from studio.providers import AnimationRequest, Lookup, Made, Pending, Progress
from studio.settings import Settings

FOLDER = "SLOW_ANIMATOR"


class SlowAnimator:
    name = "slow"
    limit_s = None
    is_free = True

    def __init__(self, _settings: Settings, _objects: ObjectStore) -> None:
        self._folder = Path(os.environ[FOLDER])

    def estimate(self, request: AnimationRequest) -> int | None:
        return 0

    def submit(self, request: AnimationRequest, *, idempotency_key: str) -> str:
        return f"slow-{idempotency_key}"

    def reconcile(self, request: AnimationRequest, *, idempotency_key: str, age_s: float) -> str | None:
        return f"slow-{idempotency_key}"

    def look(self, provider_id: str, request: AnimationRequest, *, progress: Progress) -> Lookup:
        return Made("clip.mp4") if (self._folder / "finished").exists() else Pending()

    def fetch(self, made: Made, target: Path) -> None:
        shutil.copy(self._folder / made.location, target)

    def forget(self, made: Made) -> None:
        pass

    def cancel(self, provider_id: str) -> None:
        pass
