"""Kling by the older generation of its API: tokens signed for each request, and tasks that a list tells of."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import jwt
import msgspec

from studio.errors import OutcomeUnknown
from studio.objects import ObjectStore
from studio.providers import cards, kling
from studio.providers.api import Api, Missing
from studio.providers.interfaces import AnimationRequest, Capability, Lookup, Pending, Progress
from studio.providers.service_animator import ServiceAnimator, accepted_id
from studio.settings import Settings

ACCESS_KEY = "KLING_ACCESS_KEY"
SECRET_KEY = "KLING_SECRET_KEY"  # noqa: S105 (the name of a variable)

TOKEN_S = 1800
TOKEN_IS_OLDER_S = 5
CLOCKS_DIFFER_S = 300.0
"""How much Kling's clock may be behind ours."""
_PATH = "/v1/videos/image2video"

PAGE_SIZE = 100
MOST_PAGES = 50
"""How many of the list are looked through; what is behind that is not known."""


class _Video(msgspec.Struct, frozen=True):
    url: str | None = None


class _Result(msgspec.Struct, frozen=True):
    videos: list[_Video] | None = None


class _Info(msgspec.Struct, frozen=True):
    external_task_id: str | None = None


class _Row(msgspec.Struct, frozen=True):
    task_id: str
    task_status: str
    created_at: Any = None
    """In milliseconds since the epoch. Whatever else it may be, a clip is not given up for it."""
    task_status_msg: str | None = None
    task_info: _Info | None = None
    task_result: _Result | None = None
    final_unit_deduction: str | float | None = None

    @property
    def made_at(self) -> float:
        """In seconds since the epoch; later than anything where it is not told."""
        return self.created_at / 1000 if isinstance(self.created_at, (int, float)) else math.inf


class KlingLegacyAnimator(ServiceAnimator):
    """Kling's image-to-video, for accounts that have an access key and a secret key."""

    name = "kling-legacy"

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        card = cards.load(self.name, settings)
        super().__init__(card, settings, objects)
        self._api = Api(card, Capability.ANIMATOR, headers=self._headers, reader=kling.read)

    def submit(self, request: AnimationRequest, *, idempotency_key: str) -> str:
        """Ask for a clip; the id of its task. Raises NotNow, StudioError, OutcomeUnknown."""
        clip, model = self.chosen(request)
        body: dict[str, Any] = {
            "model_name": clip.model,
            "image": self.drawing(request, model),
            "prompt": self.prompt(request, model),
            "duration": str(clip.seconds),
            "external_task_id": idempotency_key,
        }
        if request.callback_url:
            body["callback_url"] = request.callback_url
        answer = self._api.buy("POST", _PATH, json=body, model=clip.model)
        return accepted_id(kling.told_id(answer, "task_id"))

    def reconcile(self, request: AnimationRequest, *, idempotency_key: str, age_s: float) -> str | None:
        """The task of the list that carries our mark. Raises NotNow while it may yet turn up, Away, OutcomeUnknown."""
        with self.looking_up(age_s):
            for row in self._since(time.time() - age_s - CLOCKS_DIFFER_S):
                if row.task_info and row.task_info.external_task_id == idempotency_key:
                    return accepted_id(row.task_id)
        self.unless_it_turns_up(age_s)
        return None

    def look(self, provider_id: str, request: AnimationRequest, *, progress: Progress) -> Lookup:
        """See how far the task is. Raises NotNow, StudioError."""
        try:
            answer = self._api.ask("GET", f"{_PATH}/{provider_id}")
        except Missing:
            # Its record may be late; a clip that was paid for is not given up on one answer.
            return Pending()
        row = kling.told(answer, _Row)
        videos = row.task_result.videos if row.task_result else None
        return kling.lookup(
            self._api,
            answer,
            status=row.task_status,
            message=row.task_status_msg or "",
            clip=videos[0].url if videos else None,
            micros=self.micros(row.final_unit_deduction),
        )

    def cancel(self, provider_id: str) -> None:
        """Kling has no way to stop a task: it is made, and charged."""

    def _since(self, moment: float) -> Iterator[_Row]:
        """The tasks of the account, those at least that were made after a moment, in seconds since the epoch.

        Raises OutcomeUnknown where there are too many to look through.
        """
        for page in range(1, MOST_PAGES + 1):
            answer = self._api.ask("GET", _PATH, params={"pageNum": page, "pageSize": PAGE_SIZE})
            rows = kling.told(answer, list[_Row])
            if not rows:
                return
            yield from rows
            # Their order is not documented. Only where it is seen to begin with the newest may the walk end early.
            made_at = [row.made_at for row in rows]
            if made_at[-1] < moment and made_at == sorted(made_at, reverse=True):
                return
        raise OutcomeUnknown

    def _headers(self) -> dict[str, str]:
        now = int(_now())
        claims = {"iss": self.card.secret(ACCESS_KEY), "exp": now + TOKEN_S, "nbf": now - TOKEN_IS_OLDER_S}
        token = jwt.encode(claims, self.card.secret(SECRET_KEY), algorithm="HS256", headers={"typ": "JWT"})
        return {"Authorization": f"Bearer {token}"}


def _now() -> float:
    return time.time()
