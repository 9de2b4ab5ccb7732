"""Telling watchers what happens: one change stream per web process, fanned out from memory."""

from app.live.hub import Hub
from app.live.news import News
from app.live.streams import EventStream, tell_socket

__all__ = ["EventStream", "Hub", "News", "tell_socket"]
