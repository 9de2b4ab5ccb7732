"""Doubao speech recognition (豆包语音) by Volcengine, both editions: how a request is signed, and what answers mean.

HTTP 200 says nothing: what became of a request stands in the header X-Api-Status-Code. The id of a request is ours to
choose, and is the id of the task as well.
"""

from __future__ import annotations

import uuid

import msgspec
import structlog

from studio.errors import StudioError
from studio.providers.api import Answer, Api, Meaning
from studio.providers.cards import Card
from studio.providers.interfaces import Capability, Heard, PaidCall
from studio.providers.recordings import charge

KEY = "DOUBAO_API_KEY"
ANYBODY = "huaban"
"""Whose voice it is: not the service's business."""

DONE = "20000000"
WORKING = {"20000001", "20000002"}
SILENT = "20000003"
_NO_SOUND = {"45000002", "45000151"}
"""Nothing in it, or not in a format that it knows."""

_MEANINGS = {
    "45000010": Meaning.ACCOUNT,
    "45000030": Meaning.NO_MODEL,
    "55000031": Meaning.BUSY,
}

log = structlog.get_logger("studio")


class _Result(msgspec.Struct, frozen=True):
    text: str = ""


class _AudioInfo(msgspec.Struct, frozen=True):
    duration: float | None = None
    """Milliseconds."""


class _Recognised(msgspec.Struct, frozen=True):
    result: _Result | list[_Result]
    """A list in older versions."""
    audio_info: _AudioInfo = _AudioInfo()


def api(card: Card) -> Api:
    headers = {"X-Api-Key": card.secret(KEY), "X-Api-Resource-Id": card.offer(Capability.TRANSCRIBER).model}
    return Api(card, Capability.TRANSCRIBER, headers=lambda: headers, reader=_noted)


def task_id(call: PaidCall) -> str:
    """The UUID that a call has there, the same on every attempt."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, call.key))


def recognition(audio: dict[str, str]) -> dict[str, object]:
    """The body that asks for the words of a recording, in whichever of its languages they are."""
    # All three are off unless they are asked for. Hesitations are a part of how a child tells, so they stay.
    wishes = {"model_name": "bigmodel", "enable_itn": True, "enable_punc": True, "enable_ddc": False}
    return {"user": {"uid": ANYBODY}, "audio": audio, "request": wishes}


def code(answer: Answer) -> str:
    return answer.headers.get("x-api-status-code", "")


def heard(answer: Answer, api: Api, call: PaidCall) -> Heard:
    """The words of an answer that tells them, and what they cost. Raises ValueError where it cannot be read.

    Raises StudioError("AUDIO_UNREADABLE").
    """
    if code(answer) == SILENT:
        return Heard("")
    if code(answer) in _NO_SOUND:
        raise StudioError("AUDIO_UNREADABLE")
    found = msgspec.json.decode(answer.content, type=_Recognised)
    if found.audio_info.duration is not None:
        charge(call, api, seconds=found.audio_info.duration / 1000)
    results = found.result if isinstance(found.result, list) else [found.result]
    return Heard("".join(result.text for result in results).strip())


def read(answer: Answer) -> Meaning | None:
    """What an answer that is no success means."""
    found = code(answer)
    if found in {DONE, SILENT, *WORKING, *_NO_SOUND}:
        return None
    if not found:
        # What answers without a code is not the service, or not as we know it; and a fault of whatever stands before
        # it says nothing of what is behind.
        return Meaning.UNCLEAR if answer.status < 400 or answer.status >= 500 else None
    # What begins with 55 is a fault of its own, in the middle of the work perhaps; 55000031 only is a refusal.
    return _MEANINGS.get(found) or (Meaning.REFUSED if found.startswith("45") else Meaning.UNCLEAR)


def _noted(answer: Answer) -> Meaning | None:
    # Its own people ask for this id, and it tells nobody else anything.
    log.info("doubao_answer", code=code(answer), logid=answer.headers.get("x-tt-logid", "")[:64])
    return read(answer)
