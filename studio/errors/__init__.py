"""Errors: what code raises (`exceptions`), and what people are told of it (`registry`)."""

from studio.errors.exceptions import Away, NotNow, OutcomeUnknown, StudioError
from studio.errors.registry import REGISTRY, describe

__all__ = ["REGISTRY", "Away", "NotNow", "OutcomeUnknown", "StudioError", "describe"]
