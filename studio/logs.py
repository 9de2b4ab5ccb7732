"""Logs: one JSON object a line, with the request id, and never a child's words, ids, keys or signed URLs."""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext
from datetime import UTC, datetime

import msgspec
import structlog

# These log whole URLs, which for a presigned one is the key to the object, or the letters of what is printed.
_TALKATIVE = ("httpx", "httpcore", "botocore", "boto3", "urllib3", "s3transfer", "pymongo", "fpdf", "fontTools")


def configure_logs(level: str) -> None:
    """Send structlog and the standard library through one JSON renderer to standard error."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _where_not_what,
                structlog.processors.JSONRenderer(_json),
            ],
        )
    )
    # Nothing of this is in our lines, and looking it up costs more than writing them.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def write_line(logger: logging.Logger, event: str, **fields: object) -> None:
    """A line at level INFO, written as it is: for what is said of every request, at a tenth of the price.

    The whole way of a line is a fifth of all that a web process does for a read.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    told = {"event": event, **fields, "logger": logger.name, "level": "info", "timestamp": datetime.now(UTC)}
    line = _json(told) + "\n"
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            with handler.lock or nullcontext():
                handler.stream.write(line)
                handler.flush()


def _where_not_what(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Say where an exception came from and of what kind it is. Its message may quote what a person wrote."""
    raised = event.pop("exc_info", None)
    if raised is True:
        raised = sys.exc_info()
    if isinstance(raised, tuple):
        raised = raised[1]
    if isinstance(raised, BaseException):
        event["exception"] = type(raised).__qualname__
        event["at"] = _places(raised)
    return event


def _json(event: structlog.types.EventDict, **_options: object) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()


def _places(raised: BaseException) -> list[str]:
    places = []
    trace = raised.__traceback__
    while trace:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return places[-6:]
