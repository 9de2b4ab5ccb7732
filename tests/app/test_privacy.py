"""The notice, and the record of what was agreed to."""

from __future__ import annotations

import re

import httpx
import pytest

from app.client import Json
from studio.consents import Purpose
from studio.privacy_notice import notice, version
from studio.settings import Settings
from tests.app.problems import problem_of
from tests.product import Product

NOTICE = "/api/v1/privacy/notice"
CONSENTS = "/api/v1/privacy/consents"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_notice_is_for_everybody_and_in_both_languages(web: str, language: str) -> None:
    told = httpx.get(web + NOTICE, headers={"Accept-Language": language}).raise_for_status().json()
    assert told["language"] == language
    text = "".join(paragraph for section in told["sections"] for paragraph in section["paragraphs"])
    assert bool(re.search("[\u4e00-\u9fff]", text)) == (language == "zh")
    assert "{" not in text
    assert {section["name"] for section in told["sections"]} == {"kept", "why", "how_long", "who", "rights"}
    assert {one["purpose"] for one in told["purposes"]} == set(Purpose)
    assert all(re.search(re.escape(route), text) for route in (CONSENTS, "/privacy/export", "/privacy/data"))


def words_of(settings: Settings) -> str:
    return "\n".join(paragraph for section in notice(settings, "en").sections for paragraph in section.text)


def test_the_notice_says_what_the_settings_are_and_is_another_one_with_others() -> None:
    plain = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic's own
    assert "nothing goes to an outside AI service" in words_of(plain)
    assert "not here for 12 months is erased" in words_of(plain)
    other = plain.model_copy(
        update={
            "video_provider": ("acme", "local", "other"),
            "recordings": "days:1",
            "retain_deleted_days": 4,
            "retain_inactive_months": 0,
        }
    )
    words = words_of(other)
    assert "acme or other gets the drawing" in words
    assert "nothing goes to an outside" not in words
    assert "deleted after 1 day;" in words
    assert "restored for 4 days" in words
    assert "Nothing is removed merely because" in words
    assert version(plain) != version(other)
    assert version(plain) == version(plain.model_copy(update={"port": 1}))


def test_the_notice_names_whoever_is_handed_something() -> None:
    settings = ("video_provider", "llm_provider", "asr_provider", "image_provider", "tts_provider")
    chosen = {setting: (f"{setting}-of-ours", "local") for setting in settings}
    words = words_of(Settings(_env_file=None).model_copy(update=chosen))  # type: ignore[call-arg]  # pydantic's own
    assert all(words.count(f"{setting}-of-ours gets ") == 1 for setting in settings)


def decide(http: httpx.Client, product: Product, **decisions: bool) -> Json:
    body = {
        "noticeVersion": version(product.studio.settings),
        "decisions": [{"purpose": purpose, "given": given} for purpose, given in decisions.items()],
    }
    answer: Json = http.put(CONSENTS, json=body).raise_for_status().json()
    return answer


def test_what_was_agreed_to_and_withdrawn_is_recorded_with_the_notice_of_the_time(
    http: httpx.Client, product: Product
) -> None:
    before = http.get(CONSENTS).json()
    assert [one["given"] for one in before["consents"]] == [None, None, None]
    decide(http, product, voice_recording=True, reports=False)
    decide(http, product, voice_recording=True)
    told = decide(http, product, voice_recording=False)
    assert told == http.get(CONSENTS).json()
    assert {one["purpose"]: one["given"] for one in told["consents"]} == {
        "voice_recording": False,
        "ai_providers": None,
        "reports": False,
    }
    assert [(one["purpose"], one["given"]) for one in told["history"]] == [
        ("voice_recording", False),
        ("reports", False),
        ("voice_recording", True),
    ], "said twice is said once"
    assert {one["noticeVersion"] for one in told["history"]} == {version(product.studio.settings)}


def test_a_consent_to_a_notice_that_has_changed_is_not_one(http: httpx.Client) -> None:
    decisions = [{"purpose": "reports", "given": True}]
    problem_of(http.put(CONSENTS, json={"noticeVersion": "older", "decisions": decisions}), "NOTICE_CHANGED")
    assert http.get(CONSENTS).json()["history"] == []


@pytest.mark.parametrize(
    "decisions", [[], [{"purpose": "everything", "given": True}], [{"purpose": "reports"}], "reports", {"$set": {}}]
)
def test_what_is_no_decision_is_refused(http: httpx.Client, product: Product, decisions: object) -> None:
    body = {"noticeVersion": version(product.studio.settings), "decisions": decisions}
    assert problem_of(http.put(CONSENTS, json=body), "INVALID_INPUT")["errors"]
