"""Doubao's standard edition: it is told where the recording is, fetches it, and has the words some seconds later.

What it fetches is a copy in the bucket, under an address that is valid for minutes. The copy goes when the words are
there, and with the sweep of the orphans where nobody came to ask for them.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from studio.errors import NotNow, OutcomeUnknown, StudioError
from studio.keys import lent_key
from studio.objects import ObjectStore
from studio.providers import cards, doubao
from studio.providers.interfaces import Heard, PaidCall, Pending
from studio.providers.recordings import ready_to_send
from studio.settings import Settings

SUBMIT = "/api/v3/auc/bigmodel/submit"
QUERY = "/api/v3/auc/bigmodel/query"


class DoubaoStandardTranscriber:
    """The id of its task is ours to choose, so that the same call is the same task however often it is made."""

    name = "doubao-standard"
    is_free = False
    repeats_safely = True

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        """Raises ValueError where the service could not reach the bucket."""
        if not _is_public(settings.s3_public_endpoint):
            raise ValueError(
                "ASR_PROVIDER=doubao-standard needs a S3_PUBLIC_ENDPOINT that is https and public: the service fetches"
                " recordings from there. ASR_PROVIDER=doubao does without."
            )
        self._api = doubao.api(cards.load(self.name, settings))
        self._objects = objects

    def transcribe(self, recording: Path, *, call: PaidCall) -> Heard | Pending:
        """The words; "" where nobody speaks; Pending while they are not there. Raises NotNow, StudioError,
        OutcomeUnknown."""
        copy = lent_key(f"{doubao.task_id(call)}.mp3")
        # The copy was put there just before the service was told of it.
        is_asked = self._objects.head(copy) is not None
        found = (self._look(call) if is_asked else None) or self._ask(recording, copy, call)
        if isinstance(found, Heard):
            self._take_back(copy)
        return found

    def _ask(self, recording: Path, copy: str, call: PaidCall) -> Heard | Pending:
        with ready_to_send(recording, self._api, mime="audio/mpeg") as sent:
            self._objects.upload(sent, copy, mime="audio/mpeg")
        audio = {"url": self._objects.presign_get(copy, mime="audio/mpeg"), "format": "mp3"}
        headers = {"X-Api-Request-Id": doubao.task_id(call), "X-Api-Sequence": "-1"}
        try:
            self._api.buy("POST", SUBMIT, headers=headers, json=doubao.recognition(audio), model=self._api.offer.model)
        except StudioError as error:
            # It says no more of a task that it has already than of one that it cannot make sense of.
            found = self._look(call) if error.symbol == "PROVIDER_REFUSED" else None
            if found is None:
                self._take_back(copy)
                raise
            return found
        return self._later()

    def _look(self, call: PaidCall) -> Heard | Pending | None:
        """How far it is; None where the service has no such task.

        Raises OutcomeUnknown where that cannot be told, and StudioError("AUDIO_UNREADABLE").
        """
        try:
            answer = self._api.ask("POST", QUERY, headers={"X-Api-Request-Id": doubao.task_id(call)}, json={})
        except NotNow as error:
            # It may well have accepted. To come again later is right; to ask another service is not.
            return self._later(error.retry_after_s)
        except StudioError as error:
            if error.symbol == "PROVIDER_REFUSED":
                return None
            raise OutcomeUnknown from error
        if doubao.code(answer) in doubao.WORKING:
            return self._later()
        try:
            return doubao.heard(answer, self._api, call)
        except ValueError as error:
            raise OutcomeUnknown from error

    def _later(self, after_s: float | None = None) -> Pending:
        return Pending(look_again_s=after_s or self._api.offer.look_every_s)

    def _take_back(self, copy: str) -> None:
        # What was heard is paid for, and counts for more than a copy that is swept in any case.
        with suppress(NotNow):
            self._objects.delete(copy)


def _is_public(endpoint: str) -> bool:
    """Whether an address can be one that all the world reaches. Names are not resolved: there may be no network yet."""
    address = urlsplit(endpoint)
    host = address.hostname or ""
    try:
        return address.scheme == "https" and ipaddress.ip_address(host).is_global
    except ValueError:
        return address.scheme == "https" and "." in host and not host.endswith((".local", ".internal", ".localhost"))
