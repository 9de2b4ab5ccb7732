"""`huaban import`: films that lie in the bucket already, hung in the gallery of one client."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import rich_click as click
from pymongo.errors import PyMongoError

from app.cli.lines import complaints, console, language, words
from app.cli.reading import DATA_OF_A_RUN, data_folder, read_settings, require_owner_key
from app.identity import CLIENT_ID, SINGLE_CLIENT
from app.stack import StackError, running
from studio.errors import StudioError, describe
from studio.objects import StoreUnavailable
from studio.records import owner_of
from studio.settings import AuthMode, Settings

Counts = Counter[str]


@click.command(
    "import",
    help=words(
        "把存储桶里已有的视频登记为作品。文件留在原处；运行两次与一次相同。",
        "Make artworks of films that are in the bucket already. They stay where they are; twice is the same as once.",
    ),
)
@click.argument("prefix", default="public/videos/")
@click.option(
    "--client",
    help=words("归属的客户端标识；AUTH_MODE=single 时可省略。", "Whose they become; not with AUTH_MODE=single."),
)
@click.option("--dry-run", is_flag=True, help=words("只说明会做什么。", "Only say what would be done."))
@data_folder(DATA_OF_A_RUN)
def import_films(*, prefix: str, client: str | None, dry_run: bool, data: Path) -> None:
    with complaints():
        if not os.environ.get("MONGODB_URI"):
            os.environ.update({**running.environment(data), **os.environ})
        settings = read_settings()
        require_owner_key(settings)
        owner = _owner(settings, client)
        try:
            counts = _import(owner, prefix, dry_run=dry_run)
        except (PyMongoError, StoreUnavailable) as error:
            raise StackError(
                words(f"中途出错：{type(error).__name__}。", f"It broke off: {type(error).__name__}."),
                words("请再运行一次，会从断开的地方继续。", "Run it again: it goes on where it stopped."),
            ) from error
    _tell(counts, dry_run=dry_run)
    sys.exit(1 if counts["refused"] else 0)


def _owner(settings: Settings, client: str | None) -> str:
    """Raises UsageError unless it is clear whose the films become."""
    if client is None and settings.auth_mode is not AuthMode.SINGLE:
        raise click.UsageError(words("请用 --client 指定归属的客户端。", "Say whose they become: --client ID."))
    if client is not None and not CLIENT_ID.fullmatch(client):
        raise click.UsageError(words("--client 的格式不正确。", "--client is no client id."))
    return owner_of(client or SINGLE_CLIENT, settings.owner_key.get_secret_value())


def _import(owner: str, prefix: str, *, dry_run: bool) -> Counts:
    # Imported here, because the actors are wired by the settings of the moment.
    from actors import studio, with_thumbnail  # noqa: PLC0415
    from studio import imports  # noqa: PLC0415

    studio.prepare()
    films, counts = imports.films_below(studio, prefix), Counts()
    counts["found"] = len(films)
    for number, found in enumerate(films, start=1):
        try:
            if dry_run:
                is_new = not imports.is_imported(studio, owner, found.key)
            else:
                is_new = imports.import_film(studio, owner, found, store=with_thumbnail)
            counts["imported" if is_new else "known"] += 1
        except StudioError as error:
            counts["refused"] += 1
            _complain(number, error.symbol, describe(error.symbol, error.params, language())["message"])
        except FileNotFoundError:
            counts["refused"] += 1
            _complain(number, "NOT_FOUND", words("文件已经不在了。", "It is gone meanwhile."))
    return counts


def _complain(number: int, symbol: str, message: Any) -> None:
    """By its number, the oldest being the first: names may hold what a child has written."""
    console.print(f"[yellow]#{number}[/] {symbol}: {message}")


def _tell(counts: Counts, *, dry_run: bool) -> None:
    done = words("将登记", "to import") if dry_run else words("已登记", "imported")
    console.print(
        f"{words('找到', 'found')} {counts['found']:,} · {done} {counts['imported']:,} · "
        f"{words('此前已有', 'known before')} {counts['known']:,} · {words('不能用', 'refused')} {counts['refused']:,}"
    )
