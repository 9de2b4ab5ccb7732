"""The whole description as one OpenAPI 3.1 document."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

from litestar import Litestar
from litestar.openapi.datastructures import ResponseSpec

from app.openapi import words
from app.openapi.examples import VALUES, example_of
from app.openapi.operations import Operation, media_type_of, operations_of
from app.openapi.parameters import Parameter, camel
from app.openapi.problems import refusal_example, refusals_of, response_of
from app.openapi.refusals import Problem
from app.openapi.schemas import Schemas
from studio.errors import REGISTRY
from studio.language import Text

Json = dict[str, Any]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
_UNNAMED = Text("", "")


def describe(app: Litestar) -> Json:
    """The description of an application's routes. Raises TypeError for an answer that is no JSON and not declared."""
    operations = list(operations_of(app))
    schemas = Schemas(
        [
            Problem,
            *(operation.body.kind for operation in operations if operation.body),
            *(
                spec.data_container
                for operation in operations
                for specs in operation.answers.values()
                for spec in specs
            ),
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
        "tags": [{"name": _in_one_line(text)} for text in dict.fromkeys(words.TAGS.values())],
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
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": _both(words.TOKEN)},
                "ticket": {"type": "apiKey", "in": "query", "name": "ticket", "description": _both(words.TICKET)},
            },
        },
    }


def _operation(operation: Operation, schemas: Schemas) -> Json:
    text = Text(zh=words.OPERATIONS.get(operation.name, ""), en=operation.doc)
    responses = {status: response_of(status, symbols) for status, symbols in refusals_of(operation).items()}
    # The answers go before: a /healthz that is red is no refusal.
    responses |= {status: _answer(status, specs, schemas) for status, specs in operation.answers.items()}
    described: Json = {
        "operationId": camel(operation.name),
        "tags": [_in_one_line(words.TAGS.get(operation.module, _UNNAMED))],
        "summary": _in_one_line(Text(zh=_first_sentence(text.zh), en=_first_sentence(text.en))),
        "description": _both(text),
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "responses": {str(status): responses[status] for status in sorted(responses)},
        "security": _security(operation),
    }
    if operation.body:
        body = operation.body
        described["requestBody"] = {
            "required": body.is_required,
            "content": _content(body.media_type, body.kind, schemas),
        }
    elif operation.described_body:
        described["requestBody"] = operation.described_body
    return described


def _security(operation: Operation) -> list[Json]:
    """The ways of saying who calls, any of which is enough."""
    ways: list[Json] = [{"clientId": []}, {"token": []}]
    if operation.handler.opt.get("takes_ticket"):
        ways.append({"ticket": []})
    if "owner" in operation.names:
        return ways
    # A handler that asks for the identity itself has another way in, too.
    return [{}, *ways] if "identity" in operation.names else []


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.is_required,
        "description": _both(words.PARAMETERS.get(parameter.name, _UNNAMED)),
        "schema": parameter.schema,
        "example": VALUES.get(parameter.name),
    }


def _answer(status: int, specs: list[ResponseSpec], schemas: Schemas) -> Json:
    headers = ["X-Request-Id", *words.HEADERS_OF_STATUS.get(status, ())]
    told = [spec.description for spec in specs if spec.description]
    described: Json = {
        "description": "\n\n".join(told) or _both(words.STATUSES[status]),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
    }
    bodies = [spec for spec in specs if spec.data_container is not None]
    if bodies:
        described["content"] = {}
        for spec in bodies:
            described["content"] |= _content(media_type_of(spec), spec.data_container, schemas)
    return described


def _content(media_type: str, kind: Any, schemas: Schemas) -> Json:
    """A body in one media type, with an example if it is JSON."""
    example = {"example": example_of(kind)} if media_type == "application/json" else {}
    return {media_type: {"schema": schemas.of(kind), **example}}


def _header(name: str, text: Text) -> Json:
    return {"description": _both(text), "schema": {"type": "string"}, "example": VALUES[name]}


def _in_one_line(text: Text) -> str:
    return f"{text.en} {text.zh}"


def _both(text: Text) -> str:
    return f"{text.en}\n\n{text.zh}"


def _first_sentence(text: str) -> str:
    return " ".join(_SENTENCE_END.split(text, maxsplit=1)[0].split())
