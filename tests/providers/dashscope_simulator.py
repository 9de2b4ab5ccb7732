"""DashScope, with all that is simulated of it."""

from __future__ import annotations

from tests.providers.dashscope_audio import DashScopeAudio
from tests.providers.dashscope_chat import DashScopeChat
from tests.providers.dashscope_images import DashScopeImages


class DashScopeSimulator(DashScopeChat, DashScopeAudio, DashScopeImages):
    """Conversations, recordings, speech and pictures."""
