"""Cards: what each service can do, where it is, what it costs and how much of it an account may have. Data, not code.

There is one TOML file per provider in this folder. A deployer changes a value without touching it in two ways: by
environment variables (`ARK_BASE_URL`, `ARK_VIDEO_MODEL`, `ARK_VIDEO_CONCURRENT`, `ARK_VIDEO_PER_MINUTE`; the words for
the capabilities are those of `WORDS`), or by a file of the same name in the folder `PROVIDER_CARDS`, whose values take
the place of ours one by one: for prices, and for models that are newer than this version.

Prices are whole numbers of micros, millionths of the card's currency: a line of chat costs less than a cent.
"""

from __future__ import annotations

import math
import re
import tomllib
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec
from pydantic import SecretStr

from studio.errors import StudioError
from studio.language import Language
from studio.providers import fuse
from studio.providers.interfaces import Capability
from studio.settings import Settings

FOLDER = Path(__file__).parent

CONNECT_S = 10.0
"""How long a connection may take, beside the time for the request."""

WORDS = {
    Capability.ANIMATOR: "VIDEO",
    Capability.WRITER: "LLM",
    Capability.SEER: "VISION",
    Capability.TRANSCRIBER: "ASR",
    Capability.PAINTER: "IMAGE",
    Capability.VOICE: "TTS",
}
"""What each capability is called in the names of settings."""


class PictureLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a service takes for a picture. A drawing is made to fit: converted, scaled and padded, never cropped."""

    max_bytes: int
    least_side: int = 1
    most_side: int = 100_000
    least_ratio: float = 0.0
    """Width by height."""
    most_ratio: float = 1000.0


class ClipModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one model makes of a picture."""

    seconds: tuple[int, ...]
    """The lengths it offers."""
    default_seconds: int
    ratios: dict[str, str] = {}
    """What it offers, as people say it (16:9), and what the service calls that. Empty: it follows the drawing."""
    resolutions: tuple[str, ...] = ()
    default_resolution: str = ""
    prompt_max_chars: int
    picture: PictureLimits
    micros_per_second: dict[str, int] = {}
    """By resolution, "" where it offers none. Empty: no price is known."""
    micros_per_million_tokens: int | None = None
    """Where the tokens of what came out are charged, and reported afterwards; the seconds are the estimate then."""
    traits: frozenset[str] = frozenset()
    """Words that only its adapter understands."""


class PictureModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one model paints."""

    sizes: tuple[str, ...]
    """Width and height in pixels, 1024x1024; the first is the default."""
    prompt_max_chars: int
    micros_per_picture: int | None = None
    traits: frozenset[str] = frozenset()


class VoiceModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one model speaks."""

    voices: dict[Language, tuple[str, ...]]
    """Those that suit a story, by language; the first is the default."""
    text_max_chars: int
    micros_per_1000_chars: int | None = None
    traits: frozenset[str] = frozenset()


class TextModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one model reads and writes."""

    micros_per_call: int | None = None
    """What an answer of ours costs at most; reserved before the call. None where no price is known."""
    micros_per_million_input_tokens: int = 0
    micros_per_million_output_tokens: int = 0
    traits: frozenset[str] = frozenset()
    """Among them `json_schema` and `json_object`, for what it can be held to."""


class SpeechModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one model hears."""

    max_bytes: int
    """Of a recording, as it is sent."""
    max_seconds: int
    micros_per_hour: int | None = None
    traits: frozenset[str] = frozenset()


M = TypeVar("M", ClipModel, PictureModel, VoiceModel, TextModel, SpeechModel)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What an account may have of one capability, shared by all workers. None: the service sets no limit."""

    concurrent: int | None = None
    """How many may be in the making at once."""
    per_minute: int | None = None
    """How many may be asked for in a minute."""
    looks_per_minute: int | None = None
    """How often may be looked in a minute, over all that is in the making."""


class Offer(Limits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a provider does of one capability."""

    MOST_REQUESTS: ClassVar[int] = 1
    """Of which one call consists."""

    model: str
    """The one that is used where nobody asks for another."""
    timeout_s: float = 60.0
    """How long one request may take."""
    look_every_s: float = 5.0
    limit_s: float = 600.0
    """What is not there this long after it was asked for will never come."""
    unknown_for_s: float = 60.0
    """How long after a lost answer a call may still turn up in a lookup."""
    bills_failures: bool = False
    """What failed in the making is charged all the same."""

    @property
    def lasts_s(self) -> float:
        """How long after its intent a call is over at the latest."""
        return fuse.BEGINS_WITHIN_S + self.MOST_REQUESTS * (CONNECT_S + self.timeout_s)


class ClipOffer(Offer, frozen=True, kw_only=True):
    models: dict[str, ClipModel]
    micros_per_unit: int | None = None
    """What one of the service's own units (a credit, a unit of a pack) costs, where it reports its price in those."""


class PictureOffer(Offer, frozen=True, kw_only=True):
    models: dict[str, PictureModel]


class VoiceOffer(Offer, frozen=True, kw_only=True):
    models: dict[str, VoiceModel]


class TextOffer(Offer, frozen=True, kw_only=True):
    # An answer that is of no use is asked for once more.
    MOST_REQUESTS = 2

    models: dict[str, TextModel]
    others: TextModel | None = None
    """What is known of a model that is not among them; None where there is no other."""

    def known(self, model: str) -> TextModel | None:
        """What is known of a model; None where there is no such one."""
        return self.models.get(model, self.others)


class SpeechOffer(Offer, frozen=True, kw_only=True):
    models: dict[str, SpeechModel]


class Signing(StrEnum):
    """How a callback is signed."""

    NOT = "not"
    STANDARD = "standard"
    """As Standard Webhooks has it, where a secret was agreed on: `KLING_WEBHOOK_SECRET`."""
    FAL = "fal"
    """With the keys that fal publishes."""


class Callbacks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service that says by itself when something has changed."""

    ids: tuple[str, ...]
    """Where in what it sends its own id for what it makes may stand: `id`, or `data.id` for one inside of `data`."""
    signed: Signing = Signing.NOT


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider."""

    title: str
    """What it calls itself."""
    base_url: str
    keys: tuple[str, ...] = ()
    """The environment variables without which it cannot be used: its keys."""
    optional_keys: tuple[str, ...] = ()
    """Others that are as secret, and may be left out."""
    currency: str = ""
    """In which it charges: CNY, USD. "" where nothing is ever charged."""
    sources: tuple[str, ...] = ()
    """Where these facts were read, and when."""
    callbacks: Callbacks | None = None
    """None where it never calls back."""
    animator: ClipOffer | None = None
    writer: TextOffer | None = None
    seer: TextOffer | None = None
    transcriber: SpeechOffer | None = None
    painter: PictureOffer | None = None
    voice: VoiceOffer | None = None

    name: str = ""
    """The one in the settings; of the file."""
    secrets: dict[str, SecretStr] = {}
    """The keys, as far as they are set, and other secrets of this provider."""

    @property
    def is_free(self) -> bool:
        return not self.currency

    def secret(self, variable: str) -> str:
        """The value of an environment variable that holds a secret; "" when it is not set."""
        found = self.secrets.get(variable)
        return found.get_secret_value() if found else ""

    def missing_keys(self) -> list[str]:
        return [variable for variable in self.keys if not self.secret(variable)]

    def offer(self, capability: Capability) -> Offer:
        """What it does of a capability. Raises LookupError where that is nothing."""
        found = getattr(self, capability.value)
        if found is None:
            raise LookupError(f"{self.name} is no {capability.value}")
        return found  # type: ignore[no-any-return]  # each of these fields is an offer


def load(name: str, settings: Settings) -> Card:
    """A provider's card with what the settings change of it. Raises ValueError where that makes no sense."""
    data = _merged(_read(FOLDER / f"{name}.toml"), _read(settings.provider_cards / f"{name}.toml"))
    prefix = prefix_of(name)
    if given := settings.variable(f"{prefix}_BASE_URL"):
        data["base_url"] = given
    if isinstance(address := data.get("base_url"), str):
        data["base_url"] = _address(address, f"{prefix}_BASE_URL" if given else f"the card of {name}")
    for capability, word in WORDS.items():
        offer = data.get(capability.value)
        if offer is None:
            continue
        for field, ending in (("model", "MODEL"), ("concurrent", "CONCURRENT"), ("per_minute", "PER_MINUTE")):
            if value := settings.variable(f"{prefix}_{word}_{ending}"):
                offer[field] = value if field == "model" else _whole(f"{prefix}_{word}_{ending}", value)
    variables = {*data.get("keys", ()), *data.get("optional_keys", ()), f"{prefix}_WEBHOOK_SECRET"}
    secrets = {
        variable: SecretStr(_secret(variable, value))
        for variable in variables
        if (value := settings.variable(variable))
    }
    try:
        return msgspec.structs.replace(msgspec.convert(data, Card), name=name, secrets=secrets)
    except msgspec.ValidationError as error:
        raise ValueError(f"the card of {name}: {error}") from error


def calling_back(settings: Settings) -> dict[str, Callbacks]:
    """All providers that call back, whether or not anything is asked of them now: a film may have been, before."""
    found = {path.stem: load(path.stem, settings).callbacks for path in sorted(FOLDER.glob("*.toml"))}
    return {name: callbacks for name, callbacks in found.items() if callbacks}


def prefix_of(name: str) -> str:
    """What the names of a provider's settings begin with."""
    return name.upper().replace("-", "_")


def model_named(card: Card, capability: Capability, models: dict[str, M], model: str) -> M:
    """What a card tells of a model. Raises StudioError("MODEL_UNKNOWN")."""
    if model not in models:
        raise model_unknown(card, capability, model)
    return models[model]


def unknown_model(card: Card, capability: Capability) -> str | None:
    """What is to be said at the start about a default model that the card does not tell of; None where it does."""
    offer = card.offer(capability)
    models = getattr(offer, "models", {})
    if offer.model in models or getattr(offer, "others", None):
        return None
    setting = f"{prefix_of(card.name)}_{WORDS[capability]}_MODEL"
    return (
        f"{setting}={offer.model} is not on the card of {card.name}, which tells of {', '.join(sorted(models))}. "
        f"Tell of another one in {card.name}.toml in the folder PROVIDER_CARDS."
    )


def price_of_answer(offer: Offer, *, seconds: float = 0.0) -> int | None:
    """What an answer costs at most, with `seconds` of sound in the question; None where no price is known."""
    match offer:
        case TextOffer(model=model, models=models) if model in models:
            return models[model].micros_per_call
        case SpeechOffer(model=model, models=models) if model in models:
            per_hour = models[model].micros_per_hour
            return None if per_hour is None else math.ceil(per_hour * seconds / 3600)
        case _:
            return None


def model_unknown(card: Card, capability: Capability, model: str) -> StudioError:
    """There is no such model, or not any more; it names the setting that chooses it."""
    offered = sorted(set(getattr(card.offer(capability), "models", {})) - {model})
    return StudioError(
        "MODEL_UNKNOWN",
        provider=card.title,
        model=model,
        offered=", ".join(offered) or "–",
        setting=f"{prefix_of(card.name)}_{WORDS[capability]}_MODEL",
    )


def _address(url: str, where: str) -> str:
    """Without its last slash. Empty is that of a node which nobody has set yet."""
    if url and not re.fullmatch(r"https?://[^/?#@\s]+(?:/[^?#\s]*)?", url):
        # It would be found out by the first film, which would wait for a service that cannot be reached.
        raise ValueError(f"{where}: its address has to begin with https:// or http://, and be no more than an address")
    return url.rstrip("/")


def _secret(variable: str, value: str) -> str:
    # A header that holds it would not be sent, and the exception that says so would tell the key.
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"{variable} holds a character that no key has")
    return value


def _whole(variable: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"{variable} has to be a whole number from 1 on")
    return int(value)


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(_text(path))


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged, everything else is replaced."""
    merged = dict(base)
    for name, value in over.items():
        before = merged.get(name)
        merged[name] = _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged
