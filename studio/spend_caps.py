"""Whether the caps on spending can be kept with the providers that the settings choose: looked at before any is asked.

A cap holds only for what can be counted, so each chosen service needs a price, in a currency that every cap names.
"""

from __future__ import annotations

from typing import Any

from studio.providers.cards import (
    WORDS,
    Card,
    ClipModel,
    PictureModel,
    SpeechModel,
    TextModel,
    VoiceModel,
    prefix_of,
)
from studio.providers.interfaces import Capability
from studio.settings import Settings

CAPS = ("spend_cap_day", "spend_cap_client_day", "spend_cap_total")


def require_countable(settings: Settings, capability: Capability, card: Card | None) -> None:
    """Raises ValueError where there are caps, and a provider charges what they cannot count."""
    caps = {cap: amounts for cap in CAPS if (amounts := getattr(settings, cap))}
    if card is None or card.is_free or not caps:
        return
    for cap, amounts in caps.items():
        if card.currency not in amounts:
            name = cap.upper()
            raise ValueError(
                f"{name} names no amount in {card.currency}, in which {card.name} charges; "
                f"add one, as in: {name}=..., {card.currency} 5."
            )
    offer: Any = card.offer(capability)
    if not _has_price(offer.models.get(offer.model)):
        names = " and ".join(map(str.upper, caps))
        file = settings.provider_cards / f"{card.name}.toml"
        raise ValueError(
            f"No price is known of {offer.model} of {card.name}, so {names} cannot be kept; "
            f"write it into {file}, or choose another model by {prefix_of(card.name)}_{WORDS[capability]}_MODEL."
        )


def _has_price(model: object) -> bool:
    """Whether what is made where nobody wishes for anything else has a price."""
    match model:
        case ClipModel():
            return model.default_resolution in model.micros_per_second
        case PictureModel():
            return model.micros_per_picture is not None
        case VoiceModel():
            return model.micros_per_1000_chars is not None
        case TextModel():
            return model.micros_per_call is not None
        case SpeechModel():
            return model.micros_per_hour is not None
    return False
