"""Where services say that something has changed. They name no client; each says who it is by what it signs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from anyio import to_thread
from litestar import post
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath

from actors import callbacks
from app.callbacks import TASKS
from app.dependencies import TheCallbackChecks
from app.errors import AnyRequest
from app.limits import Calls
from app.openapi import refusals
from app.views import View
from studio.callbacks import PATH, Callback
from studio.errors import StudioError

log = structlog.get_logger("app")

BODY_MAX_BYTES = 1024 * 1024
_REFUSALS = ("WEBHOOK_MALFORMED", "WEBHOOK_REFUSED", "BODY_TOO_LARGE", "INVALID_JSON", "DATABASE_UNAVAILABLE")


class ReceivedView(View, frozen=True, kw_only=True):
    received: bool
    """Whatever came of it: a callback that is late or sent once more is no mistake of its sender."""


@dataclass
class TaskOperation(Operation):
    """How the API's description shows plan 004's body: what was signed is the bytes, so the handler reads those."""

    def __post_init__(self) -> None:
        text, number = Schema(type=OpenAPIType.STRING), Schema(type=OpenAPIType.INTEGER, minimum=1)
        body = Schema(
            type=OpenAPIType.OBJECT,
            properties={
                "task_id": text,
                "status": text,
                "attempt": number,
                "result": Schema(type=OpenAPIType.OBJECT),
                "signature": text,
            },
            required=["task_id", "status"],
        )
        example = {
            "task_id": "w5RbM1yDQ0uFz3sGkP8vCg",
            "status": "succeeded",
            "attempt": 1,
            "result": {},
            "signature": "t=1795361400,v1=7897d294ca08d0fda7593c385309214bf8baf1736df4fc10ab1eae5f8a0c47d3",
        }
        self.request_body = RequestBody({"application/json": OpenAPIMediaType(body, example=example)}, required=True)


@dataclass
class CallbackOperation(Operation):
    """The body is whatever the provider sends."""

    def __post_init__(self) -> None:
        media_type = OpenAPIMediaType(Schema(type=OpenAPIType.OBJECT), example={"id": "cgt-2026", "status": "running"})
        self.request_body = RequestBody({"application/json": media_type}, required=True)


@post(
    f"{PATH}/{TASKS}",
    status_code=200,
    request_max_body_size=BODY_MAX_BYTES,
    operation_class=TaskOperation,
    counted_as=Calls.CALLBACKS,
    responses=refusals(*_REFUSALS, "WEBHOOK_NOT_CONFIGURED"),
)
async def complete_task(callback_checks: TheCallbackChecks, *, request: AnyRequest) -> ReceivedView:
    """Say that a task is complete, or has changed: it is looked for at once, and nothing else of what is said counts.

    Signed as by Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`) with a secret of
    TASK_WEBHOOK_SECRETS. Or, without those headers, in the body: `signature` is `t=<seconds>,v1=<hex>`, the HMAC-SHA256
    of `<seconds>.<task_id>`, `attempt` (1 where it is left out) and `status`, with line feeds between these three.
    `task_id` is the idempotency key of the call, or the sender's own id for it.
    """
    callback_checks.expect_tasks()
    return await _receive(request, lambda body: callback_checks.of_task(request.headers, body))


@post(
    f"{PATH}/{{provider:str}}/{{token:str}}",
    status_code=200,
    request_max_body_size=BODY_MAX_BYTES,
    operation_class=CallbackOperation,
    counted_as=Calls.CALLBACKS,
    responses=refusals(*_REFUSALS, "PROVIDER_UNAVAILABLE"),
)
async def receive_callback(
    provider: FromPath[str], token: FromPath[str], callback_checks: TheCallbackChecks, *, request: AnyRequest
) -> ReceivedView:
    """Say that a call has changed, as its provider, at the address that the provider was given with the call.

    What the provider signs has to be right. All that comes of it is that the call is looked at now.
    """
    callback_checks.submission_of(provider, token)
    return await _receive(request, lambda body: callback_checks.of_provider(provider, token, request.headers, body))


async def _receive(request: AnyRequest, check: Callable[[bytes], Callback]) -> ReceivedView:
    if "content-encoding" in request.headers:
        # What was signed, and how large it is, are both said of the bytes as they come.
        raise StudioError("WEBHOOK_MALFORMED")
    body = await request.body()
    # In a thread: a megabyte is hashed, keys may be fetched, and the effect is a transaction.
    await to_thread.run_sync(_take, check, body)
    return ReceivedView(received=True)


def _take(check: Callable[[bytes], Callback], body: bytes) -> None:
    callback = check(body)
    effect = callbacks.take(callback)
    log.info("callback", sender=callback.sender, effect=effect, sha256=hashlib.sha256(body).hexdigest())
