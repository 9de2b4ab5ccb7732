"""`huaban webhooks`: what was told to WEBHOOK_URL, and how that came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click
from rich.markup import escape

from app.cli.lines import console, words
from app.cli.queue import opened
from app.cli.reaching import reaching
from app.cli.tables import ago, print_json
from studio.deliveries import Attempt, Deliveries, Delivery, DeliveryStatus
from studio.records import CODEC

_COLOURS = {DeliveryStatus.DELIVERED: "green", DeliveryStatus.WAITING: "yellow"}


@click.command(
    help=words("列出发往 WEBHOOK_URL 的通知，新的在前。", "List what was told to WEBHOOK_URL, newest first.")
)
@click.option(
    "--status", type=click.Choice([status.value for status in DeliveryStatus]),
    help=words("只看这种状态的。", "Only those with this status."),
)  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True,
    help=words("最多列出几条。", "How many at most."),
)  # fmt: skip
@reaching
def webhooks(*, status: str | None, limit: int, as_json: bool, data: Path) -> None:
    with opened(data) as broker:
        deliveries = Deliveries(broker.database.get_collection("deliveries", codec_options=CODEC))
        found = deliveries.list_newest(status=DeliveryStatus(status) if status else None, limit=limit)
    if as_json:
        print_json([_record(delivery) for delivery in found])
    elif not found:
        console.print(words("还没有发送过通知。", "Nothing was told there."))
    for delivery in () if as_json else found:
        colour = _COLOURS.get(delivery.status, "red")
        outcomes = ", ".join(map(_outcome, delivery.attempts)) or "-"
        console.print(
            f"{escape(delivery.id)}  [{colour}]{delivery.status:<9}[/]  job.{delivery.job.status}  "
            f"{ago(delivery.created_at)}  {escape(outcomes)}"
        )


def _record(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "job": delivery.job.job_id,
        "told": f"job.{delivery.job.status}",
        "status": delivery.status,
        "created_at": delivery.created_at,
        "attempts": [
            {"at": attempt.at, "status_code": attempt.status_code, "reason": attempt.reason}
            for attempt in delivery.attempts
        ],
    }


def _outcome(attempt: Attempt) -> str:
    return str(attempt.status_code) if attempt.status_code is not None else str(attempt.reason)
