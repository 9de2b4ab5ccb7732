"""DashScope's painters: Z-Image and Wan 2.6 at once, Wan as a task in both of its shapes."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from tests.providers.dashscope import NATIVE, DashScopeWords
from tests.providers.pictures import Paints, sides
from tests.providers.simulator import Fault, Reply, Request, Task, operation

AT_ONCE = {"z-image-turbo", "wan2.6-t2i"}
"""Models of the synchronous address."""
CONVERSING = {"wan2.6-t2i"}
"""Models that are asked for a task in the form of a conversation."""
PROMPTED = {"wan2.2-t2i-flash", "wan2.2-t2i-plus", "wan2.5-t2i-preview"}
"""Models that are asked for a task with a prompt alone."""

_PARAMETERS = {
    "size": str,
    "n": int,
    "seed": int,
    "prompt_extend": bool,
    "watermark": bool,
    "negative_prompt": str,
    # Of no consequence; DashScope's own client sends it along.
    "is_async": bool,
}
_Z_IMAGE_PARAMETERS = {"size", "seed", "prompt_extend"}
_FAILURES = {"rejected": "DataInspectionFailed", "failed": "InternalError"}


class DashScopeImages(DashScopeWords, Paints):
    @operation("POST", f"{NATIVE}/services/aigc/multimodal-generation/generation", "paint")
    def paint(self, request: Request) -> Reply:
        """Synchronous: the answer tells where the picture is."""
        refusal = self._refusal(request, AT_ONCE, is_task=False)
        if refusal:
            return refusal
        task = self.accept(request.json, task_id=uuid4().hex)
        if code := _FAILURES.get(task.state):
            # What stands in between tells of a failure with HTTP 200 at times.
            return Reply(200, {"code": code, "message": "simulated", "request_id": "simulated"})
        width, height = _size(task.asked)
        return Reply(
            200,
            {
                "request_id": "simulated",
                "output": self._conversation(task),
                "usage": {"width": width, "height": height, "image_count": 1},
            },
        )

    @operation("POST", f"{NATIVE}/services/aigc/text2image/image-synthesis", "paint_later")
    def paint_later(self, request: Request) -> Reply:
        """A task, in the shape of the older models."""
        return self._refusal(request, PROMPTED, is_task=True) or self._accepted(request)

    @operation("POST", f"{NATIVE}/services/aigc/image-generation/generation", "paint_later")
    def converse_later(self, request: Request) -> Reply:
        """A task, in the shape of the newer models."""
        return self._refusal(request, CONVERSING, is_task=True) or self._accepted(request)

    @operation("GET", f"{NATIVE}/tasks/{{id}}", "task")
    def task(self, request: Request, id: str) -> Reply:  # noqa: A002 (the name in the path)
        if not self.is_signed(request):
            return self.unauthorized()
        task = self.tasks.get(id)
        if task is None:
            return _answer({"task_id": id, "task_status": "UNKNOWN"})
        output: dict[str, Any] = {"task_id": id, "task_status": _status(task)}
        if code := _FAILURES.get(task.state):
            output |= {"code": code, "message": "simulated"}
        if task.state != "ready":
            return _answer(output)
        if task.asked["model"] in CONVERSING:
            output |= self._conversation(task) | {"finished": True}
        else:
            output["results"] = [{"url": self._address(task), "orig_prompt": task.asked["input"]["prompt"]}]
        return Reply(200, {"request_id": "simulated", "output": output, "usage": {"image_count": 1}})

    @operation("POST", f"{NATIVE}/tasks/{{id}}/cancel", "cancel_task")
    def cancel_task(self, request: Request, id: str) -> Reply:  # noqa: A002 (the name in the path)
        if not self.is_signed(request):
            return self.unauthorized()
        task = self.tasks.get(id)
        if task is None or _status(task) != "PENDING":
            return self.refusal(400, "UnsupportedOperation", "unsupported", "The task is not PENDING.")
        task.is_canceled = True
        return Reply(200, {"request_id": "simulated"})

    @operation("GET", "/pictures/{id}.png", "picture")
    def serve_picture(self, request: Request, id: str) -> Reply:  # noqa: A002 (the name in the path)
        """Without the key: the address alone opens it."""
        if id not in self.tasks or "Signature" not in request.query:
            return self.expired()
        return Reply(200, self.painted(_size(self.tasks[id].asked)), {"Content-Type": "image/png"})

    def _accepted(self, request: Request) -> Reply:
        task = self.accept(request.json, task_id=str(uuid4()))
        return _answer({"task_id": task.id, "task_status": "PENDING"})

    def _refusal(self, request: Request, models: set[str], *, is_task: bool) -> Reply | None:
        if not self.is_signed(request):
            return self.unauthorized()
        if is_task is not (request.headers.get("X-DashScope-Async") == "enable"):
            return self.refusal(403, "AccessDenied", "access_denied", "current user api does not support this call.")
        try:
            asked = request.json
        except ValueError:
            return self.invalid("The body is no JSON.")
        model = asked.get("model")
        if model not in models:
            return self.no_model()
        if set(asked) - {"model", "input", "parameters"}:
            return self.invalid("There are fields that are not known.")
        wrong = _wrong_input(asked, conversing=not is_task or model in CONVERSING) or _wrong_parameters(asked)
        return self.invalid(wrong) if wrong else None

    def _conversation(self, task: Task) -> dict[str, Any]:
        prompt = task.asked["input"]["messages"][0]["content"][0]["text"]
        content = [{"image": self._address(task)}, {"text": prompt}]
        message = {"role": "assistant", "content": content, "reasoning_content": ""}
        return {"choices": [{"finish_reason": "stop", "message": message}]}

    def _address(self, task: Task) -> str:
        return f"{self.url}/pictures/{task.id}.png?Expires={int(time.time()) + 86_400}&Signature=simulated"


def _answer(output: dict[str, Any]) -> Reply:
    return Reply(200, {"request_id": "simulated", "output": output})


def _status(task: Task) -> str:
    match task.state:
        case "ready":
            return "SUCCEEDED"
        case "canceled":
            return "CANCELED"
        case "running":
            began_at = task.accepted_at + (task.ready_at - task.accepted_at) / 4
            return "PENDING" if time.time() < began_at and task.fault is not Fault.NEVER else "RUNNING"
        case _:
            return "FAILED"


def _size(asked: dict[str, Any]) -> tuple[int, int]:
    return sides(asked.get("parameters", {}).get("size"), "*") or (1024, 1024)


def _wrong_input(asked: dict[str, Any], *, conversing: bool) -> str:
    given = asked.get("input") or {}
    match given:
        case {"messages": [{"role": "user", "content": [{"text": str(prompt)}]}]} if conversing and len(given) == 1:
            pass
        case {"prompt": str(prompt)} if not conversing and not set(given) - {"prompt", "negative_prompt"}:
            pass
        case _:
            return "input is not as the model wants it."
    return "" if prompt.strip() else "The prompt is empty."


def _wrong_parameters(asked: dict[str, Any]) -> str:
    given, model = asked.get("parameters", {}), asked["model"]
    known = _Z_IMAGE_PARAMETERS if model == "z-image-turbo" else set(_PARAMETERS)
    for name, value in given.items():
        if name not in known or type(value) is not _PARAMETERS[name]:
            return f"parameters.{name} is not valid."
    if not 0 <= given.get("seed", 0) <= 2_147_483_647:
        return "parameters.seed is out of range."
    if not 1 <= given.get("n", 1) <= 4:
        return "parameters.n is out of range."
    if "size" not in given:
        return ""
    size = sides(given["size"], "*")
    if size is None:
        return "parameters.size is to be written as width*height."
    return "" if _fits(model, *size) else "parameters.size is out of range."


def _fits(model: str, width: int, height: int) -> bool:
    if model == "z-image-turbo":
        return 512 * 512 <= width * height <= 2048 * 2048
    if model.startswith("wan2.2"):
        return min(width, height) >= 512 and max(width, height) <= 1440
    return 1280 * 1280 <= width * height <= 1440 * 1440 and 0.25 <= width / height <= 4
