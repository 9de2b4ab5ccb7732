"""Volcengine Ark, with all that is simulated of it."""

from __future__ import annotations

from tests.providers.ark_chat import ArkChat
from tests.providers.ark_images import ArkImages
from tests.providers.ark_video import ArkVideo


class ArkSimulator(ArkVideo, ArkChat, ArkImages):
    """Videos, conversations and pictures."""
