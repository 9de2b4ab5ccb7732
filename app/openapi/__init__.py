"""The description of the HTTP API, made from the handlers themselves.

Litestar can describe an application too. We do it ourselves because msgspec, which reads the bodies, describes them
exactly; because our refusals come from a registry; and because whatever people read is there in Chinese and English.
"""

from app.openapi.document import describe
from app.openapi.refusals import refusals

__all__ = ["describe", "refusals"]
