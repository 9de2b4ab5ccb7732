"""`POST /api/v1/tickets`: streams are opened by browsers, which send no header of ours along."""

from __future__ import annotations

from litestar import post

from app.dependencies import Owner, TheTokens
from app.tokens import TICKET_EXPIRES_S
from app.views import View


class TicketView(View, frozen=True, kw_only=True):
    ticket: str
    """For `?ticket=` of a stream of events, and of nothing else."""
    expires_in_s: int


@post("/api/v1/tickets", status_code=201, sync_to_thread=False)
def create_ticket(owner: Owner, tokens: TheTokens) -> TicketView:
    """Get a short-lived ticket that opens a stream of events in place of a header."""
    return TicketView(ticket=tokens.issue_ticket(owner).text, expires_in_s=TICKET_EXPIRES_S)
