"""What `huaban queue` and `huaban spend` show: tables for people, records for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import rich_click as click
from rich import box
from rich.markup import escape
from rich.table import Table

from app.cli.lines import console, words
from broker.dead_letters import DeadLetter
from broker.schedules import ScheduleState
from broker.stats import QueueStats
from studio.ledger import Spending
from studio.money import written

LONG_S = 60.0
"""Work that has waited for longer is worth a look."""
MINUTE, HOUR, DAY = 60, 3600, 86_400
Record = dict[str, Any]


def print_json(value: object) -> None:
    """Times become ISO 8601 in UTC."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=_plain), indent=2).decode())


def age(seconds: float) -> str:
    """A length of time in one unit: "3 min"."""
    if seconds < MINUTE:
        return words(f"{seconds:.0f} 秒", f"{seconds:.0f} s")
    if seconds < HOUR:
        return words(f"{seconds // MINUTE:.0f} 分钟", f"{seconds // MINUTE:.0f} min")
    if seconds < 2 * DAY:
        return words(f"{seconds // HOUR:.0f} 小时", f"{seconds // HOUR:.0f} h")
    return words(f"{seconds // DAY:.0f} 天", f"{seconds // DAY:.0f} d")


def ago(moment: datetime | None) -> str:
    passed = _since(moment)
    return words(f"{passed}前", f"{passed} ago") if moment else passed


def in_future(moment: datetime | None) -> str:
    if moment is None:
        return "-"
    left = age(max(0.0, (moment - datetime.now(UTC)).total_seconds()))
    return words(f"{left}后", f"in {left}")


def stats_record(stats: QueueStats) -> Record:
    return {
        "queue": stats.queue_name,
        "ready": stats.ready,
        "delayed": stats.delayed,
        "in_flight": stats.in_flight,
        "dead": stats.dead,
        "paused": stats.paused,
        "oldest_ready_age_s": round(stats.oldest_ready_age_s, 3),
        "is_paused": stats.is_paused,
    }


def print_stats(queues: Iterable[QueueStats]) -> None:
    table = _table(
        words("队列", "Queue"),
        numbers=[
            words("等待", "Ready"), words("延迟", "Delayed"), words("处理中", "In flight"), words("死信", "Dead"),
            words("最久等待", "Oldest"),
        ],
        last=[words("状态", "State")],
    )  # fmt: skip
    for one in queues:
        oldest = age(one.oldest_ready_age_s) if one.ready or one.oldest_ready_age_s else "-"
        table.add_row(
            escape(one.queue_name),
            f"{one.ready:,}",
            f"{one.delayed:,}",
            f"{one.in_flight:,}",
            f"[bold red]{one.dead:,}[/]" if one.dead else "0",
            f"[yellow]{oldest}[/]" if one.oldest_ready_age_s > LONG_S else oldest,
            _state(one),
        )
    console.print(table, soft_wrap=False)


def dead_record(letter: DeadLetter) -> Record:
    """What a list may show: nothing that could hold the words of a person."""
    return {
        "id": letter.message_id,
        "queue": letter.queue_name,
        "actor": letter.actor_name,
        "error": letter.error,
        "attempts": letter.attempts,
        "crashes": letter.crashes,
        "failed_at": letter.failed_at,
        "expires_at": letter.expires_at,
    }


def whole_dead_record(letter: DeadLetter) -> Record:
    """All that is known of one dead letter, for whoever asked for it."""
    return {
        **dead_record(letter),
        "reason": letter.reason,
        "traceback": letter.traceback,
        "message": letter.message.asdict() if letter.message else None,
    }


def print_dead(letters: Sequence[DeadLetter]) -> None:
    """Narrow enough for a terminal of 80 columns, and the ids whole in it: they are copied from here."""
    has_queues = len({letter.queue_name for letter in letters}) > 1
    table = _table(
        words("多久前", "Ago"),
        numbers=[words("次数", "Runs")],
        last=[
            words("步骤", "Actor"), words("错误", "Error"), *([words("队列", "Queue")] if has_queues else []),
            words("编号", "Id"),
        ],
    )  # fmt: skip
    table.columns[0].no_wrap = table.columns[-1].no_wrap = True
    for letter in letters:
        table.add_row(
            _since(letter.failed_at),
            str(letter.attempts if letter.attempts is not None else "-"),
            escape(letter.actor_name or "-"),
            f"[red]{escape(_error(letter))}[/]",
            *([escape(letter.queue_name)] if has_queues else []),
            letter.message_id,
        )
    console.print(table, soft_wrap=False)


def print_whole_dead(letter: DeadLetter) -> None:
    crashes = f" [bold red]({words(f'进程崩溃 {letter.crashes} 次', f'{letter.crashes} crashes')})[/]"
    message = letter.message
    lines = [
        (words("编号", "Id"), escape(letter.message_id)),
        (words("队列", "Queue"), escape(letter.queue_name)),
        (words("步骤", "Actor"), escape(letter.actor_name or "-")),
        (words("参数", "Arguments"), escape(_json([message.args, message.kwargs])) if message else "-"),
        (words("选项", "Options"), escape(_json(_shown(message.options))) if message else "-"),
        (words("失败于", "Failed"), f"{ago(letter.failed_at)}  {_iso(letter.failed_at)}"),
        (words("过期", "Expires"), f"{in_future(letter.expires_at)}  {_iso(letter.expires_at)}"),
        (words("次数", "Attempts"), f"{letter.attempts or '-'}{crashes if letter.crashes else ''}"),
        (words("原因", "Reason"), f"[bold red]{escape(letter.reason or '-')}[/]"),
    ]
    table = Table.grid(padding=(0, 2))
    for name, value in lines:
        table.add_row(f"[bold]{name}[/]", value)
    console.print(table, soft_wrap=False)
    if letter.traceback:
        console.print(f"\n{escape(letter.traceback.rstrip())}")


def schedule_record(schedule: ScheduleState) -> Record:
    return {
        "name": schedule.name,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "actor": schedule.actor_name,
        "queue": schedule.queue_name,
        "last_tick": schedule.last_tick,
        "next_tick": schedule.next_tick,
        "seen_at": schedule.seen_at,
        "is_watched": schedule.is_watched,
    }


def print_schedules(schedules: Iterable[ScheduleState]) -> None:
    names = [
        words("时间", "Cron"), words("时区", "Zone"), words("步骤", "Actor"), words("上次", "Last"),
        words("下次", "Next"), words("状态", "State"),
    ]  # fmt: skip
    table = _table(words("计划", "Schedule"), last=names)
    for one in schedules:
        table.add_row(
            escape(one.name),
            escape(one.cron),
            escape(one.timezone),
            escape(one.actor_name),
            ago(one.last_tick),
            in_future(one.next_tick) if one.is_watched else "-",
            words("运行中", "watched") if one.is_watched else f"[bold red]{words('无人执行', 'no worker')}[/]",
        )
    console.print(table, soft_wrap=False)


def print_spending(spending: Sequence[Spending]) -> None:
    """By day, with a sum for each currency."""
    table = _table(
        words("日期", "Day"),
        last=[words("服务", "Provider"), words("用途", "For"), words("货币", "Currency")],
        then_numbers=[
            words("调用", "Calls"), words("进行中", "Under way"), words("已结算", "Settled"),
            words("不确定", "Uncertain"),
        ],
    )  # fmt: skip
    for row in spending:
        table.add_row(
            f"{row.day:%Y-%m-%d}", escape(row.provider), escape(row.capability), escape(row.currency), *_amounts([row])
        )
    table.add_section()
    for currency in sorted({row.currency for row in spending}):
        rows = [row for row in spending if row.currency == currency]
        table.add_row(f"[bold]{words('合计', 'Sum')}[/]", "", "", escape(currency), *_amounts(rows))
    console.print(table, soft_wrap=False)
    if unpriced := sum(row.unpriced for row in spending):
        words_of_it = words(f"{unpriced:,} 次调用没有已知的价格。", f"{unpriced:,} calls have no known price.")
        console.print(f"[yellow]{words_of_it}[/]")


def _amounts(rows: Sequence[Spending]) -> list[str]:
    uncertain = written(sum(row.uncertain_micros for row in rows))
    return [
        f"{sum(row.calls for row in rows):,}",
        written(sum(row.open_micros for row in rows)),
        written(sum(row.settled_micros for row in rows)),
        f"[yellow]{uncertain}[/]" if any(row.uncertain_micros for row in rows) else uncertain,
    ]


def _table(
    first: str, *, numbers: Iterable[str] = (), last: Iterable[str] = (), then_numbers: Iterable[str] = ()
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column(first, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for name in last:
        table.add_column(name, overflow="fold")
    for name in then_numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _since(moment: datetime | None) -> str:
    return age(max(0.0, (datetime.now(UTC) - moment).total_seconds())) if moment else "-"


def _state(stats: QueueStats) -> str:
    if stats.is_paused:
        return f"[yellow]{words('已暂停', 'paused')}[/]"
    if stats.paused:
        return f"[yellow]{words(f'{stats.paused:,} 条已暂停', f'{stats.paused:,} paused')}[/]"
    return words("正常", "open")


def _error(letter: DeadLetter) -> str:
    if letter.error:
        # Without the module that it comes from, which `huaban queue dead ID` tells.
        return letter.error.rpartition(".")[2]
    return words("见详情", "see its details") if letter.reason else "-"


def _shown(options: Record) -> Record:
    """The traceback is shown apart from the other options."""
    return {name: value for name, value in options.items() if name != "traceback"}


def _json(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=_plain).decode()


def _plain(value: object) -> object:
    """The database gives large numbers a type of its own; whatever else is odd is shown as Python shows it."""
    return int(value) if isinstance(value, int) else repr(value)


def _iso(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else ""
