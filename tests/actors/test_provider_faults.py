"""Fault by fault and provider by provider: what becomes of a film, and what people are told about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.client import Client
from studio.errors import StudioError
from studio.providers import Reading
from studio.providers.local_seer import LocalSeer
from tests.product import Product, new_client
from tests.providers.choosing import filming
from tests.providers.simulator import Fault, Simulator
from tests.providers.simulators import ANIMATORS
from tests.waiting import eventually

# By a lookup, or by an id of ours that counts once, what became of a lost answer can be known.
KNOWS = {"ark", "kling", "kling-legacy", "node"}

READING = Reading({"zh": "一幅画", "en": "A drawing"}, [], [], [], {}, 0.5, "pixels")
DONE = ("succeeded", None)
IN_DOUBT = ("needs_attention", "OUTCOME_UNKNOWN")

OUTCOMES: dict[tuple[str, Fault], tuple[str, str | None]] = {
    ("create", Fault.SLOW): DONE,
    ("create", Fault.BUSY): DONE,
    ("create", Fault.BUSY_WITH_RETRY_AFTER): DONE,
    ("create", Fault.BROKEN): DONE,
    ("create", Fault.GATEWAY): IN_DOUBT,
    ("create", Fault.DROPPED): IN_DOUBT,
    ("create", Fault.LOST): IN_DOUBT,
    ("create", Fault.MALFORMED): IN_DOUBT,
    ("create", Fault.REJECTED): ("failed", "CONTENT_REJECTED"),
    ("create", Fault.UNAUTHORIZED): ("failed", "PROVIDER_ACCOUNT"),
    ("create", Fault.SPENT): ("failed", "PROVIDER_QUOTA"),
    ("create", Fault.NO_MODEL): ("failed", "MODEL_UNKNOWN"),
    ("create", Fault.REJECTED_LATER): ("failed", "CONTENT_REJECTED"),
    ("create", Fault.FAILED): ("failed", "RENDER_FAILED"),
    ("create", Fault.NEVER): ("failed", "PROVIDER_TIMEOUT"),
    ("look", Fault.BUSY): DONE,
    ("look", Fault.BROKEN): DONE,
    ("look", Fault.GATEWAY): DONE,
    ("look", Fault.LOST): DONE,
    ("look", Fault.MALFORMED): DONE,
    ("download", Fault.TRUNCATED): DONE,
    ("download", Fault.BROKEN): DONE,
    ("download", Fault.EXPIRED): ("failed", "CLIP_GONE"),
}
SPECIAL: dict[tuple[str, str, Fault], tuple[str, str | None]] = {
    # It says itself that these are never accepted.
    ("runway", "create", Fault.GATEWAY): DONE,
    # A look at a finished task tells a new address.
    ("runway", "download", Fault.EXPIRED): DONE,
    # Whatever stands behind the queue may have failed after it was asked.
    ("pika", "create", Fault.BROKEN): IN_DOUBT,
    # It tells no reason in words that a program could read.
    ("runway", "create", Fault.REJECTED): ("failed", "PROVIDER_REFUSED"),
}


def wanted(provider: str, operation: str, fault: Fault) -> tuple[str, str | None]:
    special = SPECIAL.get((provider, operation, fault))
    usual = OUTCOMES[operation, fault]
    # Where it can be known, the call is found, or made once more.
    return special or (DONE if usual == IN_DOUBT and provider in KNOWS else usual)


@pytest.fixture(scope="module")
def family(web: str, drawing: Path) -> Iterator[tuple[Client, str]]:
    """A client and the drawing of all its artworks."""
    with new_client(web) as client:
        yield client, client.upload(drawing, "image")["mediaAssetId"]


@contextmanager
def made_by(provider: str, product: Product, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Simulator]:
    """The product with this provider for its films, and the service as it is simulated."""
    card = "unknown_for_s = 0.3\nlook_every_s = 0.1\nlimit_s = 60.0\n"
    with filming(product, monkeypatch, folder, {provider: card}) as simulators:
        # The reading of a drawing, which comes after the film, is not what this is about.
        monkeypatch.setattr(LocalSeer, "read", lambda *_arguments, **_named: READING)
        monkeypatch.setattr("actors.waiting.SOONEST_S", 0.05)
        monkeypatch.setattr("studio.gates.gates.BUSY_S", 0.05)
        yield simulators[provider]


CASES = [
    pytest.param(provider, operation, fault, id=f"{provider}-{operation}-{fault}")
    for provider in ANIMATORS
    for operation, fault in OUTCOMES
    # A node of one's own charges nothing.
    if (provider, fault) != ("node", Fault.SPENT)
]


@pytest.mark.parametrize(("provider", "operation", "fault"), CASES)
@pytest.mark.usefixtures("crew")
def test_a_fault_of_a_provider_comes_to_this(
    family: tuple[Client, str],
    product: Product,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    provider: str,
    operation: str,
    fault: Fault,
) -> None:
    client, cover_asset_id = family
    with made_by(provider, product, monkeypatch, tmp_path) as simulator:
        if fault is Fault.NEVER:
            monkeypatch.setattr(product.studio.providers.animator_named(provider), "limit_s", 0.3)
        simulator.fail(operation, fault)
        story = {"title": "Fox", "description": "A fox flies.", "coverAssetId": cover_asset_id}
        artwork_id = client.post("/artworks", story)["artworkId"]
        path = f"/generation/jobs/{client.post('/generation/jobs', {'artworkId': artwork_id})['jobId']}"
        eventually(lambda: client.get(path)["finishedAt"], limit_s=60)
        ended = client.get(path)
        status, symbol = wanted(provider, operation, fault)
        assert (ended["status"], (ended["error"] or {}).get("code")) == (status, symbol)
        assert len(simulator.tasks) <= 1, "nothing is asked for twice"
        assert len(simulator.tasks) == 1 or status != "succeeded"
        told = json.dumps([ended, client.get(f"/artworks/{artwork_id}")], ensure_ascii=False)
        assert not [words for words in simulator.said if words in told], "no words of a provider reach people"


@pytest.mark.parametrize(("symbol", "state"), [("CLIP_GONE", "settled"), ("RENDER_FAILED", "refunded")])
@pytest.mark.usefixtures("crew")
def test_a_clip_that_was_made_is_charged_though_nobody_gets_it(
    family: tuple[Client, str],
    product: Product,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    symbol: str,
    state: str,
) -> None:
    def told(*_arguments: object, **_named: object) -> None:
        raise StudioError(symbol)

    client, cover_asset_id = family
    with made_by("ark", product, monkeypatch, tmp_path):
        monkeypatch.setattr(product.studio.providers.animator_named("ark"), "look", told)
        artwork = {"title": "Fox", "description": "A fox flies.", "coverAssetId": cover_asset_id}
        artwork_id = client.post("/artworks", artwork)["artworkId"]
        job_id = client.post("/generation/jobs", {"artworkId": artwork_id})["jobId"]
        eventually(lambda: client.get(f"/generation/jobs/{job_id}")["finishedAt"], limit_s=60)
        (entry,) = product.studio.database["ledger"].find({"job_id": job_id})
        assert entry["state"] == state
