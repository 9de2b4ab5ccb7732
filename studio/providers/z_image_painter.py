"""Z-Image by Alibaba (DashScope): one call, answered with the address of the picture."""

from __future__ import annotations

from studio.errors import OutcomeUnknown
from studio.providers import dashscope
from studio.providers.at_once import ADDRESS, MakesAtOnce
from studio.providers.interfaces import PaintingRequest
from studio.providers.paintings import PaidPainter


class ZImagePainter(PaidPainter, MakesAtOnce[PaintingRequest]):
    """It takes no idempotency key and keeps no list: an answer that is lost is lost."""

    name = "z-image"
    service = dashscope
    ending = ADDRESS

    def _make(self, request: PaintingRequest) -> bytes:
        # Prompts are not rewritten: it costs twice as much, and the words are the child's.
        parameters = {"size": self._size(request).replace("x", "*"), "prompt_extend": False}
        if request.seed is not None:
            parameters["seed"] = request.seed
        body = {
            "model": request.model,
            "input": {"messages": [{"role": "user", "content": [{"text": self._prompt(request)}]}]},
            "parameters": parameters,
        }
        answer = self._api.buy(
            "POST", "/services/aigc/multimodal-generation/generation", json=body, model=request.model
        )
        try:
            url = dashscope.painting(answer).url
        except ValueError as error:
            raise OutcomeUnknown from error
        if not url:
            raise OutcomeUnknown
        return url.encode()
