"""Pika's model, through the queue of fal (fal.ai): a request waits there, is worked on, and its result is fetched.

fal takes no idempotency key and finds no request by anything but its own id, so an answer that is lost stays lost. It
answers a request with addresses to ask at; those are not used: the key goes nowhere but to the address of the card.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from studio.errors import Away, OutcomeUnknown, StudioError
from studio.objects import ObjectStore
from studio.providers import cards
from studio.providers.api import Answer, Api, Meaning, Missing
from studio.providers.interfaces import AnimationRequest, Capability, Lookup, Made, Pending, Progress
from studio.providers.service_animator import ServiceAnimator, accepted_id
from studio.settings import Settings

KEY = "FAL_KEY"

_APP = "/fal-ai/pika"
"""Requests are made to one of its models, and afterwards asked for without naming that."""

_REJECTED = {"content_policy_violation"}
_TOO_LATE = {"ALREADY_COMPLETED", "NOT_FOUND"}


class PikaAnimator(ServiceAnimator):
    """Pika's image-to-video. The clip has the drawing's shape."""

    name = "pika"

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        card = cards.load(self.name, settings)
        super().__init__(card, settings, objects)
        headers = {"Authorization": f"Key {card.secret(KEY)}"}
        self._api = Api(card, Capability.ANIMATOR, headers=lambda: headers, reader=read)
        self._results = Api(card, Capability.ANIMATOR, headers=lambda: headers, reader=read_result)

    def submit(self, request: AnimationRequest, *, idempotency_key: str) -> str:
        """Ask for a clip; the id of the request. Raises NotNow, StudioError, OutcomeUnknown."""
        clip, model = self.chosen(request)
        body = {
            "image_url": f"data:image/jpeg;base64,{self.drawing(request, model)}",
            "prompt": self.prompt(request, model),
            "resolution": clip.resolution,
            "duration": str(clip.seconds),
        }
        query = {"fal_webhook": request.callback_url} if request.callback_url else {}
        answer = self._api.buy("POST", f"{_APP}/{clip.model}", json=body, params=query, model=clip.model)
        return accepted_id(answer.body.get("request_id"))

    def reconcile(self, request: AnimationRequest, *, idempotency_key: str, age_s: float) -> str | None:
        """fal offers no way to know: always raises OutcomeUnknown."""
        raise OutcomeUnknown

    def look(self, provider_id: str, request: AnimationRequest, *, progress: Progress) -> Lookup:
        """See how far the request is. Raises NotNow, and StudioError where it failed or is gone."""
        where = f"{_APP}/requests/{provider_id}"
        state = _told(self._api.ask("GET", f"{where}/status", params={"logs": 0}))
        if state.get("status") != "COMPLETED":
            return Pending()
        # Completed is what has failed as well, and the result tells why: as its own HTTP status, or not at all.
        has_failed = bool(state.get("error") or state.get("error_type"))
        try:
            answer = self._results.ask("GET", where)
        except Away as error:
            if has_failed:
                raise StudioError("RENDER_FAILED") from error
            raise
        video = _told(answer).get("video")
        url = video.get("url") if isinstance(video, dict) else None
        if has_failed or not isinstance(url, str):
            raise self._results.failure(Meaning.FAILED, answer)
        return Made(url)

    def cancel(self, provider_id: str) -> None:
        """Take the request out of the queue, or ask who works on it to stop. Raises NotNow."""
        with suppress(Missing):
            self._api.ask("PUT", f"{_APP}/requests/{provider_id}/cancel")


def read(answer: Answer) -> Meaning | None:
    """What an answer of the queue means that is no success."""
    match answer.status:
        case status if status >= 500 or status in (408, 409, 425):
            # fal says that only 429 and a connection that was never made are safe to be tried again.
            return Meaning.UNCLEAR
        case 400 | 404 if answer.body.get("status") in _TOO_LATE:
            return Meaning.MISSING
        case 404:
            # A request for a clip names nothing but its model.
            return Meaning.NO_MODEL if answer.asked_model else Meaning.MISSING
        case 403 if "balance" in str(answer.body.get("detail")).lower():
            return Meaning.SPENT
        case status if 400 <= status < 500 and _types(answer) & _REJECTED:
            return Meaning.REJECTED
        case _:
            return None


def read_result(answer: Answer) -> Meaning | None:
    """What a result means that is no success. The model's and its runner's own failures come as HTTP statuses."""
    if answer.status >= 500 and (_types(answer) or answer.body.get("error_type")):
        return Meaning.FAILED
    meaning = read(answer)
    if answer.status == 422 and meaning is None and answer.headers.get("x-fal-retryable") == "true":
        return Meaning.FAILED
    return meaning


def _types(answer: Answer) -> set[str]:
    """What kinds of faults the model names."""
    detail = answer.body.get("detail")
    return (
        {str(fault.get("type")) for fault in detail if isinstance(fault, dict)} if isinstance(detail, list) else set()
    )


def _told(answer: Answer) -> dict[str, Any]:
    try:
        return answer.json()
    except ValueError as error:
        raise Away("pika: unreadable") from error
