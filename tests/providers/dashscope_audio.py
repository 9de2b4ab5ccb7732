"""DashScope's ears (Qwen-ASR, as a chat) and voice (CosyVoice, whose sound is fetched from an address)."""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any

from tests.providers import sounds
from tests.providers.dashscope import NATIVE, DashScopeWords
from tests.providers.simulator import Reply, Request, operation

TEXT = "小狗跑得很快。"

_HEARS = {"qwen3-asr-flash"}
_VOICES = {
    "cosyvoice-v3-flash": {"longanyang"},
}
_INPUT: dict[str, Any] = {
    "text": str,
    "voice": str,
    "format": str,
    "sample_rate": int,
    "volume": int,
    "rate": (int, float),
    "pitch": (int, float),
    "bit_rate": int,
    "seed": int,
    "language_hints": list,
    "instruction": str,
    "enable_ssml": bool,
    "hot_fix": dict,
    "word_timestamp_enabled": bool,
    "enable_aigc_tag": bool,
}
_FORMATS = {"mp3", "pcm", "wav", "opus"}
_HEARD_MAX_BYTES, _HEARD_MAX_S = 10_000_000, 300


class DashScopeAudio(DashScopeWords):
    text = TEXT
    says_http = False
    """The address of what was spoken begins with http://, as that of the real one may."""

    # --- ears

    def hear(self, request: Request) -> Reply:
        body = request.json
        if set(body) - {"model", "messages", "asr_options", "stream"}:
            return self.invalid("unknown parameters")
        if body.get("model") not in _HEARS:
            return self.no_model()
        if set(body.get("asr_options", {})) - {"language", "enable_itn"}:
            return self.invalid("asr_options")
        recording = _recording(body["messages"])
        heard = sounds.listen(recording) if recording else None
        if heard is None or len(request.body) > _HEARD_MAX_BYTES or heard.seconds > _HEARD_MAX_S:
            return self.refusal(
                400, "InvalidParameter.DataInspection", "invalid_parameter_error", "The audio cannot be read."
            )
        self.accept({"model": body["model"]}, task_id=f"asr-{len(self.requests)}")
        message = {"role": "assistant", "content": "" if heard.silent else self.text}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 42, "completion_tokens": 7, "total_tokens": 49, "seconds": round(heard.seconds)}
        return Reply(200, {"id": "chatcmpl-simulated", "model": body["model"], "choices": [choice], "usage": usage})

    # --- voice

    @operation("POST", f"{NATIVE}/services/audio/tts/SpeechSynthesizer", "speech")
    def speak(self, request: Request) -> Reply:  # noqa: PLR0911 (one line for each way to be wrong)
        if not self.is_signed(request):
            return self.unauthorized()
        body = request.json
        if set(body) != {"model", "input"}:
            return self.invalid("model and input are needed, and all options stand in input")
        wishes = body["input"]
        for name, value in wishes.items():
            if name not in _INPUT or not isinstance(value, _INPUT[name]):
                return self.invalid(name)
        if body["model"] not in _VOICES:
            return self.no_model()
        if wishes.get("voice") not in _VOICES[body["model"]]:
            return self.invalid("the voice does not belong to the model")
        if not wishes.get("text"):
            return self.refusal(400, "BadRequest.EmptyInput", "bad_request", "The input is empty.")
        if wishes.get("format") not in _FORMATS or not 8000 <= wishes.get("sample_rate", 22050) <= 48000:
            return self.invalid("format or sample_rate")
        task = self.accept(body, task_id=f"speech-{len(self.requests)}")
        url = f"{self.url}/results/{task.id}.{wishes['format']}?Expires=1795086400&Signature=simulated"
        audio = {"id": task.id, "url": url, "expires_at": round(time.time()) + 24 * 3600}
        if self.says_http:
            audio["url"] = f"http://results.example.com/{task.id}.mp3"
        characters = sum(2 if "\u4e00" <= letter <= "\u9fff" else 1 for letter in wishes["text"])
        output = {"finish_reason": "stop", "audio": audio}
        return Reply(200, {"request_id": "simulated", "output": output, "usage": {"characters": characters}})

    @operation("GET", "/results/{file}", "speech_result")
    def result(self, request: Request, file: str) -> Reply:
        task_id, _, ending = file.partition(".")
        if task_id not in self.tasks or "Signature" not in request.query:
            return self.expired()
        return Reply(200, sounds.spoken(ending), {"Content-Type": "audio/mpeg"})


def _recording(messages: Any) -> bytes:
    """What was sent to be heard; nothing where that is no data URI."""
    try:
        (message,) = messages
        (part,) = message["content"]
        head, _, data = part["input_audio"]["data"].partition(",")
        is_sound = part["type"] == "input_audio" and head.startswith("data:audio/") and head.endswith(";base64")
        return base64.b64decode(data, validate=True) if is_sound else b""
    except (ValueError, KeyError, TypeError, binascii.Error):
        return b""
