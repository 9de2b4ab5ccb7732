"""Who may call back: the checks of a callback before anything is done for it, the cheapest first.

Which scheme has to hold follows from the route, never from the headers that happen to be there: or else whoever invents
a callback would choose the weakest. Every refusal of a signature is the same to the caller; the log knows its cause.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import httpx
import msgspec
import structlog
from litestar.datastructures import Headers
from msgspec import Meta

from studio.callbacks import Callback, submission_of
from studio.errors import Away, StudioError
from studio.providers.cards import Signing, calling_back, prefix_of
from studio.settings import Settings
from studio.signatures import (
    PublishedKeys,
    fal_content,
    is_signed,
    is_stamped,
    is_timely,
    read_secrets,
    stamped_at,
)

log = structlog.get_logger("app")

TASKS = "task_complete"
FAL_KEYS_URL = "https://rest.fal.ai/.well-known/jwks.json"
"""The one place that keys are fetched from, whatever a callback says."""

_STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")
_FAL = tuple(f"x-fal-webhook-{name}" for name in ("request-id", "user-id", "timestamp", "signature"))
_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_FAL_PART = re.compile(r"[\x21-\x7e]{1,200}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){64}")


class TaskComplete(msgspec.Struct, frozen=True):
    """Plan 004's callback. Its `result` is not read: whoever looks asks for it where it is made."""

    task_id: Annotated[str, Meta(pattern=r"^[\x21-\x7e]{1,200}(?!\n)$")]
    status: Annotated[str, Meta(pattern=r"^[A-Za-z_-]{1,40}(?!\n)$")]
    attempt: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    signature: str = ""

    @property
    def signed(self) -> bytes:
        """What a signature in the body covers: all of it that means anything here."""
        return f"{self.task_id}\n{self.attempt}\n{self.status}".encode()


class CallbackChecks:
    """The secrets of one deployment. Raises ValueError for one that protects nothing."""

    def __init__(
        self,
        settings: Settings,
        *,
        fetch_fal_keys: Callable[[], bytes] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._fal_keys = PublishedKeys(fetch_fal_keys or _fetch_fal_keys)
        self._task_keys = read_secrets(",".join(secret.get_secret_value() for secret in settings.task_webhook_secrets))
        self._provider_keys: dict[str, tuple[bytes, ...]] = {}
        self._calling = calling_back(settings)
        for provider, callbacks in self._calling.items():
            if callbacks.signed is not Signing.STANDARD:
                continue
            variable = f"{prefix_of(provider)}_WEBHOOK_SECRET"
            try:
                self._provider_keys[provider] = read_secrets(settings.variable(variable))
            except ValueError as error:
                raise ValueError(f"{variable}: {error}.") from error

    def expect_tasks(self) -> None:
        """Raises StudioError where nobody may say that a task is complete."""
        if not self._task_keys:
            raise StudioError("WEBHOOK_NOT_CONFIGURED", setting="TASK_WEBHOOK_SECRETS")

    def of_task(self, headers: Headers, body: bytes) -> Callback:
        """What a sender of tasks says, by headers of Standard Webhooks or in plan 004's form. Raises StudioError."""
        self.expect_tasks()
        if any(headers.get(name) is not None for name in _STANDARD):
            message_id = self._check_standard(TASKS, self._task_keys, headers, body)
            return Callback(TASKS, message_id, _read(body).task_id)
        told = _read(body)
        stamped = stamped_at(told.signature)
        if stamped is None:
            raise StudioError("WEBHOOK_MALFORMED")
        if not is_timely(stamped, self._clock()):
            raise _refused(TASKS, "time")
        if not is_stamped(self._task_keys, told.signature, told.signed):
            raise _refused(TASKS, "signature")
        # No message id can look like this.
        return Callback(TASKS, f"{told.task_id}\n{told.attempt}\n{told.status}", told.task_id)

    def of_provider(self, provider: str, token: str, headers: Headers, body: bytes) -> Callback:
        """What a provider says of the call that an address belongs to. Raises StudioError."""
        submission_id = self.submission_of(provider, token)
        callbacks = self._calling[provider]
        if callbacks.signed is Signing.FAL:
            message_id = self._check_fal(provider, headers, body)
        elif keys := self._provider_keys.get(provider):
            message_id = self._check_standard(provider, keys, headers, body)
        else:
            # Unsigned. What is sent once more is the same to the byte.
            message_id = f"{submission_id} {hashlib.sha256(body).hexdigest()}"
        return Callback(provider, message_id, submission_id, _hint(callbacks.ids, _object(body)))

    def submission_of(self, provider: str, token: str) -> str:
        """The call that an address belongs to. Raises StudioError."""
        if provider not in self._calling:
            raise StudioError("NOT_FOUND")
        submission_id = submission_of(self._settings, provider, token)
        if submission_id is None:
            raise _refused(provider, "address")
        return submission_id

    def _check_standard(self, sender: str, keys: Sequence[bytes], headers: Headers, body: bytes) -> str:
        message_id, timestamp, signatures = _each_once(headers, _STANDARD)
        # A dot in the id would let one signature fit two messages.
        if not (_MESSAGE_ID.fullmatch(message_id) and _TIMESTAMP.fullmatch(timestamp)):
            raise StudioError("WEBHOOK_MALFORMED")
        if not is_timely(int(timestamp), self._clock()):
            raise _refused(sender, "time")
        if not is_signed(keys, message_id, timestamp, body, signatures):
            raise _refused(sender, "signature")
        return message_id

    def _check_fal(self, sender: str, headers: Headers, body: bytes) -> str:
        # Anybody may have fal sign something; that this was meant for us follows from the address.
        request_id, user_id, timestamp, signature = _each_once(headers, _FAL)
        if not (_FAL_PART.fullmatch(request_id) and _FAL_PART.fullmatch(user_id) and _TIMESTAMP.fullmatch(timestamp)):
            raise StudioError("WEBHOOK_MALFORMED")
        if not is_timely(int(timestamp), self._clock()):
            raise _refused(sender, "time")
        content = fal_content(request_id, user_id, timestamp, body)
        try:
            is_theirs = _HEX.fullmatch(signature) and self._fal_keys.has_signed(content, bytes.fromhex(signature))
        except Away as error:
            # They send it again.
            raise StudioError("PROVIDER_UNAVAILABLE", provider="fal") from error
        if not is_theirs:
            raise _refused(sender, "signature")
        return request_id


def _each_once(headers: Headers, names: Sequence[str]) -> list[str]:
    """Raises StudioError unless each of these headers was sent, and once."""
    given = [headers.getall(name, []) for name in names]
    if any(len(values) != 1 for values in given):
        raise StudioError("WEBHOOK_MALFORMED")
    return [values[0] for values in given]


def _refused(sender: str, cause: str) -> StudioError:
    log.warning("callback_refused", sender=sender, cause=cause)
    return StudioError("WEBHOOK_REFUSED")


def _read(body: bytes) -> TaskComplete:
    try:
        return msgspec.convert(_object(body), TaskComplete)
    except msgspec.ValidationError as error:
        raise StudioError("WEBHOOK_MALFORMED") from error


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises StudioError, also where a name stands in it twice: which one was meant?"""
    try:
        found = json.loads(body.decode(), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise StudioError("WEBHOOK_MALFORMED") from error
    if not isinstance(found, dict):
        raise StudioError("WEBHOOK_MALFORMED")
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in an object twice")
    return found


def _hint(paths: Sequence[str], told: dict[str, Any]) -> str | None:
    """The id under which a provider says that it has the call; None where it says none that could be one.

    An adapter writes it into an address.
    """
    for path in paths:
        found: Any = told
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str) and _MESSAGE_ID.fullmatch(found):
            return found
    return None


def _fetch_fal_keys() -> bytes:
    try:
        return httpx.get(FAL_KEYS_URL, timeout=10).raise_for_status().content
    except httpx.HTTPError as error:
        raise Away(f"fal's keys: {type(error).__name__}") from error
