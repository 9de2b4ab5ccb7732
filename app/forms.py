"""Forms with one file in them, for callers that cannot reach the bucket. The file goes to disk as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from litestar.exceptions import InternalServerException, ValidationException
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from app.errors import AnyRequest
from studio.errors import StudioError
from studio.media_assets import Kind

FILE_FIELDS = ("file", *Kind)
"""The names that the file may have; the name of a kind says what it is."""
TEXT_FIELDS = ("type", "artworkId")
_TEXT_MAX_BYTES = 200
_MOST_PARTS = 20
_AROUND_THE_FILE_BYTES = 64_000
"""What all of a form but its file may take."""


@dataclass(slots=True)
class Form:
    """`file_field` is empty while no file has come. Fields that nobody knows are left out."""

    path: Path
    file_field: str = ""
    texts: dict[str, str] = field(default_factory=dict)


async def read_form(request: AnyRequest, path: Path, *, max_bytes: int) -> Form:
    """Read a form, with its file into `path`.

    Raises StudioError("FILE_TOO_LARGE") as soon as the file is known to be, and ValidationException for what is no form
    with one file in it.
    """
    _, options = request.content_type
    if (request.content_length or 0) > max_bytes + _AROUND_THE_FILE_BYTES:
        raise StudioError("FILE_TOO_LARGE", max_bytes=max_bytes)
    form = Form(path)
    try:
        parser = PushMultipartParser(options.get("boundary", ""), max_segment_count=_MOST_PARTS)
        async with await anyio.open_file(path, "wb") as file:
            reader = _Reader(form, file, max_bytes)
            async for chunk in _chunks(request):
                for part in parser.parse(chunk):
                    await reader.take(part)
        parser.close()
    except (MultipartError, UnicodeDecodeError, InternalServerException) as error:
        # The last one is the framework's word for a caller who left in the middle.
        raise ValidationException(extra=[{"key": "data"}]) from error
    if not form.file_field:
        raise ValidationException(extra=[{"key": "file"}])
    return form


async def _chunks(request: AnyRequest) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        # An empty one tells the parser that nothing follows.
        if chunk:
            yield chunk


class _Reader:
    """Takes what the parser finds, part by part: its head, its bytes, and None at its end."""

    def __init__(self, form: Form, file: anyio.AsyncFile[bytes], max_bytes: int) -> None:
        self._form = form
        self._file = file
        self._max_bytes = max_bytes
        self._name = ""
        self._size = 0
        self._around = 0
        self._text = b""

    async def take(self, part: MultipartSegment | bytes | None) -> None:
        if isinstance(part, MultipartSegment):
            self._begin(part.name)
        elif part is None:
            self._end()
        elif self._name in FILE_FIELDS:
            self._size += len(part)
            if self._size > self._max_bytes:
                raise StudioError("FILE_TOO_LARGE", max_bytes=self._max_bytes)
            await self._file.write(part)
        else:
            self._add_text(part)

    def _begin(self, name: str) -> None:
        self._name, self._text = name, b""
        if name in FILE_FIELDS:
            if self._form.file_field:
                raise ValidationException(extra=[{"key": name}])
            self._form.file_field = name

    def _add_text(self, part: bytes) -> None:
        self._around += len(part)
        if self._around > _AROUND_THE_FILE_BYTES:
            raise StudioError("BODY_TOO_LARGE")
        if self._name in TEXT_FIELDS:
            self._text += part
            if len(self._text) > _TEXT_MAX_BYTES:
                raise ValidationException(extra=[{"key": self._name}])

    def _end(self) -> None:
        # A form in a page sends an empty text for what was not filled in.
        if self._name in TEXT_FIELDS and self._text:
            self._form.texts[self._name] = self._text.decode()


@dataclass
class FormOperation(Operation):
    """How the API's description shows a form: the handler reads it itself."""

    def __post_init__(self) -> None:
        text, binary = Schema(type=OpenAPIType.STRING), Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        properties: dict[str, Any] = {**dict.fromkeys(FILE_FIELDS, binary), **dict.fromkeys(TEXT_FIELDS, text)}
        form = Schema(type=OpenAPIType.OBJECT, properties=properties)
        self.request_body = RequestBody({"multipart/form-data": OpenAPIMediaType(schema=form)}, required=True)
