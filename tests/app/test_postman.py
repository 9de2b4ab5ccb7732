from __future__ import annotations

import json

import httpx

from app.openapi.flow import FLOW
from app.openapi.postman import COLLECTION, text_of


def test_the_flow_calls_every_operation_once(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    described = [operation["operationId"] for operations in paths.values() for operation in operations.values()]
    called = [step.operation for step in FLOW]
    assert set(called) == set(described), "say in app/openapi/flow.py when it is called"
    assert len(set(called)) == len(called)


def test_the_collection_is_current(http: httpx.Client) -> None:
    described = http.get("/openapi.json").json()
    assert COLLECTION.read_text(encoding="utf-8") == text_of(described), "run `make postman`"


def test_the_flow_begins_where_runners_do() -> None:
    collection = json.loads(COLLECTION.read_text(encoding="utf-8"))
    assert collection["item"][0]["item"][0]["name"] == FLOW[0].operation


def test_the_collection_is_of_no_machine() -> None:
    collection = json.loads(COLLECTION.read_text(encoding="utf-8"))
    variables = {variable["key"]: variable["value"] for variable in collection["variable"]}
    assert variables["baseUrl"] == "http://localhost:8080"
    assert variables["clientId"] == "", "each run makes its own"
