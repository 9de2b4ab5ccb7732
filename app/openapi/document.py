"""The whole description as one OpenAPI 3.1 document."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

from litestar import Litestar
from litestar.openapi.datastructures import ResponseSpec

from app.openapi import words
from app.openapi.examples import VALUES, example_of
from app.openapi.operations import Operation, operations_of
from app.openapi.parameters import Parameter, camel, describe_parameter, parameters_of
from app.openapi.refusals import Problem, refusal_example, refusals_of, response_of
from app.openapi.schemas import Schemas
from studio.errors import REGISTRY
from studio.language import Text

Json = dict[str, Any]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


def describe(app: Litestar) -> Json:
    """The description of an application's routes."""
    operations = list(operations_of(app))
    schemas = Schemas(
        [
            Problem,
            *(operation.body[1] for operation in operations if operation.body),
            *(spec.data_container for operation in operations for spec in operation.answers.values()),
        ]
    )
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": words.TITLE,
            "version": version("huaban"),
            "description": _both(words.ABOUT),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": _name(text)} for text in words.TAGS.values()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "examples": {symbol: refusal_example(symbol) for symbol in REGISTRY},
            "headers": {name: _header(name, text) for name, text in words.HEADERS.items()},
            "securitySchemes": {
                "clientId": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Client-Id",
                    "description": _both(words.CLIENT_ID),
                },
            },
        },
    }


def _operation(operation: Operation, schemas: Schemas) -> Json:
    handler = operation.handler
    responses = {status: response_of(status, symbols) for status, symbols in refusals_of(handler).items()}
    # The answers go before: a /healthz that is red is no refusal.
    responses |= {status: _answer(status, spec, schemas) for status, spec in operation.answers.items()}
    text = Text(zh=words.OPERATIONS.get(operation.name, ""), en=operation.doc)
    described: Json = {
        "operationId": camel(operation.name),
        "tags": [_name(words.TAGS[operation.tag])],
        "summary": _name(Text(zh=_first_sentence(text.zh), en=_first_sentence(text.en))),
        "description": _both(text),
        "parameters": [_parameter(parameter) for parameter in parameters_of(handler)],
        "responses": {str(status): response for status, response in sorted(responses.items())},
        "security": [{"clientId": []}] if operation.needs_client else [],
    }
    if operation.body:
        media_type, kind = operation.body
        described["requestBody"] = {"required": True, "content": {media_type: _content(kind, schemas)}}
    return described


def _parameter(parameter: Parameter) -> Json:
    text = words.PARAMETERS.get(parameter.name, Text("", ""))
    return describe_parameter(parameter, _both(text), VALUES.get(parameter.name))


def _answer(status: int, spec: ResponseSpec, schemas: Schemas) -> Json:
    headers = ["X-Request-Id", *words.HEADERS_OF_STATUS.get(status, ())]
    described: Json = {
        "description": spec.description or _both(words.STATUSES[status]),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
    }
    if spec.data_container is not None:
        described["content"] = {str(spec.media_type): _content(spec.data_container, schemas)}
    return described


def _content(kind: Any, schemas: Schemas) -> Json:
    """A body with an example; of bytes and of streams of text there is none."""
    schema = schemas.of(kind)
    return {"schema": schema} if kind in (bytes, str) else {"schema": schema, "example": example_of(kind)}


def _header(name: str, text: Text) -> Json:
    return {"description": _both(text), "schema": {"type": "string"}, "example": VALUES[name]}


def _name(text: Text) -> str:
    return f"{text.en} {text.zh}"


def _both(text: Text) -> str:
    return f"{text.en}\n\n{text.zh}"


def _first_sentence(text: str) -> str:
    return " ".join(_SENTENCE_END.split(text, maxsplit=1)[0].split())
