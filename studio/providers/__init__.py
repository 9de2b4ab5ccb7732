"""What the studio asks of the outside: one small interface per capability, one module per service behind it.

Errors come out in three families only: `NotNow` (worth repeating), `StudioError` (never, with a symbol people can read)
and `OutcomeUnknown` (nobody knows whether it was accepted). No provider retries by itself; that is the actor's policy.
"""

from studio.providers.formats import ClipWishes
from studio.providers.interfaces import (
    AnimationRequest,
    Animator,
    Capability,
    ClipFormat,
    Heard,
    Lookup,
    Made,
    Maker,
    PaidCall,
    Painter,
    PaintingRequest,
    Pending,
    Progress,
    Reading,
    Region,
    Score,
    Seer,
    SpeechRequest,
    Swatch,
    Transcriber,
    Voice,
    Words,
    Writer,
)
from studio.providers.registry import Providers, register

__all__ = [
    "AnimationRequest",
    "Animator",
    "Capability",
    "ClipFormat",
    "ClipWishes",
    "Heard",
    "Lookup",
    "Made",
    "Maker",
    "PaidCall",
    "Painter",
    "PaintingRequest",
    "Pending",
    "Progress",
    "Providers",
    "Reading",
    "Region",
    "Score",
    "Seer",
    "SpeechRequest",
    "Swatch",
    "Transcriber",
    "Voice",
    "Words",
    "Writer",
    "register",
]
