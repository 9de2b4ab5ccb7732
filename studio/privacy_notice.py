"""The privacy notice: what this very deployment keeps, for how long, and who else sees it. Its words are beside it."""

from __future__ import annotations

import hashlib
import tomllib
from functools import cache
from pathlib import Path

import msgspec

from studio import erasures, events, exports, ledger
from studio.consents import Purpose
from studio.language import Language, Text
from studio.settings import Settings

DAY_S = 24 * 3600


class Section(msgspec.Struct, frozen=True):
    name: str
    heading: Text
    text: list[Text]


class PurposeWords(msgspec.Struct, frozen=True):
    heading: Text
    text: Text


class Source(msgspec.Struct, frozen=True):
    """The words as they are stored."""

    dated: str
    title: Text
    sections: list[Section]
    recordings: dict[str, Text]
    inactive: dict[str, Text]
    recipients: dict[str, Text]
    purposes: dict[Purpose, PurposeWords]


class NoticeSection(msgspec.Struct, frozen=True):
    name: str
    heading: str
    text: list[str]
    """Paragraphs."""


class NoticePurpose(msgspec.Struct, frozen=True):
    purpose: Purpose
    heading: str
    text: str


class Notice(msgspec.Struct, frozen=True):
    """The notice in one language. The version is the same in both."""

    version: str
    language: Language
    title: str
    sections: list[NoticeSection]
    purposes: list[NoticePurpose]


@cache
def _source() -> Source:
    content = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(content), Source)


def notice(settings: Settings, language: Language) -> Notice:
    """What the settings of this deployment come to, in words."""
    source = _source()
    return Notice(
        version=version(settings),
        language=language,
        title=source.title.in_(language),
        sections=_sections(settings, language),
        purposes=[
            NoticePurpose(purpose, words.heading.in_(language), words.text.in_(language))
            for purpose, words in source.purposes.items()
        ],
    )


def version(settings: Settings) -> str:
    """The date of the words and a digest of what they say here: other settings make another notice."""
    source = _source()
    said = [section.text for language in ("zh", "en") for section in _sections(settings, language)]
    digest = hashlib.sha256(msgspec.json.encode([said, source.purposes])).hexdigest()
    return f"{source.dated}.{digest[:8]}"


def _sections(settings: Settings, language: Language) -> list[NoticeSection]:
    values = _values(settings, language)
    return [
        NoticeSection(
            section.name,
            section.heading.in_(language),
            [words.in_(language).format(**values) for words in section.text],
        )
        for section in _source().sections
    ]


def _values(settings: Settings, language: Language) -> dict[str, str]:
    """What stands in braces."""
    return {
        "deleted": _time(settings.retain_deleted_days, "day", language),
        "uploads": _time(settings.retain_uploads_hours, "hour", language),
        "failed": _time(settings.retain_failed_days, "day", language),
        "events": _time(events.KEEP_S // DAY_S, "day", language),
        "exports": _time(exports.KEEP_DAYS, "day", language),
        "spending": _time(ledger.LINKED_DAYS, "day", language),
        "receipts": _time(erasures.KEEP_YEARS, "year", language),
        "recordings": _recordings(settings, language),
        "inactive": _inactive(settings, language),
        "recipients": _recipients(settings, language),
    }


def _recordings(settings: Settings, language: Language) -> str:
    kind, _, days = settings.recordings.partition(":")
    return _source().recordings[kind].in_(language).format(days=_time(int(days or 0), "day", language))


def _inactive(settings: Settings, language: Language) -> str:
    months = settings.retain_inactive_months
    words = _source().inactive["erased" if months else "kept"]
    return words.in_(language).format(months=_time(months, "month", language))


def _recipients(settings: Settings, language: Language) -> str:
    """Who is handed something, one sentence each."""
    recipients = _source().recipients
    either = " 或 " if language == "zh" else " or "
    outside = [
        recipients[setting].in_(language).format(provider=either.join(names))
        for setting in ("video_provider", "llm_provider", "asr_provider", "image_provider", "tts_provider")
        if (names := [name for name in getattr(settings, setting) if name != "local"])
    ]
    if not outside:
        return recipients["nobody"].in_(language)
    return ("" if language == "zh" else " ").join([*outside, recipients["terms"].in_(language)])


_UNITS = {"hour": " 小时", "day": " 天", "month": " 个月", "year": " 年"}


def _time(number: int, unit: str, language: Language) -> str:
    if language == "zh":
        return f"{number}{_UNITS[unit]}"
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
