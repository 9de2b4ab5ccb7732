"""docs/providers.md and .env.example tell of what there is."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from studio.callbacks import CALLING
from studio.providers import Capability, cards
from studio.providers.registry import _SETTINGS, _registry
from studio.settings import Settings
from studio.spend_caps import _has_price

ROOT = Path(__file__).parents[3]
PROVIDERS = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
# name, work, keys, address, price, lost answer, callback
ROWS = {row[0]: row for row in re.findall(r"^\| `([\w-]+)` \|" + r" (.*?) \|" * 6 + "$", PROVIDERS, re.MULTILINE)}
NAMES = sorted({name for names in _registry.values() for name in names})
CARDS = sorted(path.stem for path in cards.FOLDER.glob("*.toml"))


def test_every_provider_has_a_row_and_no_other_does() -> None:
    # Tests make a fake one known.
    assert set(ROWS) == set(NAMES) - {"fake"}
    assert set(CARDS) == set(ROWS) - {"local"}


@pytest.mark.parametrize("name", CARDS)
def test_a_row_tells_what_the_card_says(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(f"{cards.prefix_of(name)}_BASE_URL", raising=False)
    monkeypatch.setenv("PROVIDER_CARDS", str(tmp_path))
    card = cards.load(name, Settings())
    _, work, keys, address, price, _, callback = ROWS[name]
    assert re.findall(r"`(\w+)`", keys) == [*card.keys, *card.optional_keys]
    assert card.base_url in address
    assert price.startswith(f"{card.currency}: " if card.currency else "免费 free")
    assert (callback == "是 yes") is (name in CALLING)
    told = {
        word: model
        for words, model in re.findall(r"((?:[A-Z]+,? )+)`(.+?)`", work)
        for word in re.findall(r"[A-Z]+", words)
    }
    offers = {capability: card.offer(capability) for capability in Capability if getattr(card, capability)}
    assert told == {cards.WORDS[capability]: offer.model for capability, offer in offers.items()}
    assert {capability for capability, names in _registry.items() if name in names} == set(offers)
    has_price = any(_has_price(model) for offer in offers.values() for model in getattr(offer, "models").values())  # noqa: B009
    assert price.endswith("–") is (bool(card.currency) and not has_price)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (name, path)
        for capability in (Capability.WRITER, Capability.SEER, Capability.TRANSCRIBER)
        for name, path in _registry[capability].items()
    ],
)
def test_a_row_tells_whether_words_whose_answer_was_lost_may_be_asked_for_again(name: str, path: str) -> None:
    module, _, kind = path.partition(":")
    answerer = getattr(import_module(module), kind)
    said = ROWS[name][5].rpartition("; ")[2]
    assert said.endswith("同一次 same call" if answerer.repeats_safely else "人工 a person")


def test_the_example_of_the_settings_names_all_that_chooses_providers() -> None:
    named = dict(re.findall(r"^# ([A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    fields = [*_SETTINGS.values(), "provider_cards", "fall_back_after_s", "give_up_after_s"]
    defaults = Settings.model_construct()
    for field in fields:
        default = getattr(defaults, field)
        wanted = (
            ",".join(default)
            if isinstance(default, tuple)
            else f"{default:g}"
            if field.endswith("_s")
            else str(default)
        )
        assert named[field.upper()] == wanted
    settings = Settings()
    for name in CARDS:
        card = cards.load(name, settings)
        assert {*card.keys, *card.optional_keys} <= named.keys(), name
