"""An animator that tests can steer from another process: it works through files in a folder, like a far-away service.

`jobs/<key>` is what it accepted, one file per idempotency key; `submits` has a line per call it was asked; `behaviour`
holds the words that say how it should behave.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from studio.errors import NotNow, OutcomeUnknown, StudioError
from studio.media import ffmpeg
from studio.objects import ObjectStore
from studio.providers import AnimationRequest, Lookup, Made, Pending, Progress
from studio.settings import Settings
from tests.waiting import eventually


class FakeService:
    """The far side, as tests see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "jobs").mkdir(parents=True, exist_ok=True)

    def behave(self, *words: str) -> None:
        (self.folder / "behaviour").write_text(" ".join(words))

    @property
    def behaviour(self) -> list[str]:
        path = self.folder / "behaviour"
        return path.read_text().split() if path.exists() else []

    @property
    def clip(self) -> Path:
        return self.folder / "clip.mp4"

    def make_clip(self) -> None:
        """Two seconds of real film, made once."""
        picture = ["-f", "lavfi", "-i", "testsrc=size=320x180:rate=12:duration=2"]
        tone = ["-f", "lavfi", "-i", "sine=frequency=440:duration=2"]
        codecs = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]
        ffmpeg.run([*picture, *tone, *codecs, str(self.clip)], timeout_s=60)

    def note(self, call: str, key: str) -> None:
        with (self.folder / call).open("a") as file:
            file.write(f"{key}\n")

    def calls(self, call: str) -> list[str]:
        path = self.folder / call
        return path.read_text().split() if path.exists() else []

    def forget(self) -> None:
        for name in ("submits", "looks", "forgets", "cancels", "behaviour"):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "jobs")
        (self.folder / "jobs").mkdir()


class FakeAnimator:
    name = "fake"
    is_free = False

    def __init__(self, settings: Settings, _objects: ObjectStore) -> None:
        self.limit_s: float | None = 600.0
        self._service = FakeService(Path(os.environ["FAKE_SERVICE"]))

    def estimate(self, request: AnimationRequest) -> int | None:
        return 0

    def submit(self, request: AnimationRequest, *, idempotency_key: str) -> str:
        # Before the note, by which tests know that they may change it.
        behaviour = self._service.behaviour
        self._service.note("submits", idempotency_key)
        if "busy" in behaviour:
            raise NotNow("the fake is busy", retry_after_s=0.1)
        if "refuses" in behaviour:
            raise StudioError("PROVIDER_REFUSED")
        if "thinks" in behaviour:
            eventually(lambda: "thinks" not in self._service.behaviour)
        if "drops" not in behaviour:
            (self._service.folder / "jobs" / idempotency_key).touch()
        if "silent" in behaviour:
            raise OutcomeUnknown
        if "babbles" in behaviour:
            raise ValueError("an answer that cannot be read")
        return f"fake-{idempotency_key}"

    def reconcile(self, request: AnimationRequest, *, idempotency_key: str, age_s: float) -> str | None:
        if "no-lookup" in self._service.behaviour:
            raise OutcomeUnknown
        accepted = (self._service.folder / "jobs" / idempotency_key).exists()
        return f"fake-{idempotency_key}" if accepted else None

    def look(self, provider_id: str, request: AnimationRequest, *, progress: Progress) -> Lookup:
        behaviour = self._service.behaviour
        self._service.note("looks", provider_id)
        if "away" in behaviour:
            raise NotNow("the fake is away", retry_after_s=0.05)
        if "fails" in behaviour:
            raise StudioError("RENDER_FAILED")
        if "renders" in behaviour:
            ffmpeg.run(["-re", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=10", "-f", "null", "-"], timeout_s=60)
        if "later" in behaviour:
            return Pending(look_again_s=3600)
        looks = self._service.calls("looks").count(provider_id)
        if "never" in behaviour or looks < 2:
            return Pending(progress=0.5, look_again_s=0.05)
        progress(1.0)
        return Made("clip.mp4")

    def fetch(self, made: Made, target: Path) -> None:
        if "garbage" in self._service.behaviour:
            target.write_bytes(b"this is no film")
        else:
            shutil.copy(self._service.folder / made.location, target)

    def forget(self, made: Made) -> None:
        self._service.note("forgets", made.location)

    def cancel(self, provider_id: str) -> None:
        behaviour = self._service.behaviour
        self._service.note("cancels", provider_id)
        if "away" in behaviour:
            raise NotNow("the fake is away", retry_after_s=0.05)
        (self._service.folder / "jobs" / provider_id.removeprefix("fake-")).unlink(missing_ok=True)
