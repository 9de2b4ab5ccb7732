"""Which service does what: one line per provider, chosen by name in the settings."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import Any, cast

from studio.objects import ObjectStore
from studio.providers.interfaces import Animator, Capability, Seer, Transcriber, Writer
from studio.settings import Settings

# Modules are named, not imported, so that a provider nobody chose costs nothing at start.
_registry: dict[str, dict[str, str]] = {
    Capability.ANIMATOR: {"local": "studio.providers.local_animator:LocalAnimator"},
    Capability.WRITER: {"local": "studio.providers.local_writer:LocalWriter"},
    Capability.SEER: {"local": "studio.providers.local_seer:LocalSeer"},
    Capability.TRANSCRIBER: {"local": "studio.providers.local_transcriber:LocalTranscriber"},
}

_SETTINGS = {
    Capability.ANIMATOR: "video_provider",
    Capability.WRITER: "llm_provider",
    Capability.SEER: "llm_provider",
    Capability.TRANSCRIBER: "asr_provider",
}


def register(capability: str, name: str, path: str) -> None:
    """Make a provider known; `path` is "module:Class", whose constructor takes the settings and the object store."""
    _registry[capability][name] = path


def _make(capability: str, name: str, settings: Settings, objects: ObjectStore) -> Any:
    module, _, attribute = _registry[capability][name].partition(":")
    return getattr(import_module(module), attribute)(settings, objects)


class Providers:
    """The providers that the settings choose, each made when first used. Raises ValueError for a name nobody knows."""

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        self._settings = settings
        self._objects = objects
        self._animators: dict[str, Animator] = {}
        for capability, setting in _SETTINGS.items():
            # At the start, where somebody looks, and not in the middle of the first film.
            chosen, known = self.chosen(capability), _registry[capability]
            if chosen not in known:
                raise ValueError(f"{setting.upper()}={chosen} is not known; choose one of: {', '.join(sorted(known))}.")

    def chosen(self, capability: Capability) -> str:
        """The name of the provider that the settings choose."""
        return str(getattr(self._settings, _SETTINGS[capability]))

    @property
    def animator(self) -> Animator:
        """The one that new films are asked of."""
        return self.animator_named(self._settings.video_provider)

    def animator_named(self, name: str) -> Animator:
        """The one that a film was asked of, whatever the settings say by now."""
        if name not in self._animators:
            self._animators[name] = _make("animator", name, self._settings, self._objects)
        return self._animators[name]

    @cached_property
    def writer(self) -> Writer:
        return cast("Writer", _make("writer", self._settings.llm_provider, self._settings, self._objects))

    @cached_property
    def seer(self) -> Seer:
        return cast("Seer", _make("seer", self._settings.llm_provider, self._settings, self._objects))

    @cached_property
    def transcriber(self) -> Transcriber:
        return cast("Transcriber", _make("transcriber", self._settings.asr_provider, self._settings, self._objects))
