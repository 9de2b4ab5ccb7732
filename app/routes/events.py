"""Everything that happens to a client's things, in one numbered line: streamed, over a WebSocket, or asked for."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Response, get, websocket
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter

from app.dependencies import Owner, TheHub
from app.errors import AnyRequest, language_of
from app.live import EventStream, News, tell_socket
from app.live.streams import AnySocket
from app.views import StreamedEvent, View
from app.views.events import ALIVE, frame_event, write_event
from studio.events import LARGEST_SEQ
from studio.language import Language

# The numbers of events are 64 bits wide in the database.
Since = Annotated[int | None, QueryParameter(ge=0, le=LARGEST_SEQ)]
LastEventID = Annotated[int | None, HeaderParameter(name="Last-Event-ID", ge=0, le=LARGEST_SEQ)]


class EventsView(View, frozen=True, kw_only=True):
    items: list[msgspec.Raw]
    """Each with its `type`, `data`, `timestamp` and `seq`, as over the WebSocket."""
    since: int
    """What to ask for next time."""


@get(
    "/api/v1/events",
    takes_ticket=True,
    responses={200: ResponseSpec(StreamedEvent, media_type="text/event-stream", description="The events. 事件。")},
)
async def get_events(
    owner: Owner,
    hub: TheHub,
    *,
    request: AnyRequest,
    since: Since = None,
    last_event_id: LastEventID = None,
) -> EventStream | Response[EventsView]:
    """What happens after event number `since` or `Last-Event-ID`, or from now on, as server-sent events.

    With `Accept: application/json` it is a list of what has happened so far.
    """
    language = language_of(request)
    # A browser that comes back repeats its address, and says in the header how far it has come since.
    after = since if last_event_id is None else last_event_id
    if _wants_a_list(request):
        return Response(_list(await hub.missed(owner, after=after), after or 0, language))
    return EventStream(hub.follow(owner, after=after), lambda one: one.written(frame_event, language))


@websocket("/api/v1/events", takes_ticket=True)
async def watch_events(socket: AnySocket, owner: Owner, hub: TheHub, since: Since = None) -> None:
    """The same events over a WebSocket, a message for each."""
    language = language_of(socket)
    batches = hub.follow(owner, after=since)
    await tell_socket(socket, batches, lambda one: one.written(write_event, language), ALIVE)


def _wants_a_list(request: AnyRequest) -> bool:
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/event-stream" not in accepted


def _list(news: list[News], after: int, language: Language) -> EventsView:
    items = [msgspec.Raw(one.written(write_event, language)) for one in news]
    return EventsView(items=items, since=news[-1].event.seq if news else after)
