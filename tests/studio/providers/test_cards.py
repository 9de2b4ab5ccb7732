"""Cards: every one makes sense, and a deployer can change what it says without touching it."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.objects import ObjectStore
from studio.providers import Capability, ClipWishes, Providers, cards
from studio.providers.formats import settle
from studio.settings import Settings

NAMES = sorted(path.stem for path in cards.FOLDER.glob("*.toml"))


@pytest.mark.parametrize("name", NAMES)
def test_every_card_offers_what_it_has_by_default(name: str) -> None:
    card = cards.load(name, Settings())
    assert card.sources or card.is_free, "where its facts were read"
    offered = [capability for capability in Capability if getattr(card, capability) is not None]
    assert offered
    for capability in offered:
        assert cards.unknown_model(card, capability) is None
    if card.animator:
        for model in card.animator.models:
            chosen = settle(card, card.animator, ClipWishes(model=model), drawing_ratio=4 / 3)
            again = ClipWishes(model=model, seconds=chosen.seconds, resolution=chosen.resolution or None)
            assert settle(card, card.animator, again, drawing_ratio=4 / 3) == chosen


@pytest.mark.parametrize("name", ["ark", "kling", "kling-legacy"])
def test_where_a_lookup_decides_no_request_takes_longer_than_a_lost_one_is_waited_for(name: str) -> None:
    # Otherwise a call that is still on its way would count as never made.
    offer = cards.load(name, Settings()).offer(Capability.ANIMATOR)
    assert offer.timeout_s < offer.unknown_for_s


def test_the_environment_changes_what_a_card_says(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {
        "ARK_BASE_URL": "https://ark.example/api/",
        "ARK_VIDEO_MODEL": "doubao-seedance-1-0-pro-250528",
        "ARK_VIDEO_CONCURRENT": "3",
        "ARK_VIDEO_PER_MINUTE": "60",
    }
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    card = cards.load("ark", Settings())
    assert card.animator is not None
    assert card.base_url == "https://ark.example/api"
    assert card.animator.model == changes["ARK_VIDEO_MODEL"]
    assert (card.animator.concurrent, card.animator.per_minute) == (3, 60)


def test_a_number_that_is_none_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARK_VIDEO_CONCURRENT", "many")
    with pytest.raises(ValueError, match="ARK_VIDEO_CONCURRENT"):
        cards.load("ark", Settings())


def test_a_deployers_card_changes_single_values_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pika.toml").write_text(
        'currency = "EUR"\n[animator.models."v2.2/image-to-video".micros_per_second]\n"720p" = 40000\n'
    )
    monkeypatch.setenv("PROVIDER_CARDS", str(tmp_path))
    card = cards.load("pika", Settings())
    assert card.animator is not None
    assert card.currency == "EUR"
    [model] = [model for model in card.animator.models.values() if model.micros_per_second]
    assert model.micros_per_second == {"720p": 40_000}
    assert model.seconds == (5, 10), "everything else is as it was"


def test_a_card_that_makes_no_sense_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pika.toml").write_text("[animator]\nconcurent = 3\n")
    monkeypatch.setenv("PROVIDER_CARDS", str(tmp_path))
    with pytest.raises(ValueError, match=r"the card of pika: .*concurent"):
        cards.load("pika", Settings())


def test_a_model_that_no_card_tells_of_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"VIDEO_PROVIDER": "ark", "ARK_API_KEY": "k", "ARK_VIDEO_MODEL": "ep-1"}.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    with pytest.raises(ValueError, match="ARK_VIDEO_MODEL=ep-1 is not on the card of ark"):
        Providers(settings, ObjectStore(settings))


def test_a_missing_key_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_PROVIDER", "local,pika")
    settings = Settings()
    with pytest.raises(ValueError, match="VIDEO_PROVIDER=pika needs FAL_KEY"):
        Providers(settings, ObjectStore(settings))
