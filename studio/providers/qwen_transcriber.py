"""Qwen-ASR by Alibaba (DashScope): the recording goes out as a part of a chat, and its words come back as the reply."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec

from studio.errors import OutcomeUnknown
from studio.objects import ObjectStore
from studio.providers import cards, dashscope
from studio.providers.interfaces import Capability, Heard, PaidCall, Pending
from studio.providers.recordings import charge, ready_to_send
from studio.settings import Settings


class _Message(msgspec.Struct, frozen=True):
    content: str


class _Choice(msgspec.Struct, frozen=True):
    message: _Message


class _Usage(msgspec.Struct, frozen=True):
    seconds: float | None = None
    """Of sound. That it is told is unverified."""


class _Reply(msgspec.Struct, frozen=True):
    choices: list[_Choice]
    usage: _Usage | None = None


class QwenTranscriber:
    """It takes no key of ours and keeps nothing that could be looked up: an answer that is lost is lost."""

    name = "qwen"
    is_free = False
    repeats_safely = False

    def __init__(self, settings: Settings, _objects: ObjectStore) -> None:
        self._api = dashscope.api(cards.load(self.name, settings), Capability.TRANSCRIBER)

    def transcribe(self, recording: Path, *, call: PaidCall) -> Heard | Pending:
        """The words; "" where nobody speaks. Raises NotNow, StudioError, OutcomeUnknown."""
        model = self._api.offer.model
        with ready_to_send(recording, self._api, mime="audio/wav") as sent:
            data = f"data:audio/wav;base64,{base64.b64encode(sent.read_bytes()).decode()}"
        body = {
            "model": model,
            "messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": data}}]}],
            "asr_options": {"enable_itn": True},
        }
        answer = self._api.buy("POST", "/chat/completions", json=body, model=model)
        try:
            found = msgspec.json.decode(answer.content, type=_Reply)
            words = found.choices[0].message.content
        except (ValueError, IndexError) as error:
            raise OutcomeUnknown from error
        charge(call, self._api, seconds=found.usage.seconds if found.usage else None)
        return Heard(words.strip())
