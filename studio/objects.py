"""Bytes in S3: a private bucket, presigned doors, and keys that say whose work they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import boto3
import msgspec
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from studio.errors import NotNow
from studio.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# One stream per transfer: the files are small, and a thread pool per call costs more than it brings.
_TRANSFER = TransferConfig(use_threads=False)

MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchBucket"}
# Refusals that are about the deployment, its keys and its pace, and never about the object that was asked for.
_NOT_NOW_STATUS = {401, 403, 429}


class ObjectHead(msgspec.Struct, frozen=True):
    etag: str
    """Without the quotes."""
    size: int
    mime: str


class StoreUnavailable(NotNow):
    """The object store does not answer, answers with a fault of its own, or does not let this deployment in."""


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, Boto3Error) as error:
        # Boto3Error: transfers wrap what the client below them raised.
        raise StoreUnavailable(type(error).__name__) from error
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500 or status in _NOT_NOW_STATUS:
            raise StoreUnavailable(f"HTTP {status}") from error
        raise


class ObjectStore:
    """The bucket of one deployment. Raises StoreUnavailable when it cannot be reached."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.bucket = settings.s3_bucket
        self._client = _client(settings, settings.s3_endpoint)
        self._public = _client(settings, settings.s3_public_endpoint)

    def ensure_bucket(self) -> None:
        """Create the bucket when it is missing; private, as S3 makes them."""
        with _store_errors():
            try:
                self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] not in MISSING:
                    raise
                self._create_bucket()

    def _create_bucket(self) -> None:
        # S3 wants the region named, unless it is the one that had a name before there were regions.
        region = self._settings.s3_region
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self._client.create_bucket(Bucket=self.bucket, **where)  # type: ignore[arg-type]  # any region's name
        except ClientError as error:
            # Ten processes may start at once.
            if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
                raise

    def ping(self) -> None:
        """Return when the bucket is there and answers a signed request."""
        with _store_errors():
            try:
                self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING:
                    raise StoreUnavailable("the bucket is missing") from error
                raise

    def presign_put(self, key: str, *, mime: str, size: int) -> str:
        """A URL that takes exactly `size` bytes of exactly this type, by PUT, for `presign_expires_s`."""
        return self._public.generate_presigned_url(
            "put_object",
            Params={"Bucket": self.bucket, "Key": key, "ContentType": mime, "ContentLength": size},
            ExpiresIn=self._settings.presign_expires_s,
        )

    def presign_get(self, key: str, *, mime: str) -> str:
        """A URL that reads the object for `presign_expires_s`. The type is signed in, for stores that forget it."""
        return self._public.generate_presigned_url(
            "get_object",
            Params={"Bucket": self.bucket, "Key": key, "ResponseContentType": mime},
            ExpiresIn=self._settings.presign_expires_s,
        )

    def head(self, key: str) -> ObjectHead | None:
        """What the store knows of an object; None when there is none."""
        with _store_errors():
            try:
                head = self._client.head_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING:
                    return None
                raise
        return ObjectHead(head["ETag"].strip('"'), head["ContentLength"], head.get("ContentType", ""))

    def upload(self, path: Path, key: str, *, mime: str) -> ObjectHead:
        """Store a file under a key, replacing what is there, and return what the store then holds."""
        with _store_errors():
            self._client.upload_file(str(path), self.bucket, key, ExtraArgs={"ContentType": mime}, Config=_TRANSFER)
        head = self.head(key)
        if head is None:
            raise StoreUnavailable("the object just written is not there")
        return head

    def download(self, key: str, path: Path) -> None:
        """Copy an object into a file. Raises FileNotFoundError."""
        with _store_errors():
            try:
                self._client.download_file(self.bucket, key, str(path), Config=_TRANSFER)
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING:
                    raise FileNotFoundError(path.name) from error
                raise

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        """The object as a file that lasts as long as the block."""
        with TemporaryDirectory(prefix="huaban-") as folder:
            path = Path(folder) / key.rsplit("/", 1)[-1]
            self.download(key, path)
            yield path

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        with _store_errors():
            self._client.delete_object(Bucket=self.bucket, Key=key)


def _client(settings: Settings, endpoint: str) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=settings.s3_secret_access_key.get_secret_value(),
        config=Config(
            signature_version="s3v4",
            connect_timeout=3,
            read_timeout=30,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=32,
            s3={"addressing_style": "path" if settings.s3_force_path_style else "virtual"},
        ),
    )
