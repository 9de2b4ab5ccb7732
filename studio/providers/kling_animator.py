"""Kling by its API 2.0: one key, the model in the path, and tasks that are found by our own mark."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec

from studio.errors import OutcomeUnknown
from studio.objects import ObjectStore
from studio.providers import cards, kling
from studio.providers.api import Answer, Api, Missing
from studio.providers.cards import ClipModel
from studio.providers.interfaces import AnimationRequest, Capability, Lookup, Pending, Progress
from studio.providers.service_animator import ServiceAnimator, accepted_id
from studio.settings import Settings

KEY = "KLING_API_KEY"

AUDIO = "audio"
"""The trait of models that let us choose whether there is sound. We have the child's own."""
CHARGED_IN_UNITS = "unit"


class _Output(msgspec.Struct, frozen=True):
    type: str | None = None
    url: str | None = None


class _Charge(msgspec.Struct, frozen=True):
    charge_type: str | None = None
    amount: str | float | None = None


class _Row(msgspec.Struct, frozen=True):
    id: str
    status: str
    external_id: str | None = None
    message: str | None = None
    outputs: list[_Output] | None = None
    billing: list[_Charge] | None = None


class KlingAnimator(ServiceAnimator):
    """Kling's image-to-video. The clip has the drawing's shape."""

    name = "kling"

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        card = cards.load(self.name, settings)
        super().__init__(card, settings, objects)
        headers = {"Authorization": f"Bearer {card.secret(KEY)}"}
        self._api = Api(card, Capability.ANIMATOR, headers=lambda: headers, reader=kling.read)

    def submit(self, request: AnimationRequest, *, idempotency_key: str) -> str:
        """Ask for a clip; the id of its task. Raises NotNow, StudioError, OutcomeUnknown."""
        clip, model = self.chosen(request)
        body = {
            "contents": [
                {"type": "prompt", "text": self.prompt(request, model)},
                {"type": "first_frame", "url": self.drawing(request, model)},
            ],
            "settings": {"resolution": clip.resolution, "duration": clip.seconds, **_silence(model)},
            "options": {"external_task_id": idempotency_key, **_callback(request)},
        }
        answer = self._api.buy("POST", f"/image-to-video/{clip.model}", json=body, model=clip.model)
        return accepted_id(kling.told_id(answer, "id"))

    def reconcile(self, request: AnimationRequest, *, idempotency_key: str, age_s: float) -> str | None:
        """The task that carries our mark. Raises NotNow while it may yet turn up, Away, OutcomeUnknown."""
        rows: list[_Row] = []
        with self.looking_up(age_s), suppress(Missing):
            rows, _ = self._rows(external_task_ids=idempotency_key)
        for row in rows:
            if row.external_id == idempotency_key:
                return accepted_id(row.id)
        if rows:
            # It answered something else than it was asked.
            raise OutcomeUnknown
        self.unless_it_turns_up(age_s)
        return None

    def look(self, provider_id: str, request: AnimationRequest, *, progress: Progress) -> Lookup:
        """See how far the task is. Raises NotNow, StudioError."""
        try:
            rows, answer = self._rows(task_ids=provider_id)
        except Missing:
            return Pending()
        row = next((row for row in rows if row.id == provider_id), None)
        if row is None:
            # Its record may be late; a clip that was paid for is not given up on one answer.
            return Pending()
        clips = [output.url for output in row.outputs or () if output.type == "video" and output.url]
        return kling.lookup(
            self._api,
            answer,
            status=row.status,
            message=row.message or "",
            clip=clips[0] if clips else None,
            micros=self.micros(_units(row.billing)),
        )

    def cancel(self, provider_id: str) -> None:
        """Kling has no way to stop a task: it is made, and charged."""

    def _rows(self, **which: str) -> tuple[list[_Row], Answer]:
        answer = self._api.ask("GET", "/tasks", params=which)
        return kling.told(answer, list[_Row]), answer


def _silence(model: ClipModel) -> dict[str, str]:
    return {"audio": "off"} if AUDIO in model.traits else {}


def _callback(request: AnimationRequest) -> dict[str, Any]:
    return {"callback_url": request.callback_url} if request.callback_url else {}


def _units(charges: list[_Charge] | None) -> str | None:
    """The units that were charged in all; None where nothing is told, or something else than units."""
    if not charges or any(charge.charge_type != CHARGED_IN_UNITS or charge.amount is None for charge in charges):
        return None
    try:
        return str(sum(Decimal(str(charge.amount)) for charge in charges))
    except ArithmeticError:
        return None
