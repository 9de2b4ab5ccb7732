from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import app
from studio.artworks import ArtworkStatus
from studio.pipelines import STEPS
from tests.product import Product

ROOT = Path(app.__file__).parents[1]
FILES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "app" / "page").iterdir()}
WORDS = json.loads(FILES["words.json"])
SCRIPTS = "".join(text for name, text in FILES.items() if name.endswith(".js"))
MARKUP = FILES["index.html"]


@pytest.fixture
def browser(web: str) -> Iterator[httpx.Client]:
    """Somebody without a client id."""
    with httpx.Client(base_url=web) as one:
        yield one


def test_page_is_at_the_root(browser: httpx.Client) -> None:
    answer = browser.get("/")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == MARKUP


@pytest.mark.parametrize("path", ["/", *(f"/page/{name}" for name in sorted(FILES))])
def test_page_file_has_the_headers_that_protect_it(browser: httpx.Client, product: Product, path: str) -> None:
    headers = browser.get(path).headers

    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    store = product.studio.settings.s3_public_endpoint
    assert policy["default-src"] == "'self'"
    assert all(store in policy[kind].split() for kind in ("img-src", "media-src", "connect-src"))
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("form", ["{}", "W/{}", '"another", {}'])
def test_page_file_that_is_known_is_not_sent_again(browser: httpx.Client, form: str) -> None:
    tag = browser.get("/page/page.js").headers["etag"]

    answer = browser.get("/page/page.js", headers={"If-None-Match": form.format(tag)})

    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert browser.get("/page/page.js", headers={"If-None-Match": '"another"'}).status_code == 200


@pytest.mark.parametrize("name", ["nothing.js", "..%2Froutes%2Fpage.py", "%2e%2e"])
def test_nothing_else_is_served(browser: httpx.Client, name: str) -> None:
    assert browser.get(f"/page/{name}").status_code == 404


def test_page_is_no_part_of_the_described_api(browser: httpx.Client) -> None:
    paths = browser.get("/schema/openapi.json").json()["paths"]

    assert not [path for path in paths if path == "/" or path.startswith("/page")]


def test_policy_names_the_bucket_where_it_has_a_host_of_its_own(product: Product) -> None:
    from app.routes.page import _policy

    elsewhere = {"s3_public_endpoint": "https://objects.example", "s3_bucket": "art", "s3_force_path_style": False}
    settings = product.studio.settings.model_copy(update=elsewhere)

    assert "https://art.objects.example" in _policy(settings)


def test_page_asks_nobody_else() -> None:
    namespace = "http://www.w3.org/2000/svg"
    for name, text in FILES.items():
        assert not re.search(r"\w+://|[\"'`(=]//", text.replace(namespace, "")), name


def test_page_has_nothing_inline_and_puts_no_markup_together() -> None:
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", MARKUP)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", SCRIPTS)


def test_no_word_is_defined_twice() -> None:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert [key for key, count in Counter(key for key, _ in pairs).items() if count > 1] == []
        return dict(pairs)

    json.loads(FILES["words.json"], object_pairs_hook=once)


def test_page_speaks_both_languages() -> None:
    assert WORDS["zh"].keys() == WORDS["en"].keys()
    for key, words in WORDS["zh"].items():
        assert set(re.findall(r"\{\w+\}", words)) == set(re.findall(r"\{\w+\}", WORDS["en"][key])), key


def test_page_has_a_word_for_everything_it_says_and_no_others() -> None:
    mentioned = set(re.findall(r'"([a-z]\w*)"', SCRIPTS)) | set(re.findall(r'data-word="(\w+)"', MARKUP))
    problems = set(re.findall(r'Problem\.of\("(\w+)"\)', SCRIPTS))
    said = set(re.findall(r'(?:say|button|part|fileButton|makeFilm)\("(\w+)"', SCRIPTS)) | problems
    made = {f"{key}Step" for key in problems} | {f"step.{name}" for name in STEPS}
    made |= {f"status.{status}" for status in ArtworkStatus}
    made |= {f"state.{state}" for state in ("waiting", "running", "done", "failed")}

    assert said | made <= WORDS["en"].keys()
    assert WORDS["en"].keys() <= mentioned | made


def test_a_person_can_decide_whatever_the_api_takes_about_a_call_in_doubt(product: Product) -> None:
    from actors.wishes import Decision

    assert set(re.findall(r'decision: "(\w+)"', FILES["artwork.js"])) == set(Decision)


def test_every_film_is_shown_with_its_maker_and_the_mark_of_what_ai_has_made() -> None:
    (card,) = re.findall(r"^function filmCard.*?^}", FILES["artwork.js"], re.MULTILINE | re.DOTALL)

    assert "{ provider, model } = version" in card
    assert 'class: "mark" }, say("aiMark")), " ", maker' in card
    assert all("AI 生成" in WORDS[language]["aiMark"] for language in WORDS)


def test_an_erasure_makes_the_browser_somebody_new_at_once_and_a_look_at_its_receipt_never_does() -> None:
    asking, receipt = re.split(r"^function receiptCard", FILES["privacy.js"], flags=re.MULTILINE)

    assert "forgetCaller()" in asking.partition('await remove("/api/v1/privacy/data")')[2]
    assert "forgetCaller" not in receipt


def test_files_of_the_page_are_packaged() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["*"]

    assert {f"*{Path(name).suffix}" for name in FILES} <= set(patterns)
