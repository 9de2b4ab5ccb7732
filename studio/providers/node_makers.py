"""A model node of one's own, by the protocol of docs/model-node.md: films, pictures and speech.

The id of a job is ours, the idempotency key. So a lost answer is looked up by it, a job that is asked for twice is one
job, and an id that the node does not know was surely not accepted.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import urljoin, urlsplit

from studio.errors import Away, NotNow, OutcomeUnknown, StudioError
from studio.objects import ObjectStore
from studio.providers import cards, clip_prompts, paintings, voices
from studio.providers.api import Answer, Api, Meaning, Missing
from studio.providers.downloads import Downloads
from studio.providers.interfaces import (
    AnimationRequest,
    Capability,
    Lookup,
    Made,
    PaintingRequest,
    Pending,
    Progress,
    SpeechRequest,
)
from studio.providers.service_animator import LOOK_UP_EVERY_S, ServiceAnimator
from studio.scratch import scratch_folder
from studio.settings import Settings

JOBS = "/v1/jobs"
KEY = "NODE_API_KEY"

_MEANINGS = {
    "content_rejected": Meaning.REJECTED,
    "invalid_request": Meaning.REFUSED,
    "unknown_model": Meaning.NO_MODEL,
    "unknown_job": Meaning.MISSING,
    "unauthorized": Meaning.ACCOUNT,
    "busy": Meaning.BUSY,
    # Whether it has begun or not: asked once more under the same id, it is the same job.
    "failed": Meaning.AWAY,
}
_ENDINGS = {
    "video/mp4": "mp4",
    "video/webm": "webm",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
}
"""What a node may hand in."""

R = TypeVar("R", AnimationRequest, PaintingRequest, SpeechRequest)


class _NodeMaker(ABC, Generic[R]):
    """One kind of job at the node. What it hands in goes into the request's folder; what it keeps is fetched."""

    name = "node"
    is_free = True
    capability: ClassVar[Capability]
    kind: ClassVar[str]
    """As the protocol calls it."""

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        self.card = cards.load("node", settings)
        key = self.card.secret(KEY)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._api = Api(self.card, self.capability, headers=lambda: headers, reader=_read)
        self.limit_s: float | None = self._api.offer.limit_s
        self._settings = settings
        self._objects = objects
        self._max_bytes = self.most_bytes(settings)
        self._downloads = Downloads(self.card.base_url, max_bytes=self._max_bytes)

    @abstractmethod
    def most_bytes(self, settings: Settings) -> int:
        """How large what a node makes may be."""

    @abstractmethod
    def wanted(self, request: R) -> tuple[str, dict[str, Any]]:
        """The model, and the job's input. Raises NotNow, StudioError."""

    def estimate(self, request: R) -> int | None:
        """It costs nothing."""
        return 0

    def submit(self, request: R, *, idempotency_key: str) -> str:
        """Ask for the job under the key, which is its id."""
        model, wanted = self.wanted(request)
        body = {"id": idempotency_key, "type": self.kind, "model": model, "input": wanted}
        if request.callback_url:
            body["callback_url"] = request.callback_url
        answer = self._api.buy("POST", JOBS, json=body, model=model)
        if answer.body.get("id") != idempotency_key:
            raise OutcomeUnknown
        return idempotency_key

    def reconcile(self, request: R, *, idempotency_key: str, age_s: float) -> str | None:
        """Ask for the job of this id."""
        try:
            self._job(idempotency_key)
        except Missing as error:
            left_s = self._api.offer.unknown_for_s - age_s
            if left_s > 0:
                raise NotNow("node: it may be on its way", retry_after_s=min(left_s, LOOK_UP_EVERY_S)) from error
            return None
        except StudioError as error:
            raise Away(f"node: {error.symbol}") from error
        return idempotency_key

    def look(self, provider_id: str, request: R, *, progress: Progress) -> Lookup:
        """See what has become of the job."""
        try:
            answer, job = self._job(provider_id)
        except Missing as error:
            # It was started again and has forgotten its jobs. Asked anew, it costs nothing.
            raise StudioError("RENDER_FAILED") from error
        match job.get("status"):
            case "finished":
                return self._made(provider_id, request, job.get("result"))
            case "failed":
                raise self._api.failure_of_task(_MEANINGS.get(_code(job.get("error"))), answer)
            case "cancelled":
                raise StudioError("RENDER_FAILED")
            case _:
                return Pending(_fraction(job.get("progress")))

    def fetch(self, made: Made, target: Path) -> None:
        """From our bucket where it was handed in, otherwise from the node."""
        if _is_address(made.location):
            self._downloads.fetch(made.location, target)
        else:
            try:
                self._objects.download(made.location, target)
            except FileNotFoundError as error:
                raise StudioError("CLIP_GONE") from error
        self.check(target)

    def check(self, file: Path) -> None:
        """Raises StudioError("CLIP_UNREADABLE") unless it decodes. Clips are looked at by whoever captures them."""

    def forget(self, made: Made) -> None:
        """Delete what was handed in. What a node keeps is its own business."""
        if not _is_address(made.location):
            self._objects.delete(made.location)

    def cancel(self, provider_id: str) -> None:
        """Ask the node to stop; it may be too late."""
        try:
            self._api.ask("POST", f"{JOBS}/{provider_id}/cancel")
        except StudioError:
            """It has ended, or is unknown."""

    def _job(self, job_id: str) -> tuple[Answer, dict[str, Any]]:
        answer = self._api.ask("GET", f"{JOBS}/{job_id}")
        try:
            return answer, answer.json()
        except ValueError as error:
            raise Away("node: the answer cannot be read") from error

    def _made(self, job_id: str, request: R, result: object) -> Made:
        match result:
            case {"url": str(url)} if url:
                try:
                    return Made(urljoin(f"{self.card.base_url}{JOBS}/{job_id}", url))
                except ValueError as error:
                    raise StudioError("CLIP_UNREADABLE") from error
            case {"base64": str(content), "mime": str(mime)} if mime in _ENDINGS:
                return Made(self._handed_in(f"{request.folder}{job_id}.{_ENDINGS[mime]}", content, mime))
            case _:
                raise StudioError("CLIP_UNREADABLE")

    def _handed_in(self, key: str, content: str, mime: str) -> str:
        # A location is stored, and what it holds is not: so it goes into the bucket, once.
        if self._objects.head(key) is not None:
            return key
        try:
            decoded = base64.b64decode(content, validate=True)
        except ValueError as error:
            raise StudioError("CLIP_UNREADABLE") from error
        if len(decoded) > self._max_bytes:
            raise StudioError("CLIP_UNREADABLE")
        with scratch_folder() as folder:
            path = folder / "made"
            path.write_bytes(decoded)
            self._objects.upload(path, key, mime=mime)
        return key


class NodeAnimator(_NodeMaker[AnimationRequest]):
    capability = Capability.ANIMATOR
    kind = "video"

    def most_bytes(self, settings: Settings) -> int:
        return settings.video_max_bytes

    def __init__(self, settings: Settings, objects: ObjectStore) -> None:
        super().__init__(settings, objects)
        self._clips = ServiceAnimator(self.card, settings, objects)

    def wanted(self, request: AnimationRequest) -> tuple[str, dict[str, Any]]:
        clip, model = self._clips.chosen(request)
        wanted = {
            "prompt": self._clips.prompt(request, model),
            "language": request.language,
            "image": {"mime": "image/jpeg", "base64": self._clips.drawing(request, model)},
            "seconds": clip.seconds,
        }
        if clip.ratio:
            wanted["ratio"] = model.ratios.get(clip.ratio, clip.ratio)
        if clip.resolution:
            wanted["resolution"] = clip.resolution
        return clip.model, wanted


class NodePainter(_NodeMaker[PaintingRequest]):
    capability = Capability.PAINTER
    kind = "image"

    def most_bytes(self, settings: Settings) -> int:
        return settings.image_max_bytes

    def check(self, file: Path) -> None:
        paintings.check(file, max_pixels=self._settings.image_max_pixels)

    def wanted(self, request: PaintingRequest) -> tuple[str, dict[str, Any]]:
        models = self.card.painter.models if self.card.painter else {}
        model = cards.model_named(self.card, self.capability, models, request.model)
        paintings.require_offered(self.card, model, request)
        width, height = request.size.split("x")
        wanted = {
            "prompt": clip_prompts.for_model(request.prompt, model.prompt_max_chars),
            "language": request.language,
            "width": int(width),
            "height": int(height),
        }
        if request.seed is not None:
            wanted["seed"] = request.seed
        return request.model, wanted


class NodeVoice(_NodeMaker[SpeechRequest]):
    capability = Capability.VOICE
    kind = "speech"

    def most_bytes(self, settings: Settings) -> int:
        return settings.audio_max_bytes

    def check(self, file: Path) -> None:
        voices.check(file)

    def wanted(self, request: SpeechRequest) -> tuple[str, dict[str, Any]]:
        models = self.card.voice.models if self.card.voice else {}
        model = cards.model_named(self.card, self.capability, models, request.model)
        voices.require_offered(self.card, model, request)
        return request.model, {"text": request.text, "language": request.language, "voice": request.voice}


def _read(answer: Answer) -> Meaning | None:
    """What an answer that is no success means."""
    if answer.status < 400:
        return None
    code = _code(answer.body.get("error"))
    if answer.status == 404 and not code:
        # A tunnel says so of its own while the node at its end is away.
        return Meaning.AWAY
    return _MEANINGS.get(code)


def _code(error: object) -> str:
    return str(error.get("code") or "") if isinstance(error, dict) else ""


def _fraction(progress: object) -> float | None:
    return float(progress) if isinstance(progress, (int, float)) and 0 <= progress <= 1 else None


def _is_address(location: str) -> bool:
    return urlsplit(location).scheme != ""
