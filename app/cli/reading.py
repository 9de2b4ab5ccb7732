"""What a command reads before it begins: where its data is, and the settings, whose faults are told in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import rich_click as click
from pydantic import ValidationError

from app.cli.lines import words
from app.stack import StackError
from studio.settings import AuthMode, Settings

OWNER_KEY_CURE = "Set OWNER_KEY to a long random string, the same for all web processes, and keep it for good."
DATA = ".huaban"
DATA_OF_A_RUN = words(
    "`huaban run` 的数据目录；设置了 MONGODB_URI 时不用。",
    "Folder of a running `huaban run`; not looked at when MONGODB_URI is set.",
)
Command = Callable[..., None]


def data_folder(told: str) -> Callable[[Command], Command]:
    """The option `data`: the folder of the embedded stack; `told` is its help."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        default=DATA,
        show_default=True,
        envvar="HUABAN_DATA",
        help=told,
    )


def read_settings() -> Settings:
    """The settings of the environment and of .env. Raises StackError when one is not valid."""
    try:
        return Settings()
    except ValidationError as error:
        # Not the error's own text: it repeats the value, which may be a key.
        wrong = "; ".join(f"{'.'.join(map(str, row['loc'])).upper()}: {row['msg']}" for row in error.errors())
        raise StackError(
            f"Some settings are not valid ({wrong}).", "Correct them in the environment or in .env."
        ) from error


def require_owner_key(settings: Settings) -> None:
    """Raises StackError when there is no key for owner ids. The embedded stack makes one of its own."""
    if not settings.owner_key.get_secret_value():
        raise StackError("OWNER_KEY is not set, and a deployment of your own needs one.", OWNER_KEY_CURE)


def require_token_secrets(settings: Settings) -> None:
    """Raises StackError when calls are to carry tokens and there is no secret to sign them with."""
    if settings.auth_mode is AuthMode.TOKEN and not settings.token_secrets:
        raise StackError(
            "TOKEN_SECRETS is not set, and AUTH_MODE=token needs one.",
            "Set TOKEN_SECRETS to a long random string, the same for all web processes.",
        )
