"""The product with outside providers of a test's choice, and the simulators that they talk to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from studio.providers import Providers
from studio.settings import Settings
from tests.product import Product
from tests.providers.simulator import Simulator
from tests.providers.simulators import ANIMATORS


@contextmanager
def filming(
    product: Product, patch: pytest.MonkeyPatch, folder: Path, cards: Mapping[str, str]
) -> Iterator[dict[str, Simulator]]:
    """Let these animators, the preferred one first, make the films; `cards` is what is changed of each one's offer.

    Their simulators, by the names of the animators; some share one. The environment is set for worker processes too.
    """
    running: dict[type[Simulator], Simulator] = {}
    (folder / "cards").mkdir()
    with ExitStack() as stack:
        for name, offer in cards.items():
            (folder / "cards" / f"{name}.toml").write_text(f"[animator]\n{offer}")
            kind = ANIMATORS[name]
            if kind not in running:
                running[kind] = kind()
                running[kind].film = product.service.clip.read_bytes()
                stack.enter_context(running[kind].running())
                for variable, value in running[kind].env().items():
                    patch.setenv(variable, value)
        patch.setenv("VIDEO_PROVIDER", ",".join(cards))
        patch.setenv("PROVIDER_CARDS", str(folder / "cards"))
        patch.setattr(product.studio, "providers", Providers(Settings(), product.studio.objects))
        for places in ("gates", "gate_places"):
            product.studio.database[places].delete_many({})
        product.studio.gates._believed.clear()
        yield {name: running[ANIMATORS[name]] for name in cards}
