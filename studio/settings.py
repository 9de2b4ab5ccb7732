"""Every setting of the product, read once from the environment (and `.env`) and handed to constructors."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, PrivateAttr, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from studio.money import Amounts, parse_amounts
from studio.signatures import read_secret

MEGABYTE = 1_000_000
QUEUE_PREFIX = "queue"
"""What the names of the queues' collections begin with."""


_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>(?:[a-z0-9._-]+|\[[0-9a-f:.]+])(?::\d{1,5})?)/?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

TOKEN_SECRET_MIN_BYTES = 32
"""HS256 is as strong as its secret up to this length."""


class AppMode(StrEnum):
    PRODUCTION = "production"
    DEV = "dev"
    """Any page may call, as often as it likes. Whose things are whose, presigning and validation stay as they are."""


class AuthMode(StrEnum):
    CLIENT = "client"
    """Every call names its client in `X-Client-Id`."""
    SINGLE = "single"
    """The header may be left out; such calls share one default client. For one family on one machine."""
    TOKEN = "token"  # noqa: S105 (the name of a mode)
    """`POST /init` takes the client id and returns a signed token; every other call carries that."""


class MediaDelivery(StrEnum):
    REDIRECT = "redirect"
    """Browsers are sent on to a presigned address of the bucket."""
    STREAM = "stream"
    """The web process passes the bytes on: for a bucket that browsers cannot reach."""


Secrets = Annotated[tuple[SecretStr, ...], NoDecode]
Preferences = Annotated[tuple[str, ...], NoDecode]
"""Names, the preferred one first."""


def _variables() -> dict[str, str]:
    """The environment over the `.env` file, as the settings themselves are read; what is empty counts as not set."""
    return {name: value for name, value in {**dotenv_values(".env"), **_set(os.environ)}.items() if value}


def _set(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if value}


class Settings(BaseSettings):
    """Field names are the environment variables in lower case. Sizes are bytes, durations name their unit."""

    # A variable that is empty counts as not set: `FFMPEG=` in a .env, or an empty PORT over the one in it.
    # What was given is not repeated in an error: among it are secrets.
    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    mongodb_uri: str = "mongodb://127.0.0.1:27017/?replicaSet=rs0"
    mongodb_db: str = "huaban"

    s3_endpoint: str = "http://127.0.0.1:9000"
    """Where web and workers reach the bucket."""
    s3_public_endpoint: str = ""
    """Where browsers reach the bucket; presigned URLs carry it. Empty: the same as `s3_endpoint`."""
    s3_region: str = "us-east-1"
    s3_bucket: str = "huaban-media"
    s3_access_key_id: str = "huaban"
    s3_secret_access_key: SecretStr = SecretStr("")
    s3_force_path_style: bool = True
    s3_front: bool = False
    """The web process forwards `/<bucket>/...` to `s3_endpoint`: the embedded stack's one origin."""
    presign_expires_s: int = Field(default=600, ge=1, le=7 * 24 * 3600)

    media_delivery: MediaDelivery = MediaDelivery.REDIRECT
    proxied_upload_max_bytes: int = 10 * MEGABYTE
    """Of a file that comes through the web process instead of going to the bucket."""

    public_url: str = ""
    """Where callers reach the web process; the addresses of media in answers begin with it. Empty: as they called."""
    host: str = "127.0.0.1"
    port: int = Field(default=8080, validation_alias=AliasChoices("PORT", "SERVER_PORT"))
    app_mode: AppMode = Field(
        default=AppMode.PRODUCTION, validation_alias=AliasChoices("APP_MODE", "NODE_ENV"), validate_default=True
    )
    auth_mode: AuthMode = AuthMode.CLIENT
    owner_key: SecretStr = SecretStr("")
    """Keys the hash that turns a client id into an owner id; the web process does not start without one. Changing it
    orphans everything stored."""
    token_secrets: Secrets = ()
    """Comma separated. The first signs tokens, all verify them: put a new one in front, and drop the old one once its
    last token has expired."""
    token_expires_s: int = Field(default=24 * 3600, ge=60)
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Comma separated `https://host[:port]`: pages elsewhere that may call this API, and upload to the bucket."""
    trusted_proxies: int = Field(default=0, ge=0)
    """How many proxies in front of the web process append to `X-Forwarded-For` and set `X-Forwarded-Proto`. Naming more
    than there are lets callers choose the address that they are counted under."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"

    worker_processes: int = Field(default=1, ge=1)
    worker_threads: int = Field(default=8, ge=1)

    video_provider: Preferences = ("local",)
    """Who makes films, comma separated: the first that can is asked. A later one is asked where an earlier one surely
    did not accept; so is `local`, where it is in the list."""
    llm_provider: Preferences = ("local",)
    """Who tidies stories and reads drawings."""
    asr_provider: Preferences = ("local",)
    """Who writes down what a child tells; `local` cannot."""
    image_provider: Preferences = ("local",)
    """Who paints pictures."""
    tts_provider: Preferences = ("local",)
    """Who speaks."""
    provider_cards: Path = Path("provider-cards")
    """A folder with changes of the providers' cards: prices, limits, models that are newer than this version."""
    fall_back_after_s: float = Field(default=60.0, ge=0)
    """How long a provider that does not answer is waited for before the next one of the list is asked."""
    give_up_after_s: float = Field(default=3600.0, ge=0)
    """How long a step waits for providers that do not answer, where there is no other one."""

    spend_cap_day: Annotated[Amounts, NoDecode] = {}
    """What this deployment may spend in a day in UTC, as "CNY 50, USD 7.5"; empty sets no cap. A currency that a cap
    does not name may not be spent at all."""
    spend_cap_client_day: Annotated[Amounts, NoDecode] = {}
    """What one client may."""
    spend_cap_total: Annotated[Amounts, NoDecode] = {}
    """What this deployment may ever spend."""

    limit_changes_per_minute: int = Field(default=120, ge=1)
    """What one client may change; an address, which families may share, `limit_address_factor` times as much."""
    limit_uploads_per_minute: int = Field(default=120, ge=1)
    """Presigns, commits and proxied uploads: two for each file."""
    limit_jobs_per_hour: int = Field(default=60, ge=1)
    """Films, analyses, exports and printed reports."""
    limit_address_factor: int = Field(default=5, ge=1)
    limit_callbacks_per_minute: int = Field(default=3000, ge=1)
    """Of one address: a service calls back from few."""

    task_webhook_secrets: Secrets = ()
    """Comma separated `whsec_<base64>`: who may call /api/webhook/task_complete. Without any, nobody may."""
    webhook_url: str = ""
    """Where the end of every job is told. Empty: nowhere."""
    webhook_secrets: Secrets = ()
    """Comma separated `whsec_<base64>`. What is told is signed with each of them."""

    image_max_bytes: int = 20 * MEGABYTE
    image_max_pixels: int = 50_000_000
    audio_max_bytes: int = 20 * MEGABYTE
    audio_max_seconds: int = 180
    video_max_bytes: int = 200 * MEGABYTE
    poll_every_s: float = 5.0

    retain_uploads_hours: int = Field(default=24, ge=1)
    """How long an upload waits for its commit."""
    retain_failed_days: int = Field(default=7, ge=2)
    """How long the record of a job that failed is kept, and media that no artwork came to use."""
    retain_deleted_days: int = Field(default=30, ge=1)
    """How long a deleted artwork can be restored."""
    retain_inactive_months: int = Field(default=12, ge=0)
    """A client who was not here for so long is erased; 0 means never."""
    recordings: str = Field(default="keep", pattern=r"^(keep|days:[1-9]\d{0,3}|transcribe_then_delete)$")
    """How long recordings are kept: with their artworks, for a number of days, or until they are written down."""

    ffmpeg: Path | None = None
    """An FFmpeg of your own; otherwise the one in the imageio-ffmpeg wheel, then the one on PATH."""

    _variables: dict[str, str] = PrivateAttr(default_factory=_variables)

    def variable(self, name: str) -> str:
        """An environment variable that a provider's card names: a key, an address, a model. "" when it is not set."""
        # A key that was read from a file has the end of its line with it.
        return self._variables.get(name, "").strip()

    @field_validator("public_url")
    @classmethod
    def _without_last_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("app_mode", mode="before")
    @classmethod
    def _as_node_says_it(cls, mode: object) -> object:
        return {"development": AppMode.DEV, "test": AppMode.PRODUCTION}.get(str(mode), mode)

    @field_validator(
        "video_provider",
        "llm_provider",
        "asr_provider",
        "image_provider",
        "tts_provider",
        "token_secrets",
        "task_webhook_secrets",
        "webhook_secrets",
        "allowed_origins",
        mode="before",
    )
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("spend_cap_day", "spend_cap_client_day", "spend_cap_total", mode="before")
    @classmethod
    def _as_amounts(cls, value: object) -> object:
        return parse_amounts(value) if isinstance(value, str) else value

    @field_validator("token_secrets")
    @classmethod
    def _long_enough(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(secret.get_secret_value().encode()) < TOKEN_SECRET_MIN_BYTES for secret in secrets):
            raise ValueError(f"each secret needs at least {TOKEN_SECRET_MIN_BYTES} bytes")
        return secrets

    @field_validator("task_webhook_secrets", "webhook_secrets")
    @classmethod
    def _of_webhooks(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in secrets:
            read_secret(secret.get_secret_value())
        return secrets

    @field_validator("webhook_url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", url):
            raise ValueError("this is no address of a web server, or it has a password in it")
        return url

    @model_validator(mode="after")
    def _with_secrets(self) -> Self:
        if self.webhook_url and not self.webhook_secrets:
            raise ValueError(
                "WEBHOOK_URL needs WEBHOOK_SECRETS: nobody could tell what is told there from an invention"
            )
        return self

    @field_validator("allowed_origins")
    @classmethod
    def _as_browsers_say_it(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_origin(url) for url in origins)

    def model_post_init(self, _context: Any, /) -> None:
        if not self.s3_public_endpoint:
            object.__setattr__(self, "s3_public_endpoint", self.s3_endpoint)

    @property
    def origins(self) -> frozenset[str]:
        """Of the pages that may call this API, its own among them as far as that is known."""
        own = _ORIGIN.match(self.public_url.lower())
        return frozenset(self.allowed_origins) | ({_origin(own[0])} if own else set())


def _origin(text: str) -> str:
    """An origin in the form that browsers send. Raises ValueError for anything else than scheme, host and port."""
    match = _ORIGIN.fullmatch(text.lower())
    if match is None:
        raise ValueError("an origin is https://host or https://host:port, without a path")
    return f"{match['scheme']}://{match['host'].removesuffix(_DEFAULT_PORTS.get(match['scheme'], ' '))}"


@cache
def settings() -> Settings:
    """The settings of this process."""
    return Settings()
