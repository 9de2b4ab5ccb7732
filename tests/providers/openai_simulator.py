"""OpenAI, with all that is simulated of it."""

from __future__ import annotations

from tests.providers.openai_audio import OpenAIAudio
from tests.providers.openai_chat import OpenAIChat
from tests.providers.openai_images import OpenAIImages


class OpenAISimulator(OpenAIChat, OpenAIAudio, OpenAIImages):
    """Conversations, recordings, speech and pictures."""
