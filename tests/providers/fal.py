"""fal's queue with Pika's image-to-video in it: requests, their status, their results, and canceling them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import uuid
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image

from tests.providers.callbacks import CallingBack
from tests.providers.simulator import Reply, Request, Task, operation

_ENDPOINTS = {"v2.2/image-to-video"}
_FIELDS = {"image_url", "prompt", "negative_prompt", "resolution", "duration", "seed"}
_DATA_URI = re.compile(r"data:image/(jpeg|png|webp|gif|avif);base64,(.*)", re.DOTALL)


class _Invalid(Exception):
    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field


class FalSimulator(CallingBack):
    name = "fal"
    key = "test-id:test-secret"
    failed = "ERROR"
    most_sends = 10
    user_id = "github|1234567"
    addresses_from: str | None = None
    """Where the addresses in its answers lead to; None is where they should."""
    failure: Reply | None = None
    """The result of a request that failed for reasons of its own; None is a runner that was lost."""

    def __init__(self) -> None:
        super().__init__()
        self._signing_key = Ed25519PrivateKey.generate()

    def env(self) -> dict[str, str]:
        return {"VIDEO_PROVIDER": "pika", "PIKA_BASE_URL": self.url, "FAL_KEY": self.key}

    def is_signed(self, request: Request) -> bool:
        return request.headers.get("Authorization") == f"Key {self.key}"

    @operation("POST", "/fal-ai/pika/{endpoint*}", "create")
    def create(self, request: Request, endpoint: str) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        if endpoint not in _ENDPOINTS:
            return self.no_model()
        if set(request.query) - {"fal_webhook"}:
            return _detail(422, "query", "Unknown parameter", "value_error")
        hooks = request.query.get("fal_webhook", [])
        if request.headers.get("Content-Type") != "application/json" or not all(map(_is_https, hooks)):
            return _detail(422, "fal_webhook", "JSON, and a public https address", "value_error")
        try:
            _check(request.json)
        except _Invalid as wrong:
            return _detail(422, wrong.field, str(wrong), "value_error")
        task = self.accept(request.json, task_id=str(uuid.uuid4()))
        if hooks:
            self.announce(task, hooks[0])
        return Reply(200, {**self._addresses(task), "status": "IN_QUEUE", "queue_position": 0})

    @operation("GET", "/fal-ai/pika/requests/{request_id}/status", "look")
    def status(self, request: Request, request_id: str) -> Reply:
        if refusal := self._refusal(request, request_id):
            return refusal
        task = self.tasks[request_id]
        match task.state:
            case "running":
                return Reply(202, {**self._addresses(task), "status": "IN_PROGRESS", "logs": None})
            case "ready":
                return Reply(200, {**self._completed(task), "metrics": {"inference_time": 1.5}})
            case "canceled":
                failure = {"error": "Request was cancelled", "error_type": "request_cancelled"}
            case "rejected":
                failure = {"error": "Unprocessable entity"}
            case _:
                failure = {"error": "The runner was lost", "error_type": "runner_disconnected"}
        return Reply(200, {**self._completed(task), "metrics": {}, **failure})

    @operation("GET", "/fal-ai/pika/requests/{request_id}", "result")
    def result(self, request: Request, request_id: str) -> Reply:
        if refusal := self._refusal(request, request_id):
            return refusal
        return self._result(self.tasks[request_id])

    def _result(self, task: Task) -> Reply:
        match task.state:
            case "ready":
                url, name = f"{self.url}/files/{task.id}.mp4", f"{task.id}.mp4"
                video = {"url": url, "content_type": "video/mp4", "file_name": name, "file_size": len(self.film)}
                return Reply(200, {"video": video})
            case "rejected":
                return self.rejected()
            case "failed":
                return self.failure or _infrastructure(503, "The runner was lost", "runner_disconnected")
            case "canceled":
                return _infrastructure(499, "Request was cancelled", "request_cancelled")
            case _:
                return Reply(400, {"detail": "Request is still in progress"})

    @operation("PUT", "/fal-ai/pika/requests/{request_id}/cancel", "cancel")
    def cancel(self, request: Request, request_id: str) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        task = self.tasks.get(request_id)
        if task is None:
            return Reply(404, {"status": "NOT_FOUND"})
        if task.state != "running":
            return Reply(400, {"status": "ALREADY_COMPLETED"})
        task.is_canceled = True
        return Reply(202, {"status": "CANCELLATION_REQUESTED"})

    @operation("GET", "/files/{name}", "download")
    def download(self, request: Request, name: str) -> Reply:
        if "Authorization" in request.headers:
            return Reply(403, b"no key is wanted here")
        return Reply(200, self.film, {"Content-Type": "video/mp4"})

    @operation("GET", "/.well-known/jwks.json", "keys")
    def keys(self, request: Request) -> Reply:
        x = base64.urlsafe_b64encode(self._signing_key.public_key().public_bytes_raw()).decode().rstrip("=")
        return Reply(200, {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x}]})

    def news(self, task: Task, state: str) -> dict[str, Any]:
        addresses = self._addresses(task)
        told = {name: addresses[name] for name in ("request_id", "gateway_request_id")}
        result = self._result(task)
        status = state or ("OK" if result.status == 200 else "ERROR")
        told |= {"status": status, "payload": result.body}
        return told if status == "OK" else {**told, "error": "Unexpected status code"}

    def message_id(self, task: Task) -> str:
        return task.id

    def signed(self, _task: Task, message_id: str, at: int, body: bytes, *, is_forged: bool) -> dict[str, str]:
        key = Ed25519PrivateKey.generate() if is_forged else self._signing_key
        content = "\n".join([message_id, self.user_id, str(at), hashlib.sha256(body).hexdigest()]).encode()
        told = {"Request-Id": message_id, "User-Id": self.user_id, "Timestamp": str(at)}
        headers = {**told, "Signature": key.sign(content).hex()}
        return {f"X-Fal-Webhook-{name}": value for name, value in headers.items()}

    def busy(self) -> Reply:
        return Reply(429, {"detail": "Too many requests"})

    def broken(self) -> Reply:
        return _infrastructure(503, "No runner could be scheduled", "runner_scheduling_failure")

    def rejected(self) -> Reply:
        return _detail(422, "prompt", "The content was flagged", "content_policy_violation")

    def unauthorized(self) -> Reply:
        return Reply(401, {"detail": "Cannot access application. Authentication is required."})

    def spent(self) -> Reply:
        return Reply(403, {"detail": "User is locked. Reason: Exhausted balance."})

    def no_model(self) -> Reply:
        return Reply(404, {"detail": "Application not found"})

    def _refusal(self, request: Request, request_id: str) -> Reply | None:
        if not self.is_signed(request):
            return self.unauthorized()
        return None if request_id in self.tasks else Reply(404, {"detail": "Request not found"})

    def _completed(self, task: Task) -> dict[str, Any]:
        # fal's own client reads the logs of what is completed, whether it has asked for them or not.
        return {**self._addresses(task), "status": "COMPLETED", "logs": None}

    def _addresses(self, task: Task) -> dict[str, Any]:
        where = f"{self.addresses_from or self.url}/fal-ai/pika/requests/{task.id}"
        return {
            "request_id": task.id,
            "gateway_request_id": str(uuid.uuid4()),
            "response_url": where,
            "status_url": f"{where}/status",
            "cancel_url": f"{where}/cancel",
        }


def _check(body: Any) -> None:
    if not isinstance(body, dict):
        raise _Invalid("body", "Has to be an object")
    for field in {"image_url", "prompt"} - set(body):
        raise _Invalid(field, "Field required")
    for field in set(body) - _FIELDS:
        raise _Invalid(field, "Extra inputs are not permitted")
    for field in ("prompt", "negative_prompt"):
        if not isinstance(body.get(field, ""), str):
            raise _Invalid(field, "Has to be text")
    if body.get("resolution", "720p") not in {"720p", "1080p"}:
        raise _Invalid("resolution", "720p or 1080p")
    # As text: a number was the older schema.
    if body.get("duration", "5") not in {"5", "10"}:
        raise _Invalid("duration", "5 or 10")
    _check_image(body["image_url"])


def _check_image(image: Any) -> None:
    if not isinstance(image, str):
        raise _Invalid("image_url", "Has to be text")
    if _is_https(image):
        return
    match = _DATA_URI.fullmatch(image)
    try:
        with Image.open(io.BytesIO(base64.b64decode(match[2] if match else "", validate=True))) as picture:
            picture.load()
    except (binascii.Error, OSError) as error:
        raise _Invalid("image_url", "Cannot be read") from error


def _is_https(url: str) -> bool:
    return re.fullmatch(r"https://[^\s/]+/\S*", url) is not None


def _detail(status: int, field: str, words: str, kind: str) -> Reply:
    faults = [{"loc": ["body", field], "msg": words, "type": kind, "ctx": {}}]
    return Reply(status, {"detail": faults}, {"X-Fal-Retryable": "false"})


def _infrastructure(status: int, words: str, kind: str) -> Reply:
    return Reply(status, {"detail": words, "error_type": kind}, {"X-Fal-Error-Type": kind})
