"""OpenAI's ears and voice: a form with a recording in, and JSON out; JSON in, and sound out."""

from __future__ import annotations

import io
from typing import Any

import multipart

from tests.providers import sounds
from tests.providers.openai import OpenAIWords
from tests.providers.simulator import Reply, Request, operation

TEXT = "Once upon a time there was a little dog who could fly."

_HEARS = {"gpt-transcribe"}
_SPEAKS = {"gpt-4o-mini-tts", "tts-1", "tts-1-hd"}
_VOICES = {"alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin",
           "cedar"}  # fmt: skip
_FORM = {"model", "response_format", "language", "prompt", "temperature", "stream", "languages[]", "keywords[]"}
_ENDINGS = {"flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm"}
_SPEECH: dict[str, Any] = {
    "input": str,
    "model": str,
    "voice": str,
    "instructions": str,
    "response_format": str,
    "speed": (int, float),
    "stream_format": str,
}
_SOUNDS = {"mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav"}
_FILE_MAX_BYTES = 25_000_000
_HELD = 64_000_000


class OpenAIAudio(OpenAIWords):
    text = TEXT

    @operation("POST", "/v1/audio/transcriptions", "transcription")
    def transcribe(self, request: Request) -> Reply:  # noqa: PLR0911 (one line for each way to be wrong)
        if not self.is_signed(request):
            return self.unauthorized()
        try:
            form, files = _form(request)
        except multipart.MultipartError:
            return self.invalid("Could not parse multipart form")
        if unknown := {*form, *files} - _FORM - {"file"}:
            return self.invalid(f"Unrecognized request arguments: {unknown}")
        file = files.get("file")
        if file is None or not file.filename:
            return self.invalid("A file with a name is needed", "file")
        if form.get("model") not in _HEARS:
            return self.no_model()
        if form.get("response_format", "json") != "json":
            return self.invalid("Only json is offered by this model", "response_format")
        content = file.raw
        if len(content) > _FILE_MAX_BYTES:
            return self.invalid("Maximum content size limit exceeded", "file")
        heard = sounds.listen(content)
        ending = file.filename.rpartition(".")[2]
        if heard is None or ending not in _ENDINGS or heard.ext != ending or heard.mime != file.content_type:
            return self.invalid("Invalid file format.", "file")
        text = "" if heard.silent else self.text
        self.accept({"model": form["model"]}, task_id=f"transcription-{len(self.requests)}")
        return Reply(200, {"text": text, "usage": {"type": "duration", "seconds": round(heard.seconds)}})

    @operation("POST", "/v1/audio/speech", "speech")
    def speak(self, request: Request) -> Reply:  # noqa: PLR0911 (one line for each way to be wrong)
        if not self.is_signed(request):
            return self.unauthorized()
        body = request.json
        for name, value in body.items():
            if name not in _SPEECH or not isinstance(value, _SPEECH[name]):
                return self.invalid(f"Invalid value: {name}", name)
        if missing := {"input", "model", "voice"} - set(body):
            return self.invalid(f"Missing required parameters: {missing}")
        if body["model"] not in _SPEAKS:
            return self.no_model()
        if body["voice"] not in _VOICES:
            return self.invalid("Invalid voice", "voice")
        if not 0 < len(body["input"]) <= 4096:
            return self.invalid("string_above_max_length", "input")
        ending = body.get("response_format", "mp3")
        if ending not in _SOUNDS:
            return self.invalid("Invalid response_format", "response_format")
        self.accept(body, task_id=f"speech-{len(self.requests)}")
        return Reply(200, sounds.spoken(ending), {"Content-Type": _SOUNDS[ending]})


def _form(request: Request) -> Any:
    """Its fields, and its files."""
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.input": io.BytesIO(request.body),
    }
    # In memory: nobody would close a file.
    return multipart.parse_form_data(environ, strict=True, spool_limit=_HELD, memory_limit=_HELD)
