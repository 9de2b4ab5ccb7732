"""What the tests of all chat models share: the services at work, and the models that talk to them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from studio.providers import PaidCall, cards
from studio.providers.chat import ChatModel
from studio.settings import Settings
from tests.providers.conversations import Talker
from tests.studio.made import FolderStore

PRICES = "micros_per_million_input_tokens = 250_000\nmicros_per_million_output_tokens = 2_000_000\n"
"""What the tests let every model cost, for a million tokens: 0.25 and 2."""
COST = 98
"""Of the 120 and 34 tokens that a simulator counts for an answer, at these prices."""


@dataclass
class Chat:
    """A chat model, and the service that it talks to."""

    model: ChatModel
    service: Talker

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What the service was sent."""
        return [request.json for request in self.service.asked("chat")]

    def refine(self, call: PaidCall | None = None) -> str:
        """The narration of a short story. Raises as the model does."""
        told = call or PaidCall("k1")
        return self.model.refine("狐狸飞走了", title="", language="zh", call=told).narration


@contextmanager
def talking(
    service: Talker, kind: type[ChatModel], folder: Path, monkeypatch: pytest.MonkeyPatch, **variables: str
) -> Iterator[Chat]:
    """A chat model of a kind, with prices, and its service. `variables` are settings."""
    with service.running():
        for name, value in (service.env() | variables).items():
            monkeypatch.setenv(name, value)
        offered = cards.load(kind.name, Settings())
        tables = [
            f'[{table}.models."{name}"]\n{PRICES}'
            for table, offer in (("writer", offered.writer), ("seer", offered.seer))
            for name in (offer.models if offer else ())
        ]
        (folder / f"{kind.name}.toml").write_text("\n".join(tables), encoding="utf-8")
        model = kind(Settings(provider_cards=folder), FolderStore(folder).as_store)
        yield Chat(model, service)
        close(model)


def close(model: ChatModel) -> None:
    """Close the connections, which otherwise last as long as a process."""
    for api in model._apis.values():
        for client in vars(api).values():
            if isinstance(client, httpx.Client):
                client.close()


def draft(narration: str, scene: str = "小狐狸轻轻地飘。", **more: Any) -> str:
    """What a model answers as a writer."""
    return json.dumps({"narration": narration, "scene": scene, **more}, ensure_ascii=False)
