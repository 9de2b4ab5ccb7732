"""A drawing and a recording that are small, and what they are."""

from __future__ import annotations

import base64
import io
import wave

from PIL import Image, ImageDraw


def drawing() -> bytes:
    """A JPEG that every service takes."""
    image = Image.new("RGB", (640, 480), (250, 248, 242))
    ImageDraw.Draw(image).ellipse((100, 100, 300, 300), fill=(210, 40, 40))
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


def drawing_url() -> str:
    """The same as a data URI."""
    return f"data:image/jpeg;base64,{base64.b64encode(drawing()).decode()}"


def recording() -> bytes:
    """A second of a buzzing WAV: 16 kHz, mono."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes((b"\x00\x10" * 80 + b"\x00\xf0" * 80) * 100)
    return file.getvalue()


def recording_url() -> str:
    """The same as a data URI."""
    return f"data:audio/wav;base64,{base64.b64encode(recording()).decode()}"
