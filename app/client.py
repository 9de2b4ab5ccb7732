"""A client of the public HTTP API, as the demo, the benches and the tests use it; it knows nothing of the inside."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

Json = dict[str, Any]

MIME_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".webm": "audio/webm",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
}
_TOKEN_WANTED = {"TOKEN_REQUIRED", "TOKEN_EXPIRED"}
FINAL = {"succeeded", "failed", "needs_attention", "canceled"}


class Refused(Exception):
    """The API answered with a problem; `problem` is its body."""

    def __init__(self, problem: Json) -> None:
        super().__init__(f"{problem.get('message')} {problem.get('nextStep')} ({problem.get('code')})")
        self.problem = problem


class Client:
    """One client id at one deployment."""

    def __init__(self, base_url: str, client_id: str, *, language: str = "en") -> None:
        headers = {"X-Client-Id": client_id, "Accept-Language": language}
        self._api = httpx.Client(
            base_url=base_url, headers=headers, auth=_Token(base_url, client_id), timeout=30, verify=_trusted()
        )
        # The addresses of media carry their own authority and lead to another host: no header of ours goes there.
        self._bucket = httpx.Client(timeout=60, verify=_trusted(), follow_redirects=True)
        self._given_up = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._api.close()
        self._bucket.close()

    def get(self, path: str, **params: Any) -> Json:
        return _body(self._api.get(path, params=params))

    def post(self, path: str, body: Json | None = None) -> Json:
        return _body(self._api.post(path, json=body or {}))

    def upload(self, path: Path, kind: str, *, artwork_id: str | None = None) -> Json:
        """Presign, put and commit one file; the media asset that came of it.

        `artwork_id` is of the artwork it is for: an existing one, or the id that an earlier upload was given.
        """
        content = path.read_bytes()
        mime = MIME_TYPES.get(path.suffix.lower(), "application/octet-stream")
        door = self.post("/upload/presign", {"type": kind, "mime": mime, "size": len(content), "artworkId": artwork_id})
        stored = self._bucket.put(door["url"], content=content, headers=door["headers"])
        if stored.status_code >= 400:
            raise Refused({"code": "UPLOAD_REFUSED", "message": f"The bucket answered {stored.status_code}."})
        return self.post("/media/commit", {"key": door["key"], "etag": stored.headers["etag"], "size": len(content)})

    def give_up(self) -> None:
        """From another thread: a watch whose stream breaks from now on ends with that error."""
        self._given_up.set()

    def watch(self, job_id: str, *, patience_s: float = 900) -> Iterator[Json]:
        """The events of a job up to its end; a stream that breaks is taken up where it broke."""
        last, ended, give_up_at = "0", False, time.monotonic() + patience_s
        while time.monotonic() < give_up_at:
            try:
                with self._api.stream(
                    "GET", f"/generation/jobs/{job_id}/events", headers={"Last-Event-ID": last}, timeout=60
                ) as answer:
                    if answer.status_code >= 400:
                        answer.read()
                        _body(answer)
                    for field, value in _fields(answer):
                        if field == "id":
                            last = value
                        elif field == "data" and value:
                            event = json.loads(value)
                            # A job that was retried has ended before; only the end of the stream is the end.
                            ended = event["status"] in FINAL
                            yield event
                if ended:
                    return
            except httpx.TransportError:
                if self._given_up.wait(1):
                    raise
        raise TimeoutError(f"no end of the job after {patience_s:.0f} s")

    def download(self, url: str, target: Path) -> None:
        with self._bucket.stream("GET", url) as answer, target.open("wb") as file:
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                file.write(chunk)


class _Token(httpx.Auth):
    """Asks for a token when the first call is refused for want of one, or for its age."""

    def __init__(self, base_url: str, client_id: str) -> None:
        self._init = httpx.Request("POST", f"{base_url}/init", headers={"X-Client-Id": client_id})
        self._token = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        answer = yield request
        if answer.status_code == 401 and json.loads(answer.read())["code"] in _TOKEN_WANTED:
            told = yield self._init
            self._token = json.loads(told.read()).get("token", "")
            if self._token:
                request.headers["Authorization"] = f"Bearer {self._token}"
                yield request


@cache
def _trusted() -> ssl.SSLContext:
    """The authorities to trust. Reading them takes longer than most calls, so all clients share them."""
    return httpx.create_ssl_context()


def _fields(answer: httpx.Response) -> Iterator[tuple[str, str]]:
    for line in answer.iter_lines():
        field, _, value = line.partition(":")
        yield field, value.strip()


def _body(answer: httpx.Response) -> Json:
    body: Json = answer.json()
    if answer.status_code >= 400:
        raise Refused(body)
    return body
