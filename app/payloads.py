"""What callers send: camelCase, unknown fields ignored, every field with its range."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

STORY_MAX_CHARACTERS = 2_000

# Python's "$" also matches before a last line break; "(?!\n)" forbids one, and is read the same by JSON Schema.
Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+(?!\n)$")]
Mime = Annotated[str, Meta(max_length=100, pattern=r"^[a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+(;[a-zA-Z0-9 =.,_\"+-]*)*(?!\n)$")]
Key = Annotated[str, Meta(min_length=1, max_length=512)]
"""Of an object in the bucket."""
Title = Annotated[str, Meta(max_length=80)]
Story = Annotated[str, Meta(max_length=STORY_MAX_CHARACTERS)]


class Payload(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all request bodies."""
