"""The API as a Postman collection, made from its description: a folder per tag, which run as one flow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.openapi.flow import FLOW, UPLOAD, Step

Json = dict[str, Any]

ROOT = Path(__file__).parents[2]
COLLECTION = ROOT / "docs" / "huaban.postman_collection.json"
DRAWING = ROOT / "app" / "samples" / "drawing.png"

_NEW_CLIENT = """\
if (!pm.collectionVariables.get("clientId")) {
  pm.collectionVariables.set("clientId", pm.variables.replaceIn("postman-{{$randomAlphaNumeric}}{{$guid}}"));
}"""


def collection(description: Json) -> Json:
    """The collection of an API's description. Raises KeyError for an operation that the flow does not know."""
    steps = {step.operation: step for step in FLOW}
    folders: dict[str, list[Json]] = {tag["name"]: [] for tag in description["tags"]}
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            items = folders[operation["tags"][0]]
            items.append(_item(method.upper(), path, operation, steps[operation["operationId"]], description))
            if operation["operationId"] == "presignUpload":
                items.append(_upload())
    return {
        "info": {
            "name": description["info"]["title"],
            "description": description["info"]["description"],
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "item": [{"name": name, "item": items} for name, items in folders.items()],
        "event": [_script("prerequest", _NEW_CLIENT)],
        "variable": [
            {"key": "baseUrl", "value": "http://localhost:8080"},
            {"key": "clientId", "value": ""},
            {"key": "drawingSize", "value": str(DRAWING.stat().st_size)},
        ],
    }


def _item(method: str, path: str, operation: Json, step: Step, description: Json) -> Json:
    headers = {"X-Client-Id": "{{clientId}}", **step.headers}
    request: Json = {
        "method": method,
        "url": step.url or _address(path, step),
        "header": [{"key": name, "value": value} for name, value in headers.items()],
        "description": operation["description"],
    }
    body = operation.get("requestBody", {}).get("content", {})
    if "application/json" in body:
        request["header"].append({"key": "Content-Type", "value": "application/json"})
        request["body"] = {"mode": "raw", "raw": _body(body["application/json"]["example"], step)}
    elif body:
        form = {"key": "file", "type": "file", "src": DRAWING.name}
        request["body"] = {"mode": "formdata", "formdata": [form]}
    tests = _tests(operation, step, description)
    return {"name": operation["operationId"], "request": request, "event": [_script("test", tests)]}


def _address(path: str, step: Step) -> str:
    query = "&".join(f"{name}={value}" for name, value in step.query.items())
    return "{{baseUrl}}" + path.replace("{", "{{").replace("}", "}}") + (f"?{query}" if query else "")


def _body(example: Json, step: Step) -> str:
    """The example, with what earlier steps have saved in place of its ids."""
    saved = {"etag", *(name for other in FLOW for name in other.saves)}
    example = {name: f"{{{{{name}}}}}" if name in saved else value for name, value in example.items()}
    wanted = {name: value for name, value in {**example, **step.body}.items() if value is not None}
    text = json.dumps(wanted, ensure_ascii=False, indent=2)
    # A number is a number, although a variable stands for it.
    return text.replace('"{{drawingSize}}"', "{{drawingSize}}")


def _tests(operation: Json, step: Step, description: Json) -> str:
    """JavaScript that checks the answer, saves what later steps need, and says which one is next."""
    response = operation["responses"][str(step.status)]
    good = [step.status, *([step.or_status] if step.or_status else [])]
    lines = [f'pm.test("it answers {step.status}", () => pm.expect(pm.response.code).to.be.oneOf({good}));']
    for media_type, content in response.get("content", {}).items():
        if "json" in media_type:
            schema = json.dumps(_resolved(content["schema"], description), ensure_ascii=False)
            lines.append("const answer = pm.response.json();")
            lines.append(f'pm.test("it answers as described", () => pm.response.to.have.jsonSchema({schema}));')
    lines += [f'pm.collectionVariables.set("{name}", answer.{place});' for name, place in step.saves.items()]
    following = f"pm.execution.setNextRequest({json.dumps(_next(step))});"
    if step.again_while:
        again = f"setTimeout(() => pm.execution.setNextRequest({json.dumps(step.operation)}), 1000);"
        following = f"if ({step.again_while}) {{\n  {again}\n}} else {{\n  {following}\n}}"
    return "\n".join([*lines, following])


def _next(step: Step) -> str | None:
    if step.operation == "presignUpload":
        return UPLOAD
    following = FLOW.index(step) + 1
    return FLOW[following].operation if following < len(FLOW) else None


def _upload() -> Json:
    tests = (
        'pm.test("it is stored", () => pm.response.to.have.status(200));\n'
        'pm.collectionVariables.set("etag", pm.response.headers.get("ETag").replaceAll("\\"", ""));\n'
        'pm.execution.setNextRequest("commitMedia");'
    )
    request = {
        "method": "PUT",
        "url": "{{uploadUrl}}",
        "header": [{"key": "Content-Type", "value": "image/png"}],
        "body": {"mode": "file", "file": {"src": DRAWING.name}},
    }
    return {"name": UPLOAD, "request": request, "event": [_script("test", tests)]}


def _resolved(schema: Any, description: Json) -> Any:
    """A schema that stands alone."""
    if isinstance(schema, list):
        return [_resolved(part, description) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _resolved(description["components"]["schemas"][schema["$ref"].rpartition("/")[2]], description)
    words = {"title", "description", "default"}
    return {
        name: {field: _resolved(part, description) for field, part in value.items()}
        if name == "properties"
        else _resolved(value, description)
        for name, value in schema.items()
        if name not in words
    }


def _script(event: str, text: str) -> Json:
    return {"listen": event, "script": {"type": "text/javascript", "exec": text.splitlines()}}


def text_of(description: Json) -> str:
    """The collection as it is kept in the repository."""
    return json.dumps(collection(description), ensure_ascii=False, indent=1) + "\n"
