"""Volcengine Ark's Doubao Seedance: a task of a drawing and words, looked at until its clip is there.

Ark knows no idempotency key. So each task carries a mark of ours that Ark tells again: a seed that follows from the key
where the model takes one, the safety identifier elsewhere. After a lost answer the list of tasks is searched for it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from studio.errors import Away, OutcomeUnknown, StudioError
from studio.objects import ObjectStore
from studio.providers import ark, cards
from studio.providers.api import Answer, Meaning, Missing
from studio.providers.cards import ClipModel
from studio.providers.interfaces import (
    AnimationRequest,
    Capability,
    ClipFormat,
    Lookup,
    Made,
    Pending,
    Progress,
)
from studio.providers.service_animator import ServiceAnimator, accepted_id
from studio.settings import Settings

TASKS = "/contents/generations/tasks"
CLOCKS_DIFFER_S = 300.0
"""How much Ark's clock may be behind ours."""
PAGE_SIZE = 500
MOST_PAGES = 200
EXPIRY_S = range(3600, 259_200)
"""How long a task may be given, in seconds."""
EXPIRES_EARLIER_S = 300.0
"""A task has to end before nobody waits for it any more."""

_Task = dict[str, Any]


class _Mark(NamedTuple):
    """What tells a task of ours from all others: a field of the request that is a field of the task as well."""

    field: str
    value: int | str


class ArkAnimator(ServiceAnimator):
    name = "ark"

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        super().__init__(cards.load(self.name, settings), settings, objects)
        self._api = ark.api(self.card, Capability.ANIMATOR, reader=_read)

    def submit(self, request: AnimationRequest, *, idempotency_key: str) -> str:
        """Create the task."""
        clip, model = self.chosen(request)
        body = self._body(request, clip, model)
        mark = _mark(model, idempotency_key)
        answer = self._api.buy("POST", TASKS, json={**body, mark.field: mark.value}, model=clip.model)
        return accepted_id(answer.body.get("id"))

    def _body(self, request: AnimationRequest, clip: ClipFormat, model: ClipModel) -> dict[str, Any]:
        drawing = f"data:image/jpeg;base64,{self.drawing(request, model)}"
        body = {
            "model": clip.model,
            "content": [
                {"type": "text", "text": self.prompt(request, model)},
                {"type": "image_url", "role": "first_frame", "image_url": {"url": drawing}},
            ],
            "resolution": clip.resolution,
            "ratio": model.ratios.get(clip.ratio, clip.ratio),
            "duration": clip.seconds,
            # The sign for what was made by a machine, in the picture's corner.
            "watermark": True,
            "execution_expires_after": _clamped(self.offer.limit_s - EXPIRES_EARLIER_S),
        }
        if "sound" in model.traits:
            # The film speaks with the child's voice.
            body["generate_audio"] = False
        if request.callback_url:
            body["callback_url"] = request.callback_url
        return body

    def reconcile(self, request: AnimationRequest, *, idempotency_key: str, age_s: float) -> str | None:
        """Search the list for the mark.

        Raises Away where it cannot be read, NotNow while the task may turn up, and OutcomeUnknown where no list tells:
        it is too long ago, or there are tasks of that time which show no mark at all.
        """
        mark = self._mark_of(request, idempotency_key)
        hides_marks = False
        with self.looking_up(age_s):
            for task in self._since(time.time() - age_s - CLOCKS_DIFFER_S):
                if task.get(mark.field) == mark.value:
                    return accepted_id(task.get("id"))
                hides_marks |= task.get(mark.field) in (None, "")
        self.unless_it_turns_up(age_s)
        if hides_marks:
            raise OutcomeUnknown
        return None

    def recognises(self, provider_id: str, request: AnimationRequest, *, idempotency_key: str) -> bool:
        """Whether the task of this id was made of this call: a callback may tell the id of a task, and be a lie.

        Raises NotNow.
        """
        try:
            task = _object(self._api.ask("GET", f"{TASKS}/{accepted_id(provider_id)}"))
        except (Missing, OutcomeUnknown):
            return False
        except StudioError as error:
            raise Away(f"ark: {error.symbol}") from error
        mark = self._mark_of(request, idempotency_key)
        return bool(task.get(mark.field) == mark.value)

    def look(self, provider_id: str, request: AnimationRequest, *, progress: Progress) -> Lookup:
        """See what has become of the task."""
        try:
            answer = self._api.ask("GET", f"{TASKS}/{provider_id}")
        except Missing:
            # Its record may be late, and is kept for a week; a clip that was paid for is not given up on one answer.
            return Pending()
        task = _object(answer)
        match task.get("status"):
            case "succeeded":
                return self._made(task, request)
            case "failed":
                raise self._failure(task, answer)
            case "expired":
                raise StudioError("PROVIDER_TIMEOUT")
            case "cancelled":
                raise StudioError("RENDER_FAILED")
            case _:
                return Pending()

    def cancel(self, provider_id: str) -> None:
        """Take it out of Ark's queue. What runs already cannot be stopped, and is charged."""
        try:
            # A finished task would be deleted with all that is known of it.
            if _object(self._api.ask("GET", f"{TASKS}/{provider_id}")).get("status") == "queued":
                self._api.ask("DELETE", f"{TASKS}/{provider_id}")
        except StudioError:
            """It began to run meanwhile, or there is none."""

    def _mark_of(self, request: AnimationRequest, idempotency_key: str) -> _Mark:
        name = request.format.model if request.format else self.offer.model
        # A model may have left the card since; then the tasks of its time show no such mark, and nothing is concluded.
        return _mark(self.offer.models.get(name), idempotency_key)

    def _since(self, moment: float) -> Iterator[_Task]:
        """The tasks that were made after a moment, in seconds since the epoch. Raises Away."""
        seen = 0
        for page in range(1, MOST_PAGES + 1):
            listed = _object(self._api.ask("GET", TASKS, params={"page_num": page, "page_size": PAGE_SIZE}))
            items, total = listed.get("items"), listed.get("total")
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise Away("ark: the list cannot be read")
            made_at = [_seconds(item.get("created_at")) for item in items]
            yield from (item for item, at in zip(items, made_at, strict=True) if at >= moment)
            seen += len(items)
            if not items or (isinstance(total, int) and seen >= total):
                return
            # Its order is not documented. Only where it is seen to begin with the newest may the walk end early.
            if made_at[-1] < moment and made_at == sorted(made_at, reverse=True):
                return
        raise Away("ark: the list has no end")

    def _made(self, task: _Task, request: AnimationRequest) -> Made:
        content = task.get("content")
        url = content.get("video_url") if isinstance(content, dict) else None
        if not isinstance(url, str) or not url:
            raise StudioError("CLIP_GONE")
        return Made(url, self._charged(task, request))

    def _charged(self, task: _Task, request: AnimationRequest) -> int | None:
        """What it cost: by its tokens where they have a price, otherwise by its seconds."""
        clip = request.format
        model = self.offer.models.get(clip.model) if clip else None
        if clip is None or model is None:
            return None
        usage = task.get("usage")
        tokens = usage.get("total_tokens") or usage.get("completion_tokens") if isinstance(usage, dict) else None
        if model.micros_per_million_tokens is not None and isinstance(tokens, int):
            return -(-tokens * model.micros_per_million_tokens // 1_000_000)
        price = model.micros_per_second.get(clip.resolution)
        return None if price is None else price * clip.seconds

    def _failure(self, task: _Task, answer: Answer) -> Exception:
        error = task.get("error")
        code = str(error.get("code") or "") if isinstance(error, dict) else ""
        meaning = ark.meaning_of(code)
        if meaning is None and code.startswith("Invalid"):
            meaning = Meaning.REFUSED
        return self._api.failure_of_task(meaning, answer)


def _read(answer: Answer) -> Meaning | None:
    """What differs from Ark's other answers."""
    if answer.status == 404 and not answer.asked_model:
        # A task that is not there and a model that is not there have the same status.
        return Meaning.MISSING
    if answer.status >= 500:
        # A fault of its own may have come after it accepted; the list tells.
        return Meaning.UNCLEAR
    return ark.read(answer)


def _mark(model: ClipModel | None, idempotency_key: str) -> _Mark:
    digest = hashlib.sha256(idempotency_key.encode())
    if model and "seed" in model.traits:
        return _Mark("seed", int.from_bytes(digest.digest()[:4]))
    return _Mark("safety_identifier", digest.hexdigest())


def _object(answer: Answer) -> _Task:
    try:
        return answer.json()
    except ValueError as error:
        raise Away("ark: the answer cannot be read") from error


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else time.time()


def _clamped(seconds: float) -> int:
    return min(max(int(seconds), EXPIRY_S.start), EXPIRY_S.stop)
