"""A deployment with caps on spending does not start where they could not be kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from studio.objects import ObjectStore
from studio.providers import Capability, Providers, cards, registry
from studio.settings import Settings
from studio.spend_caps import require_countable

CARD = """
title = "Somebody"
base_url = "https://somebody.example"
currency = "USD"

[voice]
model = "plain"
[voice.models.plain]
voices.en = ["ann"]
text_max_chars = 100
micros_per_1000_chars = 15_000
[voice.models.new]
voices.en = ["ann"]
text_max_chars = 100

[animator]
model = "film"
[animator.models.film]
seconds = [5]
default_seconds = 5
resolutions = ["720p", "1080p"]
default_resolution = "720p"
prompt_max_chars = 100
picture.max_bytes = 1
micros_per_second."1080p" = 50_000

[painter]
model = "paint"
[painter.models.paint]
sizes = ["1x1"]
prompt_max_chars = 100

[writer]
model = "words"
[writer.models.words]
micros_per_million_input_tokens = 1

[transcriber]
model = "ears"
[transcriber.models.ears]
max_bytes = 1
max_seconds = 1
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes settings of a deployment that knows one provider by its card."""
    (tmp_path / "somebody.toml").write_text(CARD)
    monkeypatch.setattr(cards, "FOLDER", tmp_path)
    for name in ("SOMEBODY_TTS_MODEL", "TTS_PROVIDER", "SPEND_CAP_DAY", "SPEND_CAP_CLIENT_DAY", "SPEND_CAP_TOTAL"):
        monkeypatch.delenv(name, raising=False)

    def made(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return Settings(provider_cards=tmp_path / "provider-cards")

    return made


def check(settings: Settings, capability: Capability = Capability.VOICE) -> None:
    require_countable(settings, capability, cards.load("somebody", settings))


def test_without_caps_nothing_needs_a_price(settings: Any) -> None:
    for capability in (Capability.VOICE, Capability.ANIMATOR, Capability.PAINTER):
        check(settings(), capability)


def test_a_price_in_the_currency_of_every_cap_is_enough(settings: Any) -> None:
    check(settings(SPEND_CAP_DAY="CNY 50, USD 7.5", SPEND_CAP_TOTAL="USD 100"))


@pytest.mark.parametrize("name", ["SPEND_CAP_DAY", "SPEND_CAP_CLIENT_DAY", "SPEND_CAP_TOTAL"])
def test_a_cap_that_does_not_name_a_providers_currency_is_told_with_its_setting(settings: Any, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} names no amount in USD, in which somebody charges"):
        check(settings(**{name: "CNY 50"}))


@pytest.mark.parametrize(
    "capability", [Capability.ANIMATOR, Capability.PAINTER, Capability.WRITER, Capability.TRANSCRIBER]
)
def test_a_default_without_a_price_is_told_with_where_to_write_it(settings: Any, capability: Capability) -> None:
    setting = f"SOMEBODY_{cards.WORDS[capability]}_MODEL"
    with pytest.raises(ValueError, match=rf"No price is known of .*somebody\.toml.* by {setting}\."):
        check(settings(SPEND_CAP_DAY="USD 5"), capability)


def test_a_price_that_the_deployer_writes_is_a_price(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "provider-cards").mkdir()
    (tmp_path / "provider-cards" / "somebody.toml").write_text("[painter.models.paint]\nmicros_per_picture = 20_000\n")
    check(settings(SPEND_CAP_DAY="USD 5"), Capability.PAINTER)


def test_the_model_that_is_looked_at_is_the_one_that_the_settings_choose(settings: Any) -> None:
    for model in ("new", "nobody-knows-it"):
        with pytest.raises(ValueError, match=f"No price is known of {model} of somebody"):
            check(settings(SPEND_CAP_DAY="USD 5", SOMEBODY_TTS_MODEL=model))


def test_providers_without_a_card_are_free() -> None:
    require_countable(Settings.model_validate({"spend_cap_day": "USD 5"}), Capability.VOICE, None)


def test_a_deployment_that_cannot_keep_its_caps_does_not_start(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._registry[Capability.VOICE], "somebody", "nowhere:Voice")
    chosen = settings(TTS_PROVIDER="somebody", SPEND_CAP_DAY="CNY 5")
    with pytest.raises(ValueError, match="SPEND_CAP_DAY names no amount in USD"):
        Providers(chosen, ObjectStore(chosen))


@pytest.mark.parametrize("text", ["50", "CNY fifty", "CNY 1, CNY 2"])
def test_a_cap_that_is_no_amount_is_refused_with_how_to_write_one(settings: Any, text: str) -> None:
    with pytest.raises(ValidationError, match=r"CNY 50, USD 7\.5"):
        settings(SPEND_CAP_DAY=text)
