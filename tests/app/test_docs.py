from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

import app
from app.client import Json
from app.openapi import words
from app.openapi.examples import VALUES, example_of, names_without_value
from app.openapi.operations import Operation, operations_of
from app.payloads import Payload
from studio.language import Text
from studio.structs import structs_in
from tests.app.problems import problem_of
from tests.product import Product

APP = Path(app.__file__).parent
FOLDERS = (APP / "openapi" / "pages", APP / "vendor" / "swagger-ui", APP / "vendor" / "redoc")


@pytest.fixture
def browser(web: str) -> Iterator[httpx.Client]:
    """Somebody without a client id."""
    with httpx.Client(base_url=web) as one:
        yield one


@pytest.fixture
def description(browser: httpx.Client) -> Json:
    described: Json = browser.get("/openapi.json").json()
    return described


@pytest.fixture
def operations(product: Product) -> list[Operation]:
    within = product.app
    while not isinstance(within, Litestar):
        within = within.app
    return list(operations_of(within))


def kinds_of(operations: list[Operation]) -> list[Any]:
    """The types of all bodies and answers that are JSON."""
    answers = [spec for operation in operations for specs in operation.answers.values() for spec in specs]
    kinds = [spec.data_container for spec in answers]
    kinds += [operation.body.kind for operation in operations if operation.body]
    return [kind for kind in dict.fromkeys(kinds) if kind not in (None, bytes, str)]


def assert_same(wanted: set[str], written: set[str]) -> None:
    missing, left_over = wanted - written, written - wanted
    assert (missing, left_over) == (set(), set()), "see app/openapi/words.py"


def test_the_description_is_of_this_version(description: Json) -> None:
    assert description["openapi"] == "3.1.0"
    assert description["info"]["version"] == version("huaban")


def test_every_operation_has_chinese_words_and_none_is_left_over(operations: list[Operation]) -> None:
    assert_same({operation.name for operation in operations}, set(words.OPERATIONS))
    assert_same({operation.module for operation in operations}, set(words.TAGS))
    assert all(operation.doc for operation in operations)


def test_every_parameter_has_words_and_an_example(operations: list[Operation]) -> None:
    names = {parameter.name for operation in operations for parameter in operation.parameters}
    assert_same(names, set(words.PARAMETERS))
    missing = names - set(VALUES)
    assert not missing


@pytest.mark.parametrize(
    "text",
    [
        words.ABOUT,
        *words.HEADERS.values(),
        *words.STATUSES.values(),
        *words.PARAMETERS.values(),
        *(Text(zh=zh, en="In the handler.") for zh in words.OPERATIONS.values()),
    ],
    ids=lambda text: text.en[:30] if text.en != "In the handler." else text.zh[:12],
)
def test_words_are_sentences_in_both_languages(text: Text) -> None:
    assert text.en.isascii()
    assert text.en.endswith(".")
    assert re.search("[\u4e00-\u9fff]", text.zh)
    assert text.zh.endswith("。")


def test_every_field_of_an_answer_has_an_example(operations: list[Operation]) -> None:
    missing = {name for kind in kinds_of(operations) for name in names_without_value(kind)}
    assert not missing, "give them a value in app/openapi/examples.py"


def test_every_body_has_an_example_of_its_own(operations: list[Operation]) -> None:
    missing = {operation.body.kind.__name__ for operation in operations if operation.body} - set(VALUES)
    assert not missing


def test_examples_are_what_the_product_reads_and_writes(operations: list[Operation]) -> None:
    for kind in kinds_of(operations):
        example = example_of(kind)
        read = msgspec.json.decode(msgspec.json.encode(example), type=kind)
        if issubclass(kind, Payload):
            sent = {field.encode_name for field in msgspec.structs.fields(kind)}
            assert example.keys() <= sent, kind
        else:
            assert msgspec.json.decode(msgspec.json.encode(read)) == example, kind


def test_no_example_is_left_over(operations: list[Operation], description: Json) -> None:
    structs = structs_in(kinds_of(operations))
    names = {struct.__name__ for struct in structs}
    fields = {(struct.__name__, field.encode_name) for struct in structs for field in msgspec.structs.fields(struct)}
    names |= {field for _, field in fields} | {f"{struct}.{field}" for struct, field in fields}
    names |= set(words.PARAMETERS) | set(words.HEADERS)
    left_over = set(VALUES) - names
    assert not left_over


def test_names_on_the_wire_are_in_camel_case(operations: list[Operation]) -> None:
    names = {
        field.encode_name for struct in structs_in(kinds_of(operations)) for field in msgspec.structs.fields(struct)
    }
    names |= {parameter.name for operation in operations for parameter in operation.parameters}
    assert {name for name in names if "_" in name} == {"image_path", "image_url"}, "these are what plan 003 calls them"


def test_what_the_description_refers_to_is_in_it(description: Json) -> None:
    referred = set(re.findall(r'"\$ref":"#/([^"]+)"', msgspec.json.encode(description).decode()))
    assert len(referred) > 30
    for reference in referred:
        place: Any = description
        for name in reference.split("/"):
            place = place[name]


def test_every_refusal_that_is_described_has_an_example_body(description: Json) -> None:
    for symbol, example in description["components"]["examples"].items():
        body = example["value"]
        assert body["code"] == symbol
        assert "{" not in body["message"] + body["nextStep"] + example["summary"]
        assert body.keys() >= set(description["components"]["schemas"]["Problem"]["required"])


def test_routes_that_need_a_client_say_so(description: Json) -> None:
    security = {
        f"{method} {path}": operation["security"]
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    }
    assert security["get /healthz"] == []
    assert security["get /gallery"] == [{"clientId": []}, {"token": []}]
    assert security["get /api/v1/events"] == [{"clientId": []}, {"token": []}, {"ticket": []}]
    assert security["get /media/{key}"] == [{}, {"clientId": []}, {"token": []}], "an address authorises itself"


@pytest.mark.parametrize("path", ["/docs", "/schema", "/redoc"])
def test_pages_ask_nobody_else(browser: httpx.Client, path: str) -> None:
    page = browser.get(path)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy.get("script-src", "'self'") == "'self'"
    assert "http" not in page.headers["content-security-policy"]
    asked = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert asked
    for address in asked:
        assert address.startswith("/")
        assert browser.get(address).is_success


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/docs/swagger-ui-bundle.js"])
def test_what_a_browser_has_is_not_sent_again(browser: httpx.Client, path: str) -> None:
    tag = browser.get(path).headers["etag"]
    again = browser.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_the_frameworks_own_address_is_an_alias(browser: httpx.Client) -> None:
    assert browser.get("/schema").text == browser.get("/docs").text
    assert browser.get("/schema/openapi.json").text == browser.get("/openapi.json").text


@pytest.mark.parametrize("name", ["nothing.js", "LICENSE.txt", "%2e%2e%2fdocument.py"])
def test_only_the_files_of_the_pages_are_served(browser: httpx.Client, name: str) -> None:
    problem_of(browser.get(f"/docs/{name}"), "NOT_FOUND")


def test_no_two_files_of_the_pages_have_one_name() -> None:
    names = [path.name for folder in FOLDERS for path in folder.iterdir() if path.suffix in (".html", ".js", ".css")]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("folder", FOLDERS[1:], ids=lambda folder: folder.name)
def test_programs_of_others_come_with_their_licence_and_version(folder: Path) -> None:
    assert "license" in (folder / "LICENSE.txt").read_text().lower()
    assert re.search(rf"`{folder.name}` \| [\w-]+ \| \d+\.\d+\.\d+ \|", (folder.parent / "README.md").read_text())
