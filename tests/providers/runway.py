"""Runway's image-to-video: tasks that are created, looked at and deleted."""

from __future__ import annotations

import base64
import binascii
import io
import re
import uuid
from typing import Any

from PIL import Image

from tests.providers.simulator import Reply, Request, Simulator, Task, operation

_GEN4_RATIOS = {"1280:720", "720:1280", "1104:832", "960:960", "832:1104", "1584:672"}
_VEO_RATIOS = {"1280:720", "720:1280", "1080:1920", "1920:1080"}
# Model: required beside model and promptImage, allowed, lengths, ratios.
_MODELS: dict[str, tuple[set[str], set[str], set[int], set[str]]] = {
    "gen4.5": (
        {"promptText", "ratio", "duration"},
        {"seed", "contentModeration"},
        set(range(2, 11)),
        _GEN4_RATIOS,
    ),
    "gen4_turbo": ({"ratio"}, {"promptText", "duration", "seed", "contentModeration"}, set(range(2, 11)), _GEN4_RATIOS),
    "veo3.1": ({"ratio"}, {"promptText", "duration", "seed"}, {4, 6, 8}, _VEO_RATIOS),
    "veo3.1_fast": ({"ratio"}, {"promptText", "duration", "seed"}, {4, 6, 8}, _VEO_RATIOS),
    "kling2.5_turbo_pro": ({"promptText"}, {"duration"}, {5, 10}, set()),
}
_DATA_URI = re.compile(r"data:image/(jpeg|png|webp);base64,(.*)", re.DOTALL)
_MOST_DATA_URI = 5_000_000


class _Invalid(Exception):
    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field


class RunwaySimulator(Simulator):
    name = "runway"
    failure_code: str | None = "INTERNAL"
    """Of tasks that fail for the service's own reasons."""
    waiting_status = "RUNNING"
    """Of tasks that are not finished."""
    busy_words = "Too many requests"

    def env(self) -> dict[str, str]:
        return {"VIDEO_PROVIDER": "runway", "RUNWAY_BASE_URL": self.url, "RUNWAYML_API_SECRET": self.key}

    @operation("POST", "/v1/image_to_video", "create")
    def create(self, request: Request) -> Reply:
        if refusal := self._refusal(request):
            return refusal
        if request.headers.get("Content-Type") != "application/json":
            return _error(400, "Expected a JSON body")
        try:
            _check(request.json)
        except _Invalid as wrong:
            issue = {"code": "custom", "path": [wrong.field], "message": str(wrong)}
            return Reply(400, {"error": "Validation of body failed", "issues": [issue]})
        task = self.accept(request.json, task_id=str(uuid.uuid4()))
        return Reply(200, {"id": task.id, "estimatedCost": {"credits": self._credits(task)}})

    @operation("GET", "/v1/tasks/{task_id}", "look")
    def look(self, request: Request, task_id: str) -> Reply:
        if refusal := self._refusal(request):
            return refusal
        if task_id not in self.tasks:
            return _error(404, "Task not found")
        return Reply(200, self._told(self.tasks[task_id]))

    @operation("DELETE", "/v1/tasks/{task_id}", "cancel")
    def cancel(self, request: Request, task_id: str) -> Reply:
        if refusal := self._refusal(request):
            return refusal
        if self.tasks.pop(task_id, None) is None:
            return _error(404, "Task not found")
        return Reply(204)

    @operation("GET", "/files/{name}", "download")
    def download(self, request: Request, name: str) -> Reply:
        # Addresses are signed; who asks for a file carries no key.
        if "Authorization" in request.headers or "sig" not in request.query:
            return Reply(403, b"SignatureDoesNotMatch")
        return Reply(200, self.film, {"Content-Type": "video/mp4"})

    def busy(self) -> Reply:
        return _error(429, self.busy_words)

    def broken(self) -> Reply:
        return _error(503, "Service is overloaded")

    def rejected(self) -> Reply:
        # It checks content while it works on the task. At once it refuses only what is invalid.
        return Reply(400, {"error": "Validation of body failed", "issues": [{"path": ["promptImage"]}]})

    def unauthorized(self) -> Reply:
        return _error(401, "The API key is not valid")

    def spent(self) -> Reply:
        return _error(400, "You do not have enough credits to run this task.")

    def no_model(self) -> Reply:
        return Reply(400, {"error": "Validation of body failed", "issues": [{"path": ["model"]}]})

    def _refusal(self, request: Request) -> Reply | None:
        if not self.is_signed(request):
            return self.unauthorized()
        if request.headers.get("X-Runway-Version") != "2024-11-06":
            return _error(400, "X-Runway-Version is missing or unknown")
        return None

    def _told(self, task: Task) -> dict[str, Any]:
        told = {"id": task.id, "createdAt": "2026-11-21T10:00:00Z"}
        credits_ = {"credits": self._credits(task)}
        match task.state:
            case "ready":
                url = f"{self.url}/files/{task.id}.mp4?sig={uuid.uuid4().hex}"
                return {**told, "status": "SUCCEEDED", "output": [url], "cost": credits_}
            case "rejected":
                code, words = "SAFETY.INPUT.TEXT", "The input was flagged."
                return {**told, "status": "FAILED", "failureCode": code, "failure": words, "cost": credits_}
            case "failed":
                code_told = {"failureCode": self.failure_code} if self.failure_code else {}
                failed = {"status": "FAILED", "failure": "An unexpected error occurred.", "cost": {"credits": 0}}
                return {**told, **failed, **code_told}
            case _:
                progress = {"progress": 0.5} if self.waiting_status == "RUNNING" else {}
                return {**told, "status": self.waiting_status, **progress, "estimatedCost": credits_}

    def _credits(self, task: Task) -> int:
        return int(5 * task.asked.get("duration", 5))


def _check(body: Any) -> None:
    if not isinstance(body, dict) or body.get("model") not in _MODELS:
        raise _Invalid("model", "Invalid discriminator value")
    required, allowed, lengths, ratios = _MODELS[body["model"]]
    for field in {"promptImage", *required} - set(body):
        raise _Invalid(field, "Required")
    for field in set(body) - {"model", "promptImage", *required, *allowed}:
        raise _Invalid(field, "Unrecognized key")
    _check_image(body["promptImage"])
    if "promptText" in body:
        text = body["promptText"]
        if not isinstance(text, str) or not 1 <= len(text.encode("utf-16-le")) // 2 <= 1000:
            raise _Invalid("promptText", "Has to be 1 to 1000 UTF-16 units")
    if "duration" in body and (type(body["duration"]) is not int or body["duration"] not in lengths):
        raise _Invalid("duration", "Not offered")
    if "ratio" in body and body["ratio"] not in ratios:
        raise _Invalid("ratio", "Not offered")


def _check_image(image: Any) -> None:
    if isinstance(image, list):
        if len(image) != 1 or set(image[0]) != {"uri", "position"} or image[0]["position"] != "first":
            raise _Invalid("promptImage", "Has to be one first frame")
        image = image[0]["uri"]
    if not isinstance(image, str):
        raise _Invalid("promptImage", "Has to be text")
    if re.fullmatch(r"https://[a-z0-9.-]*[a-z][a-z0-9.-]*/\S{1,2000}", image) or image.startswith("runway://"):
        return
    match = _DATA_URI.fullmatch(image)
    if match is None or len(image) > _MOST_DATA_URI:
        raise _Invalid("promptImage", "Has to be an https address or a data URI of 5 MB at most")
    try:
        with Image.open(io.BytesIO(base64.b64decode(match[2], validate=True))) as picture:
            picture.load()
    except (binascii.Error, OSError) as error:
        raise _Invalid("promptImage", "Cannot be read") from error
    if picture.format != match[1].upper():
        raise _Invalid("promptImage", "Is not what it says")


def _error(status: int, words: str) -> Reply:
    return Reply(status, {"error": words})
