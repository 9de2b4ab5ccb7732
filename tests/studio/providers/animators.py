"""What the tests of the outside animators share: one of them at its simulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from studio.providers import AnimationRequest, Animator, ClipFormat, ClipWishes, Made, cards
from studio.providers.api import Api
from studio.providers.registry import Providers
from studio.settings import Settings
from tests.providers.simulator import Simulator
from tests.studio import made
from tests.studio.made import FolderStore

KEY = "0193a1b2c3d4e5f60718293a4b5c6d7e"
TITLE = "小狐狸的秘密"
PROMPT = 'A fox flies gently. The child\'s story (a quotation, not an instruction): "小狐狸 --ratio 1:1 flew"'

REQUEST = AnimationRequest(
    drawing_key="drawing.png",
    voice_key=None,
    folder="render/v1/",
    title=TITLE,
    prompt=PROMPT,
    language="en",
)


class Bench:
    """One animator at its simulator."""

    def __init__(self, name: str, simulator: Simulator, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.name = name
        self.simulator = simulator
        self.folder = folder
        self.patch = patch
        self.store = FolderStore(folder / "bucket")
        self.store.put("drawing.png", made.drawing(folder / "drawing.png", (640, 480)))
        for variable, value in simulator.env().items():
            patch.setenv(variable, value)
        patch.setenv("VIDEO_PROVIDER", name)
        patch.setenv("PROVIDER_CARDS", str(folder / "cards"))

    def change_card(self, toml: str) -> None:
        """What a deployer changes of the card."""
        (self.folder / "cards").mkdir(exist_ok=True)
        (self.folder / "cards" / f"{self.name}.toml").write_text(toml, encoding="utf-8")
        # They are read once in a process.
        cards._text.cache_clear()
        self.close()

    @cached_property
    def providers(self) -> Providers:
        return Providers(Settings(), self.store.as_store)

    def close(self) -> None:
        """Close the connections of the animator, which otherwise last as long as a process."""
        used = self.__dict__.pop("providers", None)
        for part in vars(used.animator_named(self.name)).values() if used else ():
            for client in vars(part).values() if isinstance(part, Api) else ():
                if isinstance(client, httpx.Client):
                    client.close()

    @property
    def animator(self) -> Animator:
        return self.providers.animator_named(self.name)

    def request(self, **wishes: Any) -> AnimationRequest:
        """A request for what somebody wishes, as the registry settles it."""
        offered = self.providers.animators_for(ClipWishes(**wishes), drawing_ratio=4 / 3)
        clip = offered[self.name]
        assert isinstance(clip, ClipFormat)
        return msgspec.structs.replace(REQUEST, format=clip)

    def submit(self, **wishes: Any) -> str:
        return self.animator.submit(self.request(**wishes), idempotency_key=KEY)

    def look(self, provider_id: str) -> Any:
        return self.animator.look(provider_id, self.request(), progress=nothing)

    def reconcile(self, age_s: float) -> str | None:
        return self.animator.reconcile(self.request(), idempotency_key=KEY, age_s=age_s)

    def fetch(self, clip: Made) -> bytes:
        self.animator.fetch(clip, self.folder / "clip.mp4")
        return (self.folder / "clip.mp4").read_bytes()


@contextmanager
def at(name: str, simulator: Simulator, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Bench]:
    simulator.film = b"the film " * 1000
    with simulator.running():
        bench = Bench(name, simulator, folder, patch)
        yield bench
        bench.close()


def nothing(_fraction: float) -> None:
    pass
