"""Which service does what: one line per provider and capability, chosen by name in the settings or by a request."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from studio.errors import StudioError
from studio.objects import ObjectStore
from studio.providers import cards
from studio.providers.cards import Card, ClipOffer
from studio.providers.formats import ClipWishes, settle
from studio.providers.interfaces import Animator, Capability, ClipFormat, Maker
from studio.settings import Settings
from studio.spend_caps import require_countable

# Modules are named, not imported, so that a provider nobody chose costs nothing at start.
_registry: dict[str, dict[str, str]] = {
    Capability.ANIMATOR: {
        "local": "studio.providers.local_animator:LocalAnimator",
        "ark": "studio.providers.ark_animator:ArkAnimator",
        "runway": "studio.providers.runway_animator:RunwayAnimator",
        "kling": "studio.providers.kling_animator:KlingAnimator",
        "kling-legacy": "studio.providers.kling_legacy_animator:KlingLegacyAnimator",
        "pika": "studio.providers.pika_animator:PikaAnimator",
        "node": "studio.providers.node_makers:NodeAnimator",
    },
    Capability.WRITER: {
        "local": "studio.providers.local_writer:LocalWriter",
        "ark": "studio.providers.ark_chat:ArkChat",
        "openai": "studio.providers.openai_chat:OpenAIChat",
        "anthropic": "studio.providers.anthropic_chat:AnthropicChat",
        "qwen": "studio.providers.qwen_chat:QwenChat",
        "ollama": "studio.providers.ollama_chat:OllamaChat",
    },
    Capability.SEER: {
        "local": "studio.providers.local_seer:LocalSeer",
        "ark": "studio.providers.ark_chat:ArkChat",
        "openai": "studio.providers.openai_chat:OpenAIChat",
        "anthropic": "studio.providers.anthropic_chat:AnthropicChat",
        "qwen": "studio.providers.qwen_chat:QwenChat",
        "ollama": "studio.providers.ollama_chat:OllamaChat",
    },
    Capability.TRANSCRIBER: {
        "local": "studio.providers.local_transcriber:LocalTranscriber",
        "doubao": "studio.providers.doubao_transcriber:DoubaoTranscriber",
        "doubao-standard": "studio.providers.doubao_standard_transcriber:DoubaoStandardTranscriber",
        "openai": "studio.providers.openai_transcriber:OpenAITranscriber",
        "qwen": "studio.providers.qwen_transcriber:QwenTranscriber",
    },
    Capability.PAINTER: {
        "local": "studio.providers.local_painter:LocalPainter",
        "z-image": "studio.providers.z_image_painter:ZImagePainter",
        "wan": "studio.providers.wan_painter:WanPainter",
        "seedream": "studio.providers.seedream_painter:SeedreamPainter",
        "openai": "studio.providers.openai_painter:OpenAIPainter",
        "node": "studio.providers.node_makers:NodePainter",
    },
    Capability.VOICE: {
        "local": "studio.providers.local_voice:LocalVoice",
        "cosyvoice": "studio.providers.cosyvoice_voice:CosyVoice",
        "openai": "studio.providers.openai_voice:OpenAIVoice",
        "node": "studio.providers.node_makers:NodeVoice",
    },
}

_SETTINGS = {
    Capability.ANIMATOR: "video_provider",
    Capability.WRITER: "llm_provider",
    Capability.SEER: "llm_provider",
    Capability.TRANSCRIBER: "asr_provider",
    Capability.PAINTER: "image_provider",
    Capability.VOICE: "tts_provider",
}


def register(capability: str, name: str, path: str) -> None:
    """Make a provider known; `path` is "module:Class", whose constructor takes the settings and the object store."""
    _registry[capability][name] = path


class Providers:
    """The providers that the settings choose, each made when first used.

    Raises ValueError, at the start, where somebody looks, and not in the middle of the first film: for a name that
    nobody knows, for a key that is missing, for a card that makes no sense, and for prices that no cap can count.
    """

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        self._settings = settings
        self._objects = objects
        self._made: dict[tuple[str, str], Any] = {}
        self._cards: dict[str, Card] = {}
        for capability, setting in _SETTINGS.items():
            names, known = self.preferred(capability), _registry[capability]
            if not names:
                raise ValueError(f"{setting.upper()} names no provider; choose one of: {', '.join(sorted(known))}.")
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"{setting.upper()}={name} is not known; choose one of: {', '.join(sorted(known))}."
                    )
                card = self.card(name)
                if card and (missing := card.missing_keys()):
                    raise ValueError(f"{setting.upper()}={name} needs {' and '.join(missing)}.")
                if card and (unknown := cards.unknown_model(card, capability)):
                    raise ValueError(unknown)
                require_countable(settings, capability, card)
                if card:
                    # One that cannot work here says so when it is made.
                    self.named(capability, name)

    def preferred(self, capability: Capability) -> tuple[str, ...]:
        """The names of the providers that the settings choose, the preferred one first."""
        names: tuple[str, ...] = getattr(self._settings, _SETTINGS[capability])
        return names

    def chosen(self, capability: Capability) -> str:
        """The preferred one."""
        return self.preferred(capability)[0]

    def card(self, name: str) -> Card | None:
        """What a provider tells of itself; None for those that have nothing to tell: they are free."""
        if name not in self._cards:
            if not (cards.FOLDER / f"{name}.toml").is_file():
                return None
            self._cards[name] = cards.load(name, self._settings)
        return self._cards[name]

    def named(self, capability: Capability, name: str) -> Any:
        """A provider by its name, whatever the settings say by now."""
        if (capability, name) not in self._made:
            module, _, attribute = _registry[capability][name].partition(":")
            self._made[capability, name] = getattr(import_module(module), attribute)(self._settings, self._objects)
        return self._made[capability, name]

    def maker(self, capability: Capability, name: str) -> Maker[Any]:
        """One of those that take their time."""
        return cast("Maker[Any]", self.named(capability, name))

    def animator_named(self, name: str) -> Animator:
        """The one that a film was asked of."""
        return cast("Animator", self.named(Capability.ANIMATOR, name))

    def animators_for(self, wishes: ClipWishes, *, drawing_ratio: float) -> dict[str, ClipFormat | None]:
        """The animators that can make what somebody wishes, the preferred one first, and what each is to be asked for.

        Raises StudioError where there is none: PROVIDER_NOT_OFFERED, MODEL_UNKNOWN, CLIP_NOT_OFFERED.
        """
        names = self.preferred(Capability.ANIMATOR)
        if wishes.provider is not None:
            if wishes.provider not in names:
                raise StudioError("PROVIDER_NOT_OFFERED", value=wishes.provider[:40], offered=", ".join(names))
            names = (wishes.provider,)
        found: dict[str, ClipFormat | None] = {}
        refusal: StudioError | None = None
        for name in names:
            try:
                found[name] = self._format(name, wishes, drawing_ratio)
            except StudioError as error:
                refusal = refusal or error
        if not found and refusal:
            raise refusal
        return found

    def _format(self, name: str, wishes: ClipWishes, drawing_ratio: float) -> ClipFormat | None:
        card = self.card(name)
        if card is None or not isinstance(card.animator, ClipOffer):
            for field in ("model", "seconds", "ratio", "resolution"):
                value = getattr(wishes, field)
                if value is not None:
                    # Its films are as long as their story and have the drawing's shape.
                    raise StudioError(
                        "CLIP_NOT_OFFERED", provider=name, model=name, field=field, value=str(value)[:20], nearest="–"
                    )
            return None
        return settle(card, card.animator, wishes, drawing_ratio=drawing_ratio)
