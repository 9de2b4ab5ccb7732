"""Doubao's flash edition: the recording goes out in one request, and its words come back as the answer."""

from __future__ import annotations

import base64
from pathlib import Path

from studio.errors import OutcomeUnknown
from studio.objects import ObjectStore
from studio.providers import cards, doubao
from studio.providers.interfaces import Heard, PaidCall, Pending
from studio.providers.recordings import ready_to_send
from studio.settings import Settings

PATH = "/api/v3/auc/bigmodel/recognize/flash"


class DoubaoTranscriber:
    """It keeps nothing that could be looked up: an answer that is lost is lost."""

    name = "doubao"
    is_free = False
    repeats_safely = False

    def __init__(self, settings: Settings, _objects: ObjectStore) -> None:
        self._api = doubao.api(cards.load(self.name, settings))

    def transcribe(self, recording: Path, *, call: PaidCall) -> Heard | Pending:
        """The words; "" where nobody speaks. Raises NotNow, StudioError, OutcomeUnknown."""
        with ready_to_send(recording, self._api, mime="audio/mpeg") as sent:
            audio = {"data": base64.b64encode(sent.read_bytes()).decode(), "format": "mp3"}
        headers = {"X-Api-Request-Id": doubao.task_id(call), "X-Api-Sequence": "-1"}
        answer = self._api.buy(
            "POST", PATH, headers=headers, json=doubao.recognition(audio), model=self._api.offer.model
        )
        try:
            return doubao.heard(answer, self._api, call)
        except ValueError as error:
            raise OutcomeUnknown from error
