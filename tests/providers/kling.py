"""Kling's image-to-video in both generations of its API: one service, one account, two ways of asking."""

from __future__ import annotations

import base64
import binascii
import io
import itertools
import re
import time
from typing import Any

import jwt
from PIL import Image

from tests.providers.callbacks import SECRET, CallingBack, standard_signature
from tests.providers.simulator import Reply, Request, Task, operation

_LONG = set(range(3, 16))
# Model: lengths, resolutions, what it takes for sound.
_MODELS: dict[str, tuple[set[int], set[str], set[str]]] = {
    "kling-3.0-turbo": (_LONG, {"720p", "1080p"}, set()),
    "kling-3.0": (_LONG, {"720p", "1080p", "4k"}, {"off", "native"}),
    "kling-2.6": ({5, 10}, {"720p", "1080p"}, {"off", "native"}),
    "kling-2.5-turbo": ({5, 10}, {"720p", "1080p"}, {"off", "native"}),
}
_LEGACY_MODELS = {
    "kling-v1",
    "kling-v1-5",
    "kling-v1-6",
    "kling-v2-master",
    "kling-v2-1",
    "kling-v2-1-master",
    "kling-v2-5-turbo",
    "kling-v2-6",
}
_LEGACY_LENGTHS = {model: {"5", "10"} for model in _LEGACY_MODELS} | {"kling-v3": {str(seconds) for seconds in _LONG}}
_MOST_BYTES = 50_000_000
_LEGACY_MOST_BYTES = 10_000_000


class _Invalid(Exception):
    pass


class KlingSimulator(CallingBack):
    name = "kling"
    access_key = "test-access-key"
    secret_key = "test-secret-key-of-32-bytes-and-more"
    failure_words = "internal error"
    """Of tasks that fail for the service's own reasons."""
    rejected_words = "Failure to pass the risk control system"
    concurrent: int | None = None
    """How many may be in the making at once."""
    wraps_legacy_news = False
    """Whether a callback of v1 is what an answer is, or only what stands in it: both are documented."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(800_000_000_000)
        self._legacy: set[str] = set()

    def env(self) -> dict[str, str]:
        return {
            "VIDEO_PROVIDER": "kling",
            "KLING_BASE_URL": self.url,
            "KLING_API_KEY": self.key,
            "KLING_WEBHOOK_SECRET": SECRET,
            "KLING_LEGACY_BASE_URL": self.url,
            "KLING_ACCESS_KEY": self.access_key,
            "KLING_SECRET_KEY": self.secret_key,
        }

    def marked(self, mark: str) -> list[Task]:
        """The tasks that carry a mark of their sender."""
        return [task for task in self.tasks.values() if _mark_of(task) == mark]

    def forget(self) -> None:
        super().forget()
        self._legacy.clear()

    def external_id_of(self, task: Task) -> str:
        """What an answer tells of a task's mark."""
        return _mark_of(task) or ""

    # --- API 2.0

    @operation("POST", "/image-to-video/{model}", "create")
    def create(self, request: Request, model: str) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        if model not in _MODELS:
            return self.no_model()
        return self._create(request, lambda body: _check(model, body), is_legacy=False)

    @operation("GET", "/tasks", "look")
    def look(self, request: Request) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        ids, marks = request.query.get("task_ids", []), request.query.get("external_task_ids", [])
        if len(ids) + len(marks) != 1 or set(request.query) - {"task_ids", "external_task_ids"}:
            return _error(400, 1200, "task_ids or external_task_ids")
        tasks = [task for task in self.tasks.values() if task.id not in self._legacy]
        return _ok([self._row(task) for task in tasks if task.id in ids or _mark_of(task) in marks])

    # --- v1

    @operation("POST", "/v1/videos/image2video", "create")
    def create_legacy(self, request: Request) -> Reply:
        return self._token_refused(request) or self._create(request, _check_legacy, is_legacy=True)

    @operation("GET", "/v1/videos/image2video/{task_id}", "look")
    def look_legacy(self, request: Request, task_id: str) -> Reply:
        if refusal := self._token_refused(request):
            return refusal
        if task_id not in self._legacy:
            return _error(400, 1201, "Task not found")
        return _ok(self._legacy_row(self.tasks[task_id]))

    @operation("GET", "/v1/videos/image2video", "list")
    def list_legacy(self, request: Request) -> Reply:
        if refusal := self._token_refused(request):
            return refusal
        try:
            page, size = (int(request.query[name][0]) for name in ("pageNum", "pageSize"))
        except (KeyError, ValueError):
            return _error(400, 1200, "pageNum, pageSize")
        if page < 1 or not 1 <= size <= 500:
            return _error(400, 1201, "pageNum, pageSize")
        newest_first = [task for task in reversed(self.tasks.values()) if task.id in self._legacy]
        return _ok([self._legacy_row(task) for task in newest_first[(page - 1) * size : page * size]])

    @operation("GET", "/files/{name}", "download")
    def download(self, request: Request, name: str) -> Reply:
        if "Authorization" in request.headers:
            return Reply(403, b"SignatureDoesNotMatch")
        return Reply(200, self.film, {"Content-Type": "video/mp4"})

    # --- in its own words

    def busy(self) -> Reply:
        return _error(429, 1303, "parallel task over resource pack limit")

    def broken(self) -> Reply:
        return _error(500, 5000, "server internal error")

    def rejected(self) -> Reply:
        return _error(400, 1301, self.rejected_words)

    def unauthorized(self) -> Reply:
        return _error(401, 1002, "access key is invalid")

    def spent(self) -> Reply:
        return _error(429, 1102, "account balance not enough")

    def no_model(self) -> Reply:
        return _error(404, 1203, "model is not supported")

    def news(self, task: Task, state: str) -> dict[str, Any]:
        if task.id not in self._legacy:
            row = self._row(task)
            return {**row, "status": state or row["status"]}
        row = self._legacy_row(task)
        row["task_status"] = state or row["task_status"]
        return _enveloped(row) if self.wraps_legacy_news else row

    def signed(self, task: Task, message_id: str, at: int, body: bytes, *, is_forged: bool) -> dict[str, str]:
        is_legacy = task.id in self._legacy
        return {} if is_legacy else standard_signature(message_id, at, body, is_forged=is_forged)

    # --- inside

    def _create(self, request: Request, check: Any, *, is_legacy: bool) -> Reply:
        if request.headers.get("Content-Type") != "application/json":
            return _error(400, 1200, "a JSON body is expected")
        body = request.json
        try:
            check(body)
        except _Invalid as wrong:
            return _error(400, 1201, str(wrong))
        mark = _marked_in(body)
        if mark is not None and self.marked(mark):
            return _error(400, 1201, "external_task_id is not unique")
        running = sum(task.state == "running" for task in self.tasks.values())
        if self.concurrent is not None and running >= self.concurrent:
            return self.busy()
        task = self.accept(body, task_id=str(next(self._numbers)))
        if is_legacy:
            self._legacy.add(task.id)
        if url := body.get("options", body).get("callback_url"):
            self.announce(task, url, [("submitted", task.accepted_at), ("processing", task.accepted_at)])
        if is_legacy:
            return _ok(self._legacy_row(task) | {"task_status": "submitted"})
        return _ok({"id": task.id, "status": "submitted", "create_time": _ms(task.accepted_at), "update_time": 0})

    def _row(self, task: Task) -> dict[str, Any]:
        status, message = self._state(task, done="succeeded")
        row: dict[str, Any] = {
            "id": task.id,
            "external_id": self.external_id_of(task),
            "status": status,
            "message": message,
            "outputs": [],
        }
        if task.state == "ready":
            url = f"{self.url}/files/{task.id}.mp4"
            row["outputs"] = [{"type": "video", "id": f"v{task.id}", "url": url, "duration": "5.04"}]
            row["billing"] = [{"charge_type": "unit", "amount": "1.5", "package_type": "video"}]
        return row

    def _legacy_row(self, task: Task) -> dict[str, Any]:
        status, message = self._state(task, done="succeed")
        row: dict[str, Any] = {
            "task_id": task.id,
            "task_status": status,
            "task_status_msg": message,
            "task_info": {"external_task_id": _mark_of(task)},
            "created_at": _ms(task.accepted_at),
            "updated_at": _ms(time.time()),
        }
        if task.state == "ready":
            url = f"{self.url}/files/{task.id}.mp4"
            row["task_result"] = {"videos": [{"id": f"v{task.id}", "url": url, "duration": "5"}]}
            row["final_unit_deduction"] = "1.5"
        return row

    def _state(self, task: Task, *, done: str) -> tuple[str, str]:
        match task.state:
            case "ready":
                return done, ""
            case "rejected":
                return "failed", self.rejected_words
            case "failed":
                return "failed", self.failure_words
            case _:
                return "processing", ""

    def _token_refused(self, request: Request) -> Reply | None:
        scheme, _, token = str(request.headers.get("Authorization", "")).partition(" ")
        try:
            claims = jwt.decode(
                token,
                self.secret_key,
                algorithms=["HS256"],
                issuer=self.access_key,
                options={"require": ["iss", "exp", "nbf"]},
            )
            is_typed = jwt.get_unverified_header(token).get("typ") == "JWT"
        except jwt.ExpiredSignatureError:
            return _error(401, 1004, "Authorization expired")
        except jwt.ImmatureSignatureError:
            return _error(401, 1003, "Authorization is not valid yet")
        except jwt.InvalidTokenError:
            return self.unauthorized()
        lives_s = claims["exp"] - claims["nbf"]
        return None if scheme == "Bearer" and is_typed and lives_s <= 1810 else self.unauthorized()


def _check(model: str, body: Any) -> None:
    lengths, resolutions, sounds = _MODELS[model]
    _fields(body, {"contents", "settings"}, {"options"})
    _check_contents(body["contents"])
    settings = body["settings"]
    _fields(settings, {"resolution", "duration"}, {"audio"} if sounds else set())
    if type(settings["duration"]) is not int or settings["duration"] not in lengths:
        raise _Invalid("duration")
    if settings["resolution"] not in resolutions or settings.get("audio", "off") not in {"off", *sounds}:
        raise _Invalid("resolution or audio")
    options = body.get("options", {})
    _fields(options, set(), {"callback_url", "external_task_id", "watermark_info"})
    _texts(options, {"callback_url", "external_task_id"})


def _check_contents(contents: Any) -> None:
    if not isinstance(contents, list) or not all(isinstance(content, dict) for content in contents):
        raise _Invalid("contents")
    by_type = {content.get("type"): content for content in contents}
    if len(by_type) != len(contents) or not {"first_frame"} <= set(by_type) <= {"first_frame", "prompt"}:
        raise _Invalid("contents")
    _fields(by_type["first_frame"], {"type", "url"}, set())
    _check_image(by_type["first_frame"]["url"], most_bytes=_MOST_BYTES)
    if "prompt" in by_type:
        _fields(by_type["prompt"], {"type", "text"}, set())
        _check_prompt(by_type["prompt"]["text"], 3072)


def _check_legacy(body: Any) -> None:
    _fields(
        body,
        {"image"},
        {"model_name", "prompt", "negative_prompt", "duration", "mode", "callback_url", "external_task_id"},
    )
    _texts(body, {"callback_url", "external_task_id"})
    model = body.get("model_name", "kling-v1")
    if model not in _LEGACY_LENGTHS:
        raise _Invalid("model_name")
    if body.get("duration", "5") not in _LEGACY_LENGTHS[model] or body.get("mode", "std") not in {"std", "pro"}:
        raise _Invalid("duration or mode")
    _check_image(body["image"], most_bytes=_LEGACY_MOST_BYTES)
    for field in ("prompt", "negative_prompt"):
        _check_prompt(body.get(field, ""), 2500)


def _fields(found: Any, required: set[str], allowed: set[str]) -> None:
    if not isinstance(found, dict) or not required <= set(found) <= required | allowed:
        raise _Invalid(f"these are taken: {sorted(required | allowed)}")


def _texts(found: dict[str, Any], names: set[str]) -> None:
    for name in names & set(found):
        if not isinstance(found[name], str) or not found[name]:
            raise _Invalid(name)


def _check_prompt(prompt: Any, most: int) -> None:
    if not isinstance(prompt, str) or len(prompt) > most:
        raise _Invalid("prompt")


def _check_image(image: Any, *, most_bytes: int) -> None:
    if isinstance(image, str) and re.match(r"https?://", image):
        return
    try:
        # Strictly: a data URI is no base64.
        content = base64.b64decode(image, validate=True)
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
    except (binascii.Error, OSError, TypeError, ValueError) as error:
        raise _Invalid("image") from error
    width, height = picture.size
    if picture.format not in {"JPEG", "PNG"} or len(content) > most_bytes:
        raise _Invalid("image format or size")
    if min(width, height) < 300 or not 1 / 2.5 <= width / height <= 2.5:
        raise _Invalid("image dimensions")


def _marked_in(body: dict[str, Any]) -> str | None:
    mark = body.get("options", body).get("external_task_id")
    return None if mark is None else str(mark)


def _mark_of(task: Task) -> str | None:
    return _marked_in(task.asked)


def _ms(seconds: float) -> int:
    return round(1000 * seconds)


def _ok(found: Any) -> Reply:
    return Reply(200, _enveloped(found))


def _enveloped(found: Any) -> dict[str, Any]:
    return {"code": 0, "message": "SUCCEED", "request_id": "r1", "data": found}


def _error(status: int, code: int, words: str) -> Reply:
    return Reply(status, {"code": code, "message": words, "request_id": "r1"})
