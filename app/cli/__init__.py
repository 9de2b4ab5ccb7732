"""The `huaban` command. Each subcommand has a module of its own and is listed here."""

from __future__ import annotations

import os

import rich_click as click
from dotenv import dotenv_values

from app.cli.api import api
from app.cli.demo import demo
from app.cli.doctor import doctor
from app.cli.import_ import import_films
from app.cli.queue import queue
from app.cli.run import run
from app.cli.spend import spend
from app.cli.webhooks import webhooks
from app.cli.worker import worker


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="huaban", prog_name="huaban")
def main() -> None:
    """HuaBan (画伴): a child's drawing and spoken story become a moving picture.

    Settings come from the environment and from a .env file in the current folder.
    """
    # The settings read .env themselves. The options and the stack look at the environment, and must see the same: a
    # variable that is empty there counts as not set.
    for name, value in dotenv_values(".env").items():
        if value and not os.environ.get(name):
            os.environ[name] = value


for command in (run, demo, api, worker, queue, spend, webhooks, import_films, doctor):
    main.add_command(command)
