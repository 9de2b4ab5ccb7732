"""A model node, by the protocol of docs/model-node.md."""

from __future__ import annotations

import base64
import binascii
import io
import re
import time
from typing import Any, ClassVar
from urllib.parse import urlsplit

from PIL import Image

from tests.providers.callbacks import SECRET, CallingBack, standard_signature
from tests.providers.simulator import Fault, Reply, Request, Task, operation

JOBS = "/v1/jobs"
MODELS = {"video": "svd_img2vid", "image": "sd_turbo", "speech": "cosyvoice_mini"}
MIMES = {"video": "video/mp4", "image": "image/png", "speech": "audio/wav"}
STATUSES = {"running": "processing", "ready": "finished", "rejected": "failed", "canceled": "cancelled"}


def error(status: int, code: str) -> Reply:
    return Reply(status, {"error": {"code": code, "message": "In words for whoever reads the node's log."}})


class _Wrong(Exception):
    """A request that a node does not take, by the field that is wrong."""


class NodeSimulator(CallingBack):
    """`hands_in` puts the file into the answer; otherwise it is fetched."""

    name: ClassVar[str] = "node"
    hands_in = False

    def env(self) -> dict[str, str]:
        return {"NODE_BASE_URL": self.url, "NODE_API_KEY": self.key, "NODE_WEBHOOK_SECRET": SECRET}

    @operation("POST", JOBS, "create")
    def create(self, request: Request) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        try:
            asked = _checked(request)
        except _Wrong:
            return error(400, "invalid_request")
        if asked["model"] != MODELS[asked["type"]]:
            return self.no_model()
        known = self.tasks.get(asked["id"])
        if known:
            return Reply(200, self.described(known))
        task = self.accept(asked, task_id=asked["id"])
        if url := asked.get("callback_url"):
            self.announce(task, url)
        return Reply(202, self.described(task))

    @operation("GET", f"{JOBS}/{{job_id}}", "look")
    def look(self, request: Request, job_id: str) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        task = self.tasks.get(job_id)
        return Reply(200, self.described(task)) if task else error(404, "unknown_job")

    @operation("POST", f"{JOBS}/{{job_id}}/cancel", "cancel")
    def cancel(self, request: Request, job_id: str) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        task = self.tasks.get(job_id)
        if task is None:
            return error(404, "unknown_job")
        task.is_canceled |= task.state == "running"
        return Reply(200, self.described(task))

    @operation("GET", "/files/{name}", "download")
    def download(self, request: Request, name: str) -> Reply:
        return Reply(200, self.film, {"Content-Type": "application/octet-stream"})

    def described(self, task: Task) -> dict[str, Any]:
        """The job as a node tells of it."""
        status = STATUSES.get(task.state, task.state)
        told: dict[str, Any] = {"id": task.id, "status": status}
        match status:
            case "processing":
                length = task.ready_at - task.accepted_at
                told["progress"] = min(1.0, (time.time() - task.accepted_at) / length) if length else 0.0
            case "failed":
                code = "content_rejected" if task.fault is Fault.REJECTED_LATER else "failed"
                told["error"] = {"code": code, "message": "In words for whoever reads the node's log."}
            case "finished" if self.hands_in:
                content = base64.b64encode(self.film).decode()
                told["result"] = {"mime": MIMES[task.asked["type"]], "base64": content}
            case "finished":
                told["result"] = {"url": f"/files/{task.id}"}
        return told

    def news(self, task: Task, state: str) -> dict[str, Any]:
        told = self.described(task)
        return {**told, "status": state or told["status"]}

    def signed(self, _task: Task, message_id: str, at: int, body: bytes, *, is_forged: bool) -> dict[str, str]:
        return standard_signature(message_id, at, body, is_forged=is_forged)

    def busy(self) -> Reply:
        return error(429, "busy")

    def broken(self) -> Reply:
        return error(500, "failed")

    def rejected(self) -> Reply:
        return error(422, "content_rejected")

    def unauthorized(self) -> Reply:
        return error(401, "unauthorized")

    def no_model(self) -> Reply:
        return error(404, "unknown_model")


def _checked(request: Request) -> dict[str, Any]:
    asked = request.json
    _require(isinstance(asked, dict))
    _require(set(asked) - {"callback_url"} == {"id", "type", "model", "input"})
    _require(isinstance(asked["id"], str) and re.fullmatch(r"[A-Za-z0-9_-]{1,128}", asked["id"]) is not None)
    _require(asked["type"] in MODELS)
    _require(urlsplit(asked.get("callback_url", "https://example.com")).scheme in ("http", "https"))
    {"video": _check_video, "image": _check_image, "speech": _check_speech}[asked["type"]](asked["input"])
    return dict(asked)


def _check_video(wanted: dict[str, Any]) -> None:
    _require(set(wanted) - {"ratio", "resolution"} == {"prompt", "language", "image", "seconds"})
    _check_words(wanted, "prompt")
    _require(isinstance(wanted["seconds"], int) and wanted["seconds"] > 0)
    _require(set(wanted["image"]) == {"mime", "base64"} and wanted["image"]["mime"] == "image/jpeg")
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(wanted["image"]["base64"], validate=True)))
        picture.load()
    except (binascii.Error, OSError) as problem:
        raise _Wrong from problem
    _require(picture.format == "JPEG")


def _check_image(wanted: dict[str, Any]) -> None:
    _require(set(wanted) - {"seed"} == {"prompt", "language", "width", "height"})
    _check_words(wanted, "prompt")
    _require(all(isinstance(wanted[side], int) and 64 <= wanted[side] <= 4096 for side in ("width", "height")))
    _require(isinstance(wanted.get("seed", 0), int))


def _check_speech(wanted: dict[str, Any]) -> None:
    _require(set(wanted) == {"text", "language", "voice"})
    _check_words(wanted, "text")
    _require(isinstance(wanted["voice"], str))


def _check_words(wanted: dict[str, Any], field: str) -> None:
    _require(isinstance(wanted[field], str) and bool(wanted[field]))
    _require(wanted["language"] in ("zh", "en"))


def _require(holds: bool) -> None:  # noqa: FBT001 (the condition is all there is)
    if not holds:
        raise _Wrong
