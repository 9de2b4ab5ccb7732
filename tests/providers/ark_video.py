"""Ark's video generation tasks: create, get, list, delete, callbacks, and the files that come of them."""

from __future__ import annotations

import base64
import binascii
import io
import itertools
import random
import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from tests.providers.ark import PREFIX, ArkWords, Refused, error
from tests.providers.callbacks import CallingBack
from tests.providers.simulator import Fault, Reply, Request, Task, operation

TASKS = f"{PREFIX}/contents/generations/tasks"
URL_S = 24 * 3600
RECORD_S = 7 * 24 * 3600
MOST_BODY_BYTES = 64 * 1024 * 1024
MOST_PICTURE_BYTES = 30_000_000
LARGEST_SEED = 2**32 - 1

# In the order 16:9, 4:3, 1:1, 3:4, 9:16, 21:9.
RATIOS = ("16:9", "4:3", "1:1", "3:4", "9:16", "21:9")
SIZES = {
    "480p": ((864, 480), (736, 544), (640, 640), (544, 736), (480, 864), (960, 416)),
    "720p": ((1248, 704), (1120, 832), (960, 960), (832, 1120), (704, 1248), (1504, 640)),
    "1080p": ((1920, 1088), (1664, 1248), (1440, 1440), (1248, 1664), (1088, 1920), (2176, 928)),
}
FORMATS = {"jpeg", "png", "webp", "bmp", "tiff", "gif"}

COMMON = {
    "model", "content", "resolution", "ratio", "duration", "watermark", "return_last_frame", "callback_url",
    "execution_expires_after", "safety_identifier",
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    seconds: range
    resolutions: tuple[str, ...]
    default_resolution: str
    fields: frozenset[str]
    """Those beside the common ones."""


FIRST = frozenset({"frames", "seed", "camera_fixed", "service_tier"})
SECOND = frozenset({"generate_audio", "draft", "priority", "tools"})
MODELS = {
    "doubao-seedance-1-0-pro-250528": Model(range(2, 13), ("480p", "720p", "1080p"), "1080p", FIRST),
    "doubao-seedance-2-0-260128": Model(range(4, 16), ("480p", "720p", "1080p"), "720p", SECOND),
    "doubao-seedance-2-0-fast-260128": Model(range(4, 16), ("480p", "720p"), "720p", SECOND),
}
_FLAG = re.compile(r"--(duration|dur|resolution|rs|ratio|rt|seed)\s+(\S+)")
_FLAG_FIELDS = {"dur": "duration", "rs": "resolution", "rt": "ratio"}


class ArkVideo(CallingBack, ArkWords):
    """Faults of a task: REJECTED_LATER, FAILED, NEVER. `list_hides` are fields that its tasks do not show."""

    most_sends = 3

    queue_s = 0.0
    """How long a task waits before it runs."""
    list_hides: frozenset[str] = frozenset()
    newest_first = True

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)

    @operation("POST", TASKS, "create")
    def create(self, request: Request) -> Reply:
        try:
            self.check_key(request)
            asked = self._settled(request)
        except Refused as refused:
            return refused.reply
        task = self.accept(asked, task_id=f"cgt-{time.strftime('%Y%m%d%H%M%S')}-{next(self._numbers):05}")
        task.ready_at += self.queue_s
        if url := asked.get("callback_url"):
            self.announce(task, url, [("queued", task.accepted_at), ("running", task.accepted_at + self.queue_s)])
        return Reply(200, {"id": task.id})

    @operation("GET", f"{TASKS}/{{task_id}}", "look")
    def look(self, request: Request, task_id: str) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        task = self._known(task_id)
        return Reply(200, self.described(task, self.state(task))) if task else _unknown(task_id)

    @operation("GET", TASKS, "list")
    def list_tasks(self, request: Request) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        try:
            page, size = _number(request, "page_num", 1), _number(request, "page_size", 10)
            wanted = self._wanted(request)
        except Refused as refused:
            return refused.reply
        items = [self.described(task, self.state(task)) for task in wanted[(page - 1) * size : page * size]]
        shown = [{name: value for name, value in item.items() if name not in self.list_hides} for item in items]
        return Reply(200, {"total": len(wanted), "items": shown})

    @operation("DELETE", f"{TASKS}/{{task_id}}", "delete")
    def delete(self, request: Request, task_id: str) -> Reply:
        if not self.is_signed(request):
            return self.unauthorized()
        task = self._known(task_id)
        if task is None:
            return _unknown(task_id)
        match self.state(task):
            case "queued":
                task.is_canceled = True
            case "running" | "cancelled" as state:
                # Its code is not documented.
                return error(400, "InvalidParameter", f"A task that is {state} cannot be deleted.", param="id")
            case _:
                del self.tasks[task_id]
        return Reply(200, {})

    @operation("GET", "/results/{name}", "download")
    def download(self, request: Request, name: str) -> Reply:
        task = self.tasks.get(name.removesuffix(".mp4"))
        if task is None or "X-Tos-Signature" not in request.query or time.time() > task.ready_at + URL_S:
            return self.expired()
        return Reply(200, self.film, {"Content-Type": "video/mp4"})

    # --- inside

    def state(self, task: Task) -> str:
        """In Ark's words."""
        now = time.time()
        if task.is_canceled:
            return "cancelled"
        if now < task.accepted_at + self.queue_s:
            return "queued"
        if now > task.accepted_at + task.asked["execution_expires_after"] and task.state == "running":
            return "expired"
        return {"ready": "succeeded", "rejected": "failed"}.get(task.state, task.state)

    def news(self, task: Task, state: str) -> dict[str, Any]:
        return self.described(task, state or self.state(task))

    def described(self, task: Task, state: str) -> dict[str, Any]:
        """The task in this state, as Ark tells of it."""
        asked = task.asked
        told: dict[str, Any] = {
            "id": task.id,
            "model": asked["model"],
            "status": state,
            "error": None,
            "created_at": int(task.accepted_at),
            "updated_at": int(time.time()),
            "seed": asked["seed"],
            "resolution": asked["resolution"],
            "ratio": asked["ratio"],
            "framespersecond": 24,
            "service_tier": asked.get("service_tier", "default"),
            "execution_expires_after": asked["execution_expires_after"],
        }
        told |= {name: asked[name] for name in ("frames", "duration", "safety_identifier") if name in asked}
        if state == "failed":
            told["error"] = _failure(task.fault)
        if state == "succeeded":
            tokens = _tokens(asked)
            told["content"] = {
                "video_url": f"{self.url}/results/{task.id}.mp4?X-Tos-Signature=0123",
                "last_frame_url": None,
            }
            told["usage"] = {"completion_tokens": tokens, "total_tokens": tokens}
        return told

    def _known(self, task_id: str) -> Task | None:
        task = self.tasks.get(task_id)
        return task if task and task.accepted_at > time.time() - RECORD_S else None

    def _wanted(self, request: Request) -> list[Task]:
        unknown = set(request.query) - {
            "page_num", "page_size", "filter.status", "filter.task_ids", "filter.model", "filter.service_tier",
        }  # fmt: skip
        if unknown:
            raise Refused("InvalidParameter", f"Unknown parameters: {sorted(unknown)}.")
        tasks = [task for task in list(self.tasks.values()) if self._known(task.id)]
        if states := request.query.get("filter.status"):
            tasks = [task for task in tasks if self.state(task) in states]
        if ids := request.query.get("filter.task_ids"):
            tasks = [task for task in tasks if task.id in ids]
        if models := request.query.get("filter.model"):
            tasks = [task for task in tasks if task.asked["model"] in models]
        return sorted(tasks, key=lambda task: (task.accepted_at, task.id), reverse=self.newest_first)

    def _settled(self, request: Request) -> dict[str, Any]:
        """What was asked for, with Ark's own defaults. Raises Refused for anything that Ark would not take."""
        body = _json(request)
        name = _text(body, "model")
        if name not in MODELS:
            raise Refused(
                "InvalidEndpointOrModel.NotFound", f"The model {name} does not exist.", status=404, param="model"
            )
        model = MODELS[name]
        if unknown := sorted(set(body) - COMMON - model.fields):
            raise Refused("InvalidParameter", f"Unknown fields: {unknown}.", param=unknown[0])
        picture, words = _content(body)
        asked = {
            "resolution": model.default_resolution,
            "ratio": "adaptive" if picture else "16:9",
            "seed": -1,
            "execution_expires_after": 172_800,
            **({} if "frames" in body else {"duration": 5}),
            **body,
            # Parameters at the end of the text are taken, too: this is why no child's words may look like them.
            **_flags(words),
        }
        _check(asked, model)
        asked["ratio"] = _ratio(asked["ratio"], picture)
        if asked["seed"] == -1:
            asked["seed"] = _random_seed()
        return asked


def _random_seed() -> int:
    return random.randrange(LARGEST_SEED)  # noqa: S311 (a picture's, no secret)


def _failure(fault: Fault | None) -> dict[str, str]:
    if fault is Fault.REJECTED_LATER:
        code, words = "OutputVideoSensitiveContentDetected", "The output video may contain sensitive information."
    else:
        code, words = "InternalServiceError", "The service encountered an unexpected internal error."
    return {"code": code, "message": f"{words} Request id: 0217"}


def _unknown(task_id: str) -> Reply:
    # Its code is not documented.
    return error(404, "NotFound.Task", f"The task {task_id} does not exist.", param="id")


def _json(request: Request) -> dict[str, Any]:
    if len(request.body) > MOST_BODY_BYTES:
        raise Refused("InvalidParameter", "The body is too large.")
    if request.headers.get("Content-Type", "").partition(";")[0] != "application/json":
        raise Refused("InvalidParameter", "The body has to be JSON.")
    try:
        body = request.json
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused("InvalidParameter", "The body is no JSON object.")
    # The official SDK names every field that it knows, whatever the model.
    return {name: value for name, value in body.items() if value is not None}


def _text(body: dict[str, Any], field: str) -> str:
    if field not in body:
        raise Refused("MissingParameter", f"{field} is missing.", param=field)
    if not isinstance(body[field], str) or not body[field]:
        raise _invalid(field)
    return str(body[field])


def _number(request: Request, name: str, default: int) -> int:
    value = request.query.get(name, [str(default)])[0]
    if not value.isdecimal() or not 1 <= int(value) <= 500:
        raise _invalid(name)
    return int(value)


def _invalid(field: str) -> Refused:
    return Refused("InvalidParameter", f"The value of {field} is not valid.", param=field)


def _content(body: dict[str, Any]) -> tuple[Image.Image | None, str]:
    """The first frame and the words."""
    items = body.get("content")
    if not isinstance(items, list) or not items:
        raise Refused("MissingParameter", "content is missing.", param="content")
    words, pictures, roles = [], [], []
    for item in items:
        match item:
            case {"type": "text", "text": str(text), **rest} if text and not rest:
                words.append(text)
            case {"type": "image_url", "image_url": {"url": str(url), **more}, **rest} if not more and set(rest) <= {
                "role"
            }:
                pictures.append(_picture(url))
                roles.append(rest.get("role"))
            case _:
                raise _invalid("content")
    if roles not in ([], [None], ["first_frame"], ["first_frame", "last_frame"]) or len(words) > 1:
        raise _invalid("content")
    return (pictures[0] if pictures else None), " ".join(words)


def _picture(url: str) -> Image.Image:
    match = re.fullmatch(r"data:image/([a-z]+);base64,([A-Za-z0-9+/]+={0,2})", url)
    if match is None or match[1] not in FORMATS:
        # An address on the open net would be fetched; a simulator has none.
        raise Refused("InvalidImageURL.InvalidFormat", "The picture's URL is not valid.", param="content")
    try:
        content = base64.b64decode(match[2], validate=True)
        picture = Image.open(io.BytesIO(content))
        picture.load()
    except (binascii.Error, OSError) as problem:
        raise Refused("InvalidParameter", "The picture cannot be read.", param="content") from problem
    width, height = picture.size
    if (picture.format or "").lower() != match[1] or len(content) >= MOST_PICTURE_BYTES:
        raise _invalid("content")
    if not 0.4 < width / height < 2.5 or not all(300 <= side <= 6000 for side in picture.size):
        raise Refused("InvalidParameter", f"A picture of {width}x{height} is not taken.", param="content")
    return picture


def _flags(words: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in _FLAG.findall(words):
        found[_FLAG_FIELDS.get(name, name)] = int(value) if value.isdecimal() else value
    return found


def _check(asked: dict[str, Any], model: Model) -> None:
    good = {
        "resolution": asked["resolution"] in model.resolutions,
        "ratio": asked["ratio"] in (*RATIOS, "adaptive"),
        "duration": _is_whole(asked.get("duration", model.seconds.start), model.seconds),
        "frames": _is_whole(asked.get("frames", 29), range(29, 290, 4)),
        "seed": _is_whole(asked["seed"], range(-1, LARGEST_SEED + 1)),
        "execution_expires_after": _is_whole(asked["execution_expires_after"], range(3600, 259_201)),
        "safety_identifier": _is_short_ascii(asked.get("safety_identifier", "")),
        "callback_url": _is_web_address(asked.get("callback_url", "https://example.com")),
        "service_tier": asked.get("service_tier", "default") in ("default", "flex"),
        **{
            name: isinstance(asked.get(name, False), bool)
            for name in ("watermark", "return_last_frame", "camera_fixed", "generate_audio", "draft")
        },
    }
    for field, is_good in good.items():
        if not is_good:
            raise _invalid(field)


def _is_whole(value: object, allowed: range) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in allowed


def _is_short_ascii(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and len(value) <= 64


def _is_web_address(value: object) -> bool:
    return isinstance(value, str) and urlsplit(value).scheme in ("http", "https")


def _ratio(asked: str, picture: Image.Image | None) -> str:
    if asked != "adaptive":
        return asked
    if picture is None:
        raise _invalid("ratio")
    shape = picture.width / picture.height
    return min(RATIOS, key=lambda ratio: abs(_value(ratio) - shape))


def _value(ratio: str) -> float:
    width, height = ratio.split(":")
    return int(width) / int(height)


def _tokens(asked: dict[str, Any]) -> int:
    width, height = SIZES[asked["resolution"]][RATIOS.index(asked["ratio"])]
    frames = asked["frames"] if "frames" in asked else 24 * asked["duration"]
    return int(width * height * frames / 1024)
