"""`huaban queue`: what waits, what died, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rich_click as click
from rich.markup import escape

from app.cli import tables
from app.cli.lines import complaints, console, words
from app.cli.reaching import reached, reaching
from app.cli.reading import Command
from app.cli.tables import print_json
from app.stack import StackError
from broker import MongoBroker
from broker.dead_letters import count_dead, get_dead, list_dead, purge_dead, retry_dead
from broker.schedules import list_schedules
from broker.stats import has_busy_worker, queue_stats
from studio.settings import QUEUE_PREFIX

QUEUE = words("只看这个队列。", "Only this queue.")
ACTOR = words("只看这个步骤（actor）。", "Only this actor.")


@click.group(help=words("查看和处理消息队列。", "Look into the message queue and mend it."))
def queue() -> None:
    pass


def command(help_zh: str, help_en: str) -> Callable[[Command], click.Command]:
    """A subcommand with the options that all of them have."""

    def made(function: Command) -> click.Command:
        return queue.command(help=words(help_zh, help_en))(reaching(function))

    return made


def chosen(function: Command) -> Command:
    """The options that say which dead letters are meant."""
    everything = words("全部死信。", "All dead letters.")
    function = click.option("--all", "everything", is_flag=True, help=everything)(function)
    function = click.option("--actor", "actor_name", help=ACTOR)(function)
    function = click.option("--queue", "queue_name", help=QUEUE)(function)
    return click.argument("ids", nargs=-1, metavar="[ID]...")(function)


@command("每个队列里有多少消息在等待、运行或失败。", "Show how much waits, runs and failed in each queue.")
def stats(*, data: Path, as_json: bool) -> None:
    with opened(data) as broker:
        queues, paused, is_busy = queue_stats(broker), broker.paused(), has_busy_worker(broker)
    if as_json:
        print_json(
            {
                "queues": list(map(tables.stats_record, queues)),
                "paused": {"queues": sorted(paused.queues), "actors": sorted(paused.actors)},
                "has_busy_worker": is_busy,
            }
        )
        return
    if not queues:
        console.print(words("还没有发送过消息。", "No message was ever sent here."))
        return
    tables.print_stats(queues)
    if paused.actors:
        names = escape(", ".join(sorted(paused.actors)))
        console.print(f"[yellow]{words('已暂停的步骤', 'Paused actors')}: {names}[/]")
    if not is_busy and any(one.oldest_ready_age_s > tables.LONG_S and not one.is_paused for one in queues):
        idle = words("有消息在等待，但没有进程在处理。", "Work waits, and no worker is working on any.")
        console.print(f"[bold red]{idle}[/] {words('请启动', 'Start one')}: huaban run, huaban worker")
    if any(one.dead for one in queues):
        console.print(f"[red]{words('有死信', 'There are dead letters')}:[/] huaban queue dead")


@command("列出死信；给出编号时，显示这一条的全部内容。", "List dead letters; with an id, show that one whole.")
@click.argument("message_id", required=False, metavar="[ID]")
@click.option("--queue", "queue_name", help=QUEUE)
@click.option("--actor", "actor_name", help=ACTOR)
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True,
    help=words("最多列出几条。", "How many at most."),
)  # fmt: skip
def dead(
    *, message_id: str | None, queue_name: str | None, actor_name: str | None, limit: int, data: Path, as_json: bool
) -> None:
    if message_id is not None:
        _show_one(message_id, data, as_json=as_json)
        return
    with opened(data) as broker:
        require_queue(broker, queue_name)
        letters = list_dead(broker, queue_name, actor_name=actor_name, limit=limit)
        total = count_dead(broker, queue_name, actor_name=actor_name)
        if actor_name and not total:
            require_actor(actor_name)
    if as_json:
        print_json(list(map(tables.dead_record, letters)))
    elif not letters:
        console.print(f"[green]{words('没有死信。', 'No dead letters.')}[/]")
    else:
        tables.print_dead(letters)
        if total > len(letters):
            console.print(words(f"共 {total:,} 条，--limit 可列出更多。", f"{total:,} in all; --limit shows more."))
        console.print(
            f"{words('详情', 'Details')}: huaban queue dead ID   {words('重试', 'Again')}: huaban queue retry ID"
        )


@command("把死信重新排队：按编号、队列、步骤，或全部。", "Run dead letters again: by ids, queue or actor, or all.")
@chosen
def retry(
    *,
    ids: Sequence[str],
    queue_name: str | None,
    actor_name: str | None,
    everything: bool,
    data: Path,
    as_json: bool,
) -> None:
    require_choice(ids, queue_name, actor_name, everything=everything)
    with opened(data) as broker:
        unknown = require_known(broker, ids, queue_name, actor_name)
        retried = retry_dead(broker, ids or None, queue_name=queue_name, actor_name=actor_name, everything=everything)
    if as_json:
        print_json({"retried": retried.count, "left_dead": retried.held_back, "not_found": unknown})
    else:
        console.print(words(f"已重新排队 {retried.count:,} 条。", f"{retried.count:,} sent once more."))
        if retried.held_back:
            held = words(
                f"{retried.held_back:,} 条保留为死信：相同 unique_key 的消息正在队列中。",
                f"{retried.held_back:,} left dead: a living message has their unique_key.",
            )
            console.print(f"[yellow]{held}[/]")
    _end_with(unknown)


@command("永久删除死信：按编号、队列、步骤，或全部。", "Remove dead letters for good: by ids, queue or actor, or all.")
@chosen
@click.option("--yes", is_flag=True, help=words("不再询问。", "Do not ask."))
def purge(
    *,
    ids: Sequence[str],
    queue_name: str | None,
    actor_name: str | None,
    everything: bool,
    yes: bool,
    data: Path,
    as_json: bool,
) -> None:
    require_choice(ids, queue_name, actor_name, everything=everything)
    if as_json and not yes:
        raise click.UsageError(words("--json 需要 --yes。", "--json needs --yes: nobody is there to be asked."))
    with opened(data) as broker:
        unknown = require_known(broker, ids, queue_name, actor_name)
        count = len(ids) - len(unknown) if ids else count_dead(broker, queue_name, actor_name=actor_name)
        if count and not yes:
            click.confirm(words(f"永久删除 {count:,} 条死信？", f"Remove {count:,} dead letters for good?"), abort=True)
        purged = purge_dead(broker, ids or None, queue_name=queue_name, actor_name=actor_name, everything=everything)
    if as_json:
        print_json({"purged": purged, "not_found": unknown})
    else:
        console.print(words(f"已删除 {purged:,} 条。", f"{purged:,} removed."))
    _end_with(unknown)


@command(
    "暂停一个队列或步骤：消息留在队列里，直到恢复。", "Pause a queue or an actor: its messages wait until resumed."
)
@click.option("--queue", "queue_name", help=words("队列名。", "The queue."))
@click.option("--actor", "actor_name", help=words("步骤名（actor）。", "The actor."))
def pause(*, queue_name: str | None, actor_name: str | None, data: Path, as_json: bool) -> None:
    require_one(queue_name, actor_name)
    with opened(data) as broker:
        if queue_name is not None:
            require_queue(broker, queue_name)
            broker.pause(queue=queue_name)
        else:
            require_actor(str(actor_name))
            broker.pause(actor=actor_name)
        paused = broker.paused()
    name = queue_name or actor_name
    _tell_paused(
        paused, as_json, words(f"{name} 已暂停。正在运行的会做完。", f"{name} is paused. What runs is finished.")
    )


@command("恢复一个队列或步骤。", "Resume a queue or an actor.")
@click.option("--queue", "queue_name", help=words("队列名。", "The queue."))
@click.option("--actor", "actor_name", help=words("步骤名（actor）。", "The actor."))
def resume(*, queue_name: str | None, actor_name: str | None, data: Path, as_json: bool) -> None:
    require_one(queue_name, actor_name)
    with opened(data) as broker:
        before = broker.paused()
        if queue_name is not None and queue_name not in before.queues:
            require_queue(broker, queue_name)
        if actor_name is not None and actor_name not in before.actors:
            require_actor(actor_name)
        broker.resume(queue=queue_name) if queue_name is not None else broker.resume(actor=actor_name)
        paused = broker.paused()
    name = queue_name or actor_name
    if paused == before:
        _tell_paused(paused, as_json, words(f"{name} 没有暂停。", f"{name} was not paused."))
    else:
        _tell_paused(paused, as_json, words(f"{name} 已恢复。", f"{name} goes on."))


@command("列出定时计划：上次和下次运行的时间。", "List the schedules, with their last and next times.")
def schedules(*, data: Path, as_json: bool) -> None:
    with opened(data) as broker:
        found = list_schedules(broker)
    if as_json:
        print_json(list(map(tables.schedule_record, found)))
    elif not found:
        console.print(words("没有定时计划。", "No worker has declared a schedule."))
    else:
        tables.print_schedules(found)


@contextmanager
def opened(data: Path) -> Iterator[MongoBroker]:
    """The broker of the deployment, with the queues that are stored there; what goes wrong ends the command.

    Not the one of the actors: what is wrong with a provider must not keep anybody from the queue.
    """
    with reached(data) as (database, _):
        broker = MongoBroker(database=database, collection_prefix=QUEUE_PREFIX, middleware=[])
        for name in database.list_collection_names():
            prefix, _, queue_name = name.partition("_")
            if prefix == QUEUE_PREFIX and not queue_name.startswith("dramatiq_"):
                broker.declare_queue(queue_name)
        yield broker


def require_choice(ids: Sequence[str], queue_name: str | None, actor_name: str | None, *, everything: bool) -> None:
    """Raises UsageError unless ids, or a queue and an actor, or everything is chosen."""
    choices = [bool(ids), queue_name is not None or actor_name is not None, everything]
    if choices.count(True) != 1:
        raise click.UsageError(
            words("请指定编号，或 --queue / --actor，或 --all。", "Say which: ids, or --queue and --actor, or --all.")
        )


def require_one(queue_name: str | None, actor_name: str | None) -> None:
    if (queue_name is None) == (actor_name is None):
        raise click.UsageError(words("请指定 --queue 或 --actor 之一。", "Say which: --queue or --actor."))


def require_known(broker: MongoBroker, ids: Sequence[str], queue_name: str | None, actor_name: str | None) -> list[str]:
    """Those of the ids that belong to no dead letter. Raises StackError for an unknown queue or actor."""
    require_queue(broker, queue_name)
    if actor_name is not None and not count_dead(broker, queue_name, actor_name=actor_name):
        require_actor(actor_name)
    return [message_id for message_id in ids if get_dead(broker, message_id) is None]


def require_queue(broker: MongoBroker, queue_name: str | None) -> None:
    """Raises StackError when no such queue is stored or declared."""
    if queue_name is None or queue_name in broker.queues:
        return
    declared = _declared()
    if declared and queue_name in declared.get_declared_queues():
        broker.declare_queue(queue_name)
        return
    known = sorted({*broker.queues, *(declared.get_declared_queues() if declared else ())})
    raise StackError(words(f"没有名为 {queue_name!r} 的队列。", f"There is no queue {queue_name!r}."), _one_of(known))


def require_actor(actor_name: str) -> None:
    """Raises StackError when no actor has this name."""
    declared = _declared()
    if declared and actor_name not in declared.actors:
        raise StackError(
            words(f"没有名为 {actor_name!r} 的步骤。", f"There is no actor {actor_name!r}."),
            _one_of(sorted(declared.actors)),
        )


def _declared() -> MongoBroker | None:
    """The product's own broker, for the names in it; None where the product cannot be loaded."""
    try:
        from actors import broker  # noqa: PLC0415 (it takes a second, and most commands can do without)
    except Exception:  # noqa: BLE001 (a provider without its key, for example; the queue must be mendable then, too)
        return None
    return broker


def _show_one(message_id: str, data: Path, *, as_json: bool) -> None:
    with opened(data) as broker:
        letter = get_dead(broker, message_id)
        if letter is None:
            raise StackError(_no_letter(message_id), _list_them())
    if as_json:
        print_json(tables.whole_dead_record(letter))
    else:
        tables.print_whole_dead(letter)
        console.print(f"\n{words('重试', 'Again')}: huaban queue retry {letter.message_id}")


def _end_with(unknown: Sequence[str]) -> None:
    if unknown:
        with complaints():
            raise StackError(_no_letter(", ".join(unknown)), _list_them())


def _no_letter(message_id: str) -> str:
    return words(f"没有编号为 {message_id} 的死信。", f"No dead letter has the id {message_id}.")


def _list_them() -> str:
    return words("列出死信：huaban queue dead", "List them with: huaban queue dead")


def _one_of(names: Sequence[str]) -> str:
    known = ", ".join(names) or "-"
    return words(f"已知的有：{known}。", f"Choose one of: {known}.")


def _tell_paused(paused: Any, as_json: bool, line: str) -> None:  # noqa: FBT001 (handed through)
    if as_json:
        print_json({"paused": {"queues": sorted(paused.queues), "actors": sorted(paused.actors)}})
    else:
        console.print(escape(line))
