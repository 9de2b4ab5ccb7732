"""Wan by Alibaba (DashScope): a task that is submitted, looked at until it is finished, and kept for a day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.errors import Away, OutcomeUnknown, StudioError
from studio.providers import dashscope
from studio.providers.api import Missing
from studio.providers.interfaces import Lookup, Made, PaintingRequest, Pending, Progress
from studio.providers.paintings import PaidPainter
from studio.providers.service_animator import accepted_id

CONVERSES = "messages"
"""The trait of models from 2.6 on: they are asked in the form of a conversation, and under another path."""

_GIVEN_UP = {"FAILED", "CANCELED", "UNKNOWN"}


class WanPainter(PaidPainter):
    """It takes no idempotency key, and its list of tasks does not say what was asked: a lost answer stays unknown."""

    name = "wan"
    service = dashscope

    def submit(self, request: PaintingRequest, *, idempotency_key: str) -> str:
        path, body = self._asked(request)
        answer = self._api.buy("POST", path, json=body, headers={"X-DashScope-Async": "enable"}, model=request.model)
        try:
            return accepted_id(dashscope.painting(answer).task_id)
        except ValueError as error:
            raise OutcomeUnknown from error

    def reconcile(self, request: PaintingRequest, *, idempotency_key: str, age_s: float) -> str | None:
        raise OutcomeUnknown

    def look(self, provider_id: str, request: PaintingRequest, *, progress: Progress) -> Lookup:
        answer = self._api.ask("GET", f"/tasks/{provider_id}")
        try:
            task = dashscope.painting(answer)
        except ValueError as error:
            raise Away("wan: an answer that cannot be read") from error
        if task.task_status in _GIVEN_UP or task.failure:
            raise self._api.failure_of_task(dashscope.meaning_of(task.failure), answer)
        if task.task_status != "SUCCEEDED":
            return Pending()
        if not task.url:
            raise StudioError("RENDER_FAILED")
        return Made(task.url)

    def fetch(self, made: Made, target: Path) -> None:
        self._downloads.fetch(made.location, target)
        self._check(target)

    def forget(self, made: Made) -> None:
        """It deletes tasks and pictures by itself after a day, and not before."""

    def cancel(self, provider_id: str) -> None:
        """A task that has begun cannot be stopped, which it says by refusing."""
        try:
            self._api.ask("POST", f"/tasks/{provider_id}/cancel")
        except Missing:
            """It is not kept any more."""
        except StudioError as error:
            if error.symbol != "PROVIDER_REFUSED":
                raise

    def _asked(self, request: PaintingRequest) -> tuple[str, dict[str, Any]]:
        """The path and the body of a request."""
        prompt = self._prompt(request)
        parameters: dict[str, Any] = {
            "size": self._size(request).replace("x", "*"),
            "n": 1,
            # The words are the child's: they are painted as they are.
            "prompt_extend": False,
            "watermark": True,
        }
        if request.seed is not None:
            parameters["seed"] = request.seed
        if CONVERSES in self._model(request).traits:
            path = "/services/aigc/image-generation/generation"
            asked: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": prompt}]}]}
        else:
            path, asked = "/services/aigc/text2image/image-synthesis", {"prompt": prompt}
        return path, {"model": request.model, "input": asked, "parameters": parameters}
