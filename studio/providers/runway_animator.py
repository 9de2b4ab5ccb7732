"""Runway: an animator that is asked, and looked at until its clip is there.

It takes no idempotency key and lists no tasks. So an answer that is lost stays lost, and only what its documentation
calls safe counts as not accepted: 429, 502, 503 and 504.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import msgspec

from studio.errors import Away, OutcomeUnknown
from studio.objects import ObjectStore
from studio.providers import cards
from studio.providers.api import Answer, Api, Meaning, Missing
from studio.providers.interfaces import AnimationRequest, Capability, Lookup, Made, Pending, Progress
from studio.providers.service_animator import ServiceAnimator, accepted_id
from studio.settings import Settings

KEY = "RUNWAYML_API_SECRET"
VERSION = "2024-11-06"
"""Of the API; it is sent with every request."""

_NOT_ACCEPTED = {502, 503, 504}

# By the beginning of a task's failure code; the first one that fits.
_FAILURES = (
    ("SAFETY", Meaning.REJECTED),
    ("INPUT_PREPROCESSING.SAFETY", Meaning.REJECTED),
    ("INPUT_PREPROCESSING", Meaning.REFUSED),
    ("ASSET", Meaning.REFUSED),
)


class _Cost(msgspec.Struct, frozen=True):
    credits: float | None = None


class _Task(msgspec.Struct, frozen=True, rename="camel"):
    """What Runway tells of a task, as far as it concerns us."""

    status: str
    progress: float | None = None
    output: list[str] | None = None
    failure_code: str | None = None
    cost: _Cost | None = None


class RunwayAnimator(ServiceAnimator):
    """Runway's image-to-video, with its own models and those that it passes on to."""

    name = "runway"

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        card = cards.load(self.name, settings)
        super().__init__(card, settings, objects)
        headers = {"Authorization": f"Bearer {card.secret(KEY)}", "X-Runway-Version": VERSION}
        self._api = Api(card, Capability.ANIMATOR, headers=lambda: headers, reader=read)

    def submit(self, request: AnimationRequest, *, idempotency_key: str) -> str:
        """Ask for a clip; the id of its task. Raises NotNow, StudioError, OutcomeUnknown."""
        clip, model = self.chosen(request)
        body: dict[str, Any] = {
            "model": clip.model,
            "promptImage": f"data:image/jpeg;base64,{self.drawing(request, model)}",
            "promptText": self.prompt(request, model),
            "duration": clip.seconds,
        }
        if model.ratios:
            body["ratio"] = model.ratios[clip.ratio]
        answer = self._api.buy("POST", "/v1/image_to_video", json=body, model=clip.model)
        return accepted_id(answer.body.get("id"))

    def reconcile(self, request: AnimationRequest, *, idempotency_key: str, age_s: float) -> str | None:
        """Runway offers no way to know: always raises OutcomeUnknown."""
        raise OutcomeUnknown

    def look(self, provider_id: str, request: AnimationRequest, *, progress: Progress) -> Lookup:
        """See how far the task is; each look at one that has succeeded tells a fresh address.

        Raises NotNow, and StudioError when it failed, was canceled or is gone.
        """
        answer = self._api.ask("GET", f"/v1/tasks/{provider_id}")
        try:
            task = msgspec.json.decode(answer.content, type=_Task)
        except msgspec.DecodeError as error:
            raise Away("runway: unreadable") from error
        micros = self.micros(task.cost.credits if task.cost else None)
        match task.status:
            case "SUCCEEDED" if task.output:
                return Made(task.output[0], micros)
            case "SUCCEEDED" | "CANCELLED" | "FAILED":
                raise self._api.failure_of_task(_meaning_of(task.failure_code or ""), answer, micros=micros)
            case _:
                # THROTTLED is one of them: too many at once, and Runway itself puts it in a queue.
                return Pending(None if task.progress is None else min(max(task.progress, 0.0), 1.0))

    def cancel(self, provider_id: str) -> None:
        """Stop the task. One that has ended is deleted with its clip. Raises NotNow."""
        with suppress(Missing):
            self._api.ask("DELETE", f"/v1/tasks/{provider_id}")


def read(answer: Answer) -> Meaning | None:  # noqa: PLR0911 (one line for each meaning)
    """What an answer that is no success means. Its words are one text in `error`, for people."""
    words = str(answer.body.get("error", ""))
    match answer.status:
        case 400 if _is_about(answer, "model"):
            return Meaning.NO_MODEL
        case 400 if re.search(r"\bcredits?\b", words, re.IGNORECASE):
            return Meaning.SPENT
        case 404 if not answer.asked_model:
            return Meaning.MISSING
        case 429 if re.search(r"\bdaily\b", words, re.IGNORECASE):
            # What a rolling day allows is used up.
            return Meaning.FULL
        case status if status in _NOT_ACCEPTED:
            return Meaning.AWAY
        case status if status >= 500 or status in (408, 409):
            return Meaning.UNCLEAR
        case _:
            return None


def _is_about(answer: Answer, field: str) -> bool:
    """Whether a field of the request is what is wrong with it."""
    issues = answer.body.get("issues")
    return isinstance(issues, list) and any(
        isinstance(issue, dict) and issue.get("path") == [field] for issue in issues
    )


def _meaning_of(failure_code: str) -> Meaning:
    """What a task's failure means; what is not known is Runway's own fault."""
    return next((meaning for begin, meaning in _FAILURES if failure_code.startswith(begin)), Meaning.FAILED)
