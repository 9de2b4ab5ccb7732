from __future__ import annotations

import json
import logging
import re
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from studio.language import Language
from tests.app.problems import problem_of
from tests.product import Product, serving_with
from tests.waiting import eventually

SECRET = "the fox that nobody may hear of"
JSON = {"Content-Type": "application/json"}

LANGUAGES = pytest.mark.parametrize(
    ("accepted", "language"),
    [("en", "en"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("ZH", "zh"), ("fr", "en"), ("", "en"), (";;q=,", "en")],
)


@LANGUAGES
@pytest.mark.parametrize(
    ("method", "path", "symbol"),
    [
        ("GET", "/no/such/place", "NOT_FOUND"),
        ("GET", "/artworks/no-such-artwork", "NOT_FOUND"),
        ("DELETE", "/gallery", "METHOD_NOT_ALLOWED"),
        ("GET", "/gallery?limit=0", "INVALID_INPUT"),
        ("GET", "/gallery?cursor=nowhere", "CURSOR_INVALID"),
        ("POST", "/generation/jobs", "INVALID_INPUT"),
        ("POST", "/generation/jobs/no-such-job/retry", "NOT_FOUND"),
    ],
)
def test_every_refusal_is_a_problem_in_the_callers_language(
    http: httpx.Client, *, method: str, path: str, symbol: str, accepted: str, language: Language
) -> None:
    problem_of(http.request(method, path, headers={"Accept-Language": accepted}), symbol, language)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/gallery", "GET, OPTIONS"), ("/grow/profile", "GET, OPTIONS, POST"), ("/artworks", "OPTIONS, POST")],
)
def test_options_name_every_method_of_an_address(http: httpx.Client, path: str, allowed: str) -> None:
    assert http.options(path).headers["allow"] == allowed


def test_a_refused_method_names_those_that_are_taken(http: httpx.Client) -> None:
    assert "GET" in http.put("/gallery").headers["allow"]


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/gallery", "/artworks", "/healthz", "/nowhere"])
def test_no_method_makes_the_server_stumble(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, path)
    assert answer.status_code in {204, 404, 405}
    assert answer.headers["x-request-id"]


def test_the_buckets_door_refuses_with_a_problem_too(product: Product) -> None:
    with serving_with(product, s3_front=True) as url, httpx.Client(base_url=url) as browser:
        problem_of(browser.delete(f"/{product.studio.objects.bucket}/some-key"), "METHOD_NOT_ALLOWED")
        problem_of(browser.get("/gallery"), "CLIENT_ID_REQUIRED")


@pytest.mark.parametrize("path", ["/gallery", "/healthz", "/no/such/place", "/artworks/nothing", "/gallery?limit=0"])
def test_no_answer_is_kept_guessed_at_or_told_of_elsewhere(http: httpx.Client, path: str) -> None:
    headers = http.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"] == "frame-ancestors 'none'"


def test_only_who_came_by_https_is_told_to_stay_with_it(http: httpx.Client, product: Product) -> None:
    came_by_https = {"X-Forwarded-Proto": "https"}
    assert "strict-transport-security" not in http.get("/gallery", headers=came_by_https).headers
    with serving_with(product, trusted_proxies=1) as url, httpx.Client(base_url=url) as browser:
        assert "strict-transport-security" not in browser.get("/gallery").headers
        for path in ("/gallery", "/nowhere", "/"):
            told = browser.get(path, headers=came_by_https).headers["strict-transport-security"]
            assert int(told.partition("=")[2]) >= 365 * 24 * 3600


def test_the_page_says_itself_how_long_it_may_be_kept(http: httpx.Client) -> None:
    assert http.get("/").headers.get_list("cache-control") == ["no-cache"]


def test_an_accept_header_for_pages_still_gets_a_problem(http: httpx.Client) -> None:
    problem_of(http.get("/nowhere", headers={"Accept": "text/html"}), "NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/artworks", {"title": "x" * 81}, {"title"}),
        ("/artworks", {"title": 7}, {"title"}),
        ("/artworks", {"title": {"$gt": ""}}, {"title"}),
        ("/artworks", {"title": None}, {"title"}),
        ("/artworks", {"description": "x" * 2001}, {"description"}),
        ("/artworks", {"coverAssetId": "no id at all"}, {"coverAssetId"}),
        ("/artworks", {"coverAssetId": ["a", "list"]}, {"coverAssetId"}),
        ("/artworks", [SECRET], {"body"}),
        ("/artworks", SECRET, {"body"}),
        ("/artworks", None, {"body"}),
        ("/generation/jobs", {"kind": SECRET}, {"kind"}),
        ("/generation/jobs", {"text": "x" * 2001}, {"text"}),
        ("/upload/presign", {}, {"type"}),
        ("/upload/presign", {"type": SECRET, "mime": "image/png", "size": 1}, {"type"}),
        ("/upload/presign", {"type": "image", "mime": SECRET, "size": 1}, {"mime"}),
        ("/upload/presign", {"type": "image", "mime": "image/png", "size": SECRET}, {"size"}),
        ("/media/commit", {"key": "x" * 513}, {"key"}),
        ("/media/commit", {"key": ""}, {"key"}),
    ],
)
def test_invalid_fields_are_named_and_their_values_not_repeated(
    http: httpx.Client, path: str, body: object, fields: set[str]
) -> None:
    answer = http.post(path, json=body)
    problem = problem_of(answer, "INVALID_INPUT")
    assert {error["field"] for error in problem["errors"]} == fields
    assert all(error["message"] for error in problem["errors"])
    assert SECRET not in answer.text
    assert "xxx" not in answer.text


def test_a_missing_field_is_named(http: httpx.Client) -> None:
    problem = problem_of(http.post("/upload/presign", json={"type": "image", "size": 1}), "INVALID_INPUT")
    assert problem["errors"] == [{"field": "mime", "message": "This is required."}]


def test_unknown_fields_are_ignored(http: httpx.Client) -> None:
    assert http.post("/artworks", json={"title": "Fox", "__proto__": {"admin": True}, "owner": "me"}).is_success


@pytest.mark.parametrize(
    "body",
    [
        f'{{"title": "{SECRET}'.encode(),
        b"{title: 1}",
        b'{"title": "\xff\xfe"}',
        b'{"title": "\\ud800"}',
        b'{"title": NaN}',
        b"\xef\xbb\xbf{}",
        b"\x00",
        b'{"more":' + 100_000 * b"[" + 100_000 * b"]" + b"}",
        50_000 * b'{"a":' + b"1" + 50_000 * b"}",
    ],
    ids=["cut", "unquoted", "utf8", "surrogate", "nan", "bom", "nul", "deep-lists", "deep-objects"],
)
def test_a_body_that_is_no_json_says_so(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/artworks", content=body, headers=JSON)
    problem_of(answer, "INVALID_JSON")
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "multipart/form-data", "application/msgpack", "text/plain", ""],
)
def test_a_form_in_place_of_json_is_refused(http: httpx.Client, content_type: str) -> None:
    answer = http.post("/artworks", content=b"title=Fox", headers={"Content-Type": content_type})
    problem_of(answer, "INVALID_JSON")


def test_a_body_over_the_limit_is_refused(http: httpx.Client) -> None:
    problem_of(http.post("/artworks", json={"title": "x" * 1_100_000}), "BODY_TOO_LARGE")


def test_a_body_over_the_limit_that_does_not_tell_its_length_is_refused(http: httpx.Client) -> None:
    chunks = (100_000 * b"x" for _ in range(15))
    problem_of(http.post("/artworks", content=chunks, headers=JSON), "BODY_TOO_LARGE")


@pytest.mark.parametrize("path", ["/gallery", "/artworks/nothing", "/no/such/place"])
def test_the_callers_request_id_comes_back(http: httpx.Client, path: str) -> None:
    answer = http.get(path, headers={"X-Request-Id": "trace-1.2_3"})
    assert answer.headers["x-request-id"] == "trace-1.2_3"


@pytest.mark.parametrize("given", ["", "x" * 65, "with space", '{"a":1}', "画", "a\tb"])
def test_a_request_id_that_could_harm_a_log_is_replaced(http: httpx.Client, given: str) -> None:
    answer = http.get("/gallery", headers={b"X-Request-Id": given.encode()})
    assert re.fullmatch(r"[\w-]{22}", answer.headers["x-request-id"])


def test_every_request_has_an_id_of_its_own(http: httpx.Client) -> None:
    assert len({http.get("/gallery").headers["x-request-id"] for _ in range(5)}) == 5


@pytest.mark.parametrize(
    "words",
    [
        "nul \0 inside",
        "$where: sleep(1)",
        "{$ne: null}",
        "$$NOW",
        "a.b.$.c",
        "\u202ertl\u202c",
        "e\u0301" * 40,
        "👩\u200d👩\u200d👧" * 16,
        "\r\nX: y",
        "画伴",
    ],
)
def test_words_are_kept_as_they_are(http: httpx.Client, words: str) -> None:
    made = http.post("/artworks", json={"title": words, "description": words}).json()
    kept = http.get(f"/artworks/{made['artworkId']}").json()
    assert (kept["title"], kept["description"]) == (words.strip(), words.strip())


@pytest.mark.parametrize(
    "path_id", ["%00", "%2e%2e%2fsecret", "$where", "%ff", "画", "x" * 5000, "a;b=c", "null", "[object%20Object]"]
)
@pytest.mark.parametrize(
    "path", ["/artworks/{}", "/generation/jobs/{}", "/generation/jobs/{}/events", "/ai/analyses/{}"]
)
def test_a_strange_id_in_a_path_is_not_found(http: httpx.Client, path: str, path_id: str) -> None:
    problem_of(http.get(path.format(path_id)), "NOT_FOUND")


def test_a_caller_who_leaves_in_the_middle_of_a_body_is_no_fault_of_ours(
    http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    url = urlsplit(str(http.base_url))
    head = f"POST /artworks HTTP/1.1\r\nHost: x\r\nX-Client-Id: {'c' * 12}\r\nContent-Length: 100\r\n\r\n{{"
    with socket.create_connection((url.hostname or "", url.port or 0)) as leaving:
        leaving.sendall(head.encode())
    lines = eventually(lambda: [line for line in caplog.text.splitlines() if "/artworks" in line])
    assert json.loads(lines[0])["status"] == 400
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
