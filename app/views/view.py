"""Base of all answers."""

from __future__ import annotations

import msgspec


class View(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What callers see: camelCase, with URLs in place of keys and without anything internal."""
