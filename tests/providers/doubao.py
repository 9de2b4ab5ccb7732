"""Doubao speech recognition: flash and standard. HTTP 200 for nearly everything; what it means stands in a header."""

from __future__ import annotations

import base64
import binascii
import uuid
from typing import Any
from urllib.parse import urlsplit

from tests.providers import sounds
from tests.providers.simulator import Reply, Request, Simulator, operation

TEXT = "小狗跑得很快。"
BASE = "/api/v3/auc/bigmodel"
FLASH, STANDARD = {"volc.bigasr.auc_turbo"}, {"volc.bigasr.auc", "volc.seedasr.auc"}

_FIELDS: dict[str, dict[str, type]] = {
    "user": {"uid": str},
    "audio": {"url": str, "data": str, "format": str, "codec": str, "rate": int, "bits": int, "channel": int,
              "language": str},
    "request": {"model_name": str, "enable_itn": bool, "enable_punc": bool, "enable_ddc": bool,
                "show_utterances": bool, "enable_speaker_info": bool, "corpus": dict},
}  # fmt: skip
_ENDINGS = {"wav": "wav", "mp3": "mp3", "ogg": "ogg"}
_INLINE_MAX_BYTES = 20_000_000


def told(code: str, message: str, body: dict[str, Any] | None = None) -> Reply:
    headers = {"X-Api-Status-Code": code, "X-Api-Message": message, "X-Tt-Logid": "20261122simulated"}
    return Reply(200, body, headers)


class DoubaoSimulator(Simulator):
    name = "doubao"
    key = "test-doubao-key"
    text = TEXT

    def env(self) -> dict[str, str]:
        return {
            "DOUBAO_API_KEY": self.key,
            "DOUBAO_BASE_URL": self.url,
            "DOUBAO_STANDARD_BASE_URL": self.url,
        }

    def is_signed(self, request: Request) -> bool:
        mixed = {"X-Api-App-Key", "X-Api-Access-Key"} & set(request.headers)
        return request.headers.get("X-Api-Key") == self.key and not mixed

    # --- operations

    @operation("POST", f"{BASE}/recognize/flash", "flash")
    def recognize(self, request: Request) -> Reply:  # noqa: PLR0911 (one line for each way to be wrong)
        if refused := self._refused(request, FLASH) or self._invalid_body(request):
            return refused
        audio = request.json["audio"]
        if ("data" in audio) == ("url" in audio):
            return told("45000001", "exactly one of audio.data and audio.url")
        try:
            content = base64.b64decode(audio.get("data", ""), validate=True)
        except binascii.Error:
            return told("45000001", "audio.data is no base64")
        if len(audio.get("data", "")) > _INLINE_MAX_BYTES:
            return told("45000001", "too large")
        if not content:
            return told("45000002", "empty audio")
        facts = sounds.listen(content)
        if facts is None or facts.ext != _ENDINGS.get(audio.get("format", facts.ext)):
            return told("45000151", "bad audio format")
        self.accept(request.json, task_id=request.headers["X-Api-Request-Id"])
        return told("20000003", "silent audio") if facts.silent else self._words(facts.seconds)

    @operation("POST", f"{BASE}/submit", "submit")
    def submit(self, request: Request) -> Reply:
        if refused := self._refused(request, STANDARD) or self._invalid_body(request):
            return refused
        audio = request.json["audio"]
        url = urlsplit(audio.get("url", ""))
        if "data" in audio or url.scheme not in ("http", "https") or not url.hostname:
            return told("45000001", "audio.url is needed")
        if audio.get("format") not in {*_ENDINGS, "raw"}:
            return told("45000151", "audio.format is needed")
        task_id = request.headers["X-Api-Request-Id"]
        if task_id in self.tasks:
            return told("45000001", "duplicate request id")
        self.accept(request.json, task_id=task_id)
        return told("20000000", "OK")

    @operation("POST", f"{BASE}/query", "query")
    def query(self, request: Request) -> Reply:
        if refused := self._refused(request, STANDARD, is_query=True):
            return refused
        if request.body and request.json != {}:
            return told("45000001", "the body of a query is empty")
        task = self.tasks.get(request.headers["X-Api-Request-Id"])
        if task is None:
            return told("45000001", "no such task")
        match task.state:
            case "running":
                return told("20000001", "processing")
            case "failed":
                return told("45000151", "the audio cannot be fetched or read")
        return self._words(2.499)

    # --- its words

    def busy(self) -> Reply:
        return told("55000031", "server busy")

    def broken(self) -> Reply:
        return told("55000000", "internal error")

    def unauthorized(self) -> Reply:
        return told("45000010", "invalid X-Api-Key")

    def no_model(self) -> Reply:
        return told("45000030", "resource not granted")

    # --- inside

    def _refused(self, request: Request, resources: set[str], *, is_query: bool = False) -> Reply | None:
        if not self.is_signed(request):
            return self.unauthorized()
        if request.headers.get("X-Api-Resource-Id") not in resources:
            return self.no_model()
        if request.headers.get_content_type() != "application/json":
            return told("45000001", "no JSON")
        if not is_query and request.headers.get("X-Api-Sequence") != "-1":
            return told("45000001", "X-Api-Sequence has to be -1")
        try:
            uuid.UUID(request.headers.get("X-Api-Request-Id", ""))
        except ValueError:
            return told("45000001", "X-Api-Request-Id is no UUID")
        return None

    def _invalid_body(self, request: Request) -> Reply | None:
        body = request.json
        if set(body) != set(_FIELDS):
            return told("45000001", "user, audio and request are needed, and nothing else")
        for part, fields in _FIELDS.items():
            for name, value in body[part].items():
                if name not in fields or not isinstance(value, fields[name]):
                    return told("45000001", f"{part}.{name}")
        if body["request"].get("model_name") != "bigmodel":
            return told("45000001", "request.model_name")
        return None

    def _words(self, seconds: float) -> Reply:
        ms = round(seconds * 1000)
        words = {"text": self.text, "additions": {"duration": str(ms)}}
        return told("20000000", "OK", {"audio_info": {"duration": ms}, "result": words})
