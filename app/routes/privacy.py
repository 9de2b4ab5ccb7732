"""A client's own data as such: what is kept and why, consents, taking everything along, erasing everything."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from anyio import to_thread
from litestar import Response, delete, get, post, put
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Meta
from pymongo.client_session import ClientSession

from actors import send_erasure, send_export
from app.dependencies import Owner, TheLinks, TheStudio
from app.errors import AnyRequest, language_of
from app.limits import Calls
from app.openapi import refusals
from app.payloads import Payload
from app.views import (
    ConsentsView,
    ExportView,
    Links,
    NoticeView,
    ReceiptView,
    view_consents,
    view_export,
    view_notice,
    view_receipt,
)
from broker import run_in_transaction
from studio.consents import Purpose
from studio.erasures import Erasure
from studio.errors import StudioError
from studio.exports import Export, ExportStatus
from studio.privacy_notice import notice, version
from studio.studio import Studio

EXPORT = "/api/v1/privacy/export"


class ConsentDecision(Payload, frozen=True, kw_only=True):
    purpose: Purpose
    given: bool


class ConsentsUpdate(Payload, frozen=True, kw_only=True):
    notice_version: Annotated[str, Meta(min_length=1, max_length=40)]
    """Of the notice that was on the screen."""
    decisions: Annotated[list[ConsentDecision], Meta(min_length=1, max_length=len(Purpose))]
    """What is left out stays as it was."""


@get("/api/v1/privacy/notice")
async def get_privacy_notice(studio: TheStudio, request: AnyRequest) -> NoticeView:
    """What this deployment keeps, why, for how long, and who else sees it. For everybody, without a client id."""
    return view_notice(notice(studio.settings, language_of(request)))


@get("/api/v1/privacy/consents")
async def get_consents(owner: Owner, studio: TheStudio) -> ConsentsView:
    """What the client has agreed to, and every decision that led there."""
    return view_consents(await studio.consents.get(owner))


@put("/api/v1/privacy/consents", responses=refusals("NOTICE_CHANGED"))
async def update_consents(data: JSONBody[ConsentsUpdate], owner: Owner, studio: TheStudio) -> ConsentsView:
    """Record what the client agrees to or withdraws. It is a record: nothing is turned off by it."""
    if data.notice_version != version(studio.settings):
        raise StudioError("NOTICE_CHANGED")
    decisions = {decision.purpose: decision.given for decision in data.decisions}
    decide = partial(studio.consents.decide, owner, decisions, notice_version=data.notice_version)
    return view_consents(await to_thread.run_sync(decide))


@get(
    EXPORT,
    counted_as=Calls.CHANGES,
    responses={202: ResponseSpec(ExportView, description="It is being prepared. 正在准备。")},
)
async def get_export(owner: Owner, studio: TheStudio, links: TheLinks) -> Response[ExportView]:
    """The newest export of everything that is kept of the client; where there is none, one is begun."""
    export = await studio.exports.get_newest(owner)
    if export is None:
        export = await to_thread.run_sync(_begin_export, studio, owner)
    return _export_answer(export, links)


@post(EXPORT, status_code=202, counted_as=Calls.JOBS)
async def start_export(owner: Owner, studio: TheStudio, links: TheLinks) -> Response[ExportView]:
    """Begin a new export. One that is being prepared is not begun again; an older one goes when this one is ready."""
    return _export_answer(await to_thread.run_sync(_begin_export, studio, owner), links)


@delete("/api/v1/privacy/data", status_code=202, sync_to_thread=True, is_sighting=False)
def erase_data(owner: Owner, studio: TheStudio) -> Response[ReceiptView]:
    """Erase everything of the client, for good. The receipt tells how far that is, and names nobody."""

    def store(session: ClientSession) -> Erasure:
        erasure = studio.erasures.open(owner, session=session)
        send_erasure(erasure)
        return erasure

    erasure = run_in_transaction(studio.client, store)
    headers = {"Location": f"/api/v1/privacy/receipts/{erasure.id}"}
    return Response(view_receipt(erasure), status_code=202, headers=headers)


@get("/api/v1/privacy/receipts/{receipt_id:str}")
async def get_receipt(receipt_id: FromPath[str], studio: TheStudio) -> ReceiptView:
    """How far an erasure is. Whoever has the receipt may ask: the client itself is nobody any more."""
    erasure = await studio.erasures.get(receipt_id)
    if erasure is None:
        raise StudioError("NOT_FOUND")
    return view_receipt(erasure)


def _begin_export(studio: Studio, owner: str) -> Export:
    def store(session: ClientSession) -> Export:
        export = studio.exports.open(owner, session=session)
        send_export(export)
        return export

    return run_in_transaction(studio.client, store)


def _export_answer(export: Export, links: Links) -> Response[ExportView]:
    status = 202 if export.status is ExportStatus.PREPARING else 200
    headers = {"Location": EXPORT} if status == 202 else {}
    return Response(view_export(export, links), status_code=status, headers=headers)
