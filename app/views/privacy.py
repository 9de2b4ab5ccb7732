"""What a client sees of its own data as such: consents, exports, and the receipt of an erasure."""

from __future__ import annotations

from datetime import datetime

from app.views.links import Links
from app.views.view import View
from studio.consents import Consents, Decision, Purpose
from studio.erasures import Erasure
from studio.exports import Export, ExportStatus
from studio.language import Language
from studio.privacy_notice import Notice


class NoticeSectionView(View, frozen=True, kw_only=True):
    name: str
    heading: str
    paragraphs: list[str]


class PurposeView(View, frozen=True, kw_only=True):
    """Something that a client may agree to."""

    purpose: Purpose
    heading: str
    text: str


class NoticeView(View, frozen=True, kw_only=True):
    version: str
    """Changes with every word, and with settings that the words tell of."""
    language: Language
    title: str
    sections: list[NoticeSectionView]
    purposes: list[PurposeView]


class DecisionView(View, frozen=True, kw_only=True):
    purpose: Purpose
    given: bool
    notice_version: str
    at: datetime


class ConsentView(View, frozen=True, kw_only=True):
    """One purpose as it stands."""

    purpose: Purpose
    given: bool | None
    """null: nobody has decided yet."""
    notice_version: str | None
    at: datetime | None


class ConsentsView(View, frozen=True, kw_only=True):
    consents: list[ConsentView]
    history: list[DecisionView]
    """Every decision, the newest first."""


class ExportView(View, frozen=True, kw_only=True):
    export_id: str
    status: str
    """preparing, ready or failed."""
    url: str | None
    size: int | None
    """Bytes."""
    sha256: str | None
    created_at: datetime
    expires_at: datetime | None


class ReceiptView(View, frozen=True, kw_only=True):
    receipt_id: str
    status: str
    """erasing or erased."""
    documents: dict[str, int]
    """Removed so far, by collection."""
    objects: int
    bytes: int
    """Of the objects."""
    messages: int
    created_at: datetime
    finished_at: datetime | None


def view_notice(notice: Notice) -> NoticeView:
    return NoticeView(
        version=notice.version,
        language=notice.language,
        title=notice.title,
        sections=[
            NoticeSectionView(name=section.name, heading=section.heading, paragraphs=section.text)
            for section in notice.sections
        ],
        purposes=[PurposeView(purpose=one.purpose, heading=one.heading, text=one.text) for one in notice.purposes],
    )


def view_consents(consents: Consents | None) -> ConsentsView:
    current = consents.current if consents else {}
    history = consents.history if consents else []
    return ConsentsView(
        consents=[_view_consent(purpose, current.get(purpose)) for purpose in Purpose],
        history=[_view_decision(decision) for decision in reversed(history)],
    )


def _view_consent(purpose: Purpose, decision: Decision | None) -> ConsentView:
    return ConsentView(
        purpose=purpose,
        given=decision.given if decision else None,
        notice_version=decision.notice_version if decision else None,
        at=decision.at if decision else None,
    )


def _view_decision(decision: Decision) -> DecisionView:
    return DecisionView(
        purpose=decision.purpose, given=decision.given, notice_version=decision.notice_version, at=decision.at
    )


def view_export(export: Export, links: Links) -> ExportView:
    is_ready = export.status is ExportStatus.READY
    return ExportView(
        export_id=export.id,
        status=export.status,
        url=links.to_archive(export) if is_ready else None,
        size=export.size,
        sha256=export.sha256,
        created_at=export.created_at,
        expires_at=export.expires_at,
    )


def view_receipt(erasure: Erasure) -> ReceiptView:
    return ReceiptView(
        receipt_id=erasure.id,
        status=erasure.status,
        documents=erasure.documents,
        objects=erasure.objects,
        bytes=erasure.bytes,
        messages=erasure.messages,
        created_at=erasure.created_at,
        finished_at=erasure.finished_at,
    )
