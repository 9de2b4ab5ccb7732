"""A recording on its way to a service: in a format that it takes, within its limits, and what hearing it costs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from studio.errors import StudioError
from studio.media import sound
from studio.providers.api import Api
from studio.providers.cards import SpeechModel, SpeechOffer, model_named
from studio.providers.interfaces import PaidCall
from studio.scratch import scratch_folder

SUFFIXES = {"audio/wav": "wav", "audio/mpeg": "mp3"}


def model(api: Api) -> SpeechModel:
    """What the card tells of the model that is used. Raises StudioError("MODEL_UNKNOWN")."""
    offer = cast("SpeechOffer", api.offer)
    return model_named(api.card, api.capability, offer.models, offer.model)


@contextmanager
def ready_to_send(recording: Path, api: Api, *, mime: str) -> Iterator[Path]:
    """The recording as a file that the service takes, for as long as the block.

    Raises StudioError: MODEL_UNKNOWN, AUDIO_UNREADABLE, and AUDIO_TOO_LONG with what the service takes. Raises NotNow.
    """
    limits = model(api)
    with scratch_folder() as folder:
        sent = sound.transcoded(recording, folder / f"story.{SUFFIXES[mime]}", mime=mime)
        seconds = sound.inspect(sent, max_seconds=limits.max_seconds).seconds
        size = sent.stat().st_size
        if size > limits.max_bytes:
            longest = int(seconds * limits.max_bytes / size)
            raise StudioError("AUDIO_TOO_LONG", seconds=math.ceil(seconds), max_seconds=longest)
        yield sent


def charge(call: PaidCall, api: Api, *, seconds: float | None) -> None:
    """Note what the service says that it has heard, where it says so and the price is known."""
    price = model(api).micros_per_hour
    if price is not None and seconds is not None and seconds >= 0:
        call.charge(math.ceil(price * seconds / 3600))
