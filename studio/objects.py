"""Bytes in S3: a private bucket, presigned doors, and keys that say whose work they belong to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING

import boto3
import msgspec
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from studio import bucket_cors
from studio.errors import NotNow
from studio.presigner import Presigner
from studio.scratch import scratch_folder
from studio.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PUT_MAX_BYTES = 5 * 1024**3
"""What S3 takes at once. In parts only what it takes in no other way: the parts of an upload that was killed stay in
the bucket, where no listing shows them."""
_IN_PARTS = TransferConfig(use_threads=False, multipart_threshold=1)
_CHUNK = 1 << 20

MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchBucket"}
# Refusals that are about the deployment, its keys and its pace, and never about the object that was asked for.
_NOT_NOW_STATUS = {401, 403, 429}


class ObjectHead(msgspec.Struct, frozen=True):
    etag: str
    """Without the quotes."""
    size: int
    mime: str


class ListedObject(msgspec.Struct, frozen=True):
    """An object as a listing tells of it. `modified_at` is by the store's clock."""

    key: str
    size: int
    modified_at: datetime


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

    @cached_property
    def _public(self) -> Presigner:
        """For addresses that browsers open."""
        return _presigner(self._settings, self._settings.s3_public_endpoint)

    @cached_property
    def _inside(self) -> Presigner:
        """For addresses that this process opens itself."""
        return _presigner(self._settings, self._settings.s3_endpoint)

    def ensure_bucket(self) -> None:
        """Create the bucket when it is missing; private, as S3 makes them. Pages that may call us may upload to it."""
        with _store_errors():
            try:
                self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error.response["Error"]["Code"] not in MISSING:
                    raise
                self._create_bucket()
            # The front is of one origin with the API, and lets in whom that lets in.
            if self._settings.origins and not self._settings.s3_front:
                bucket_cors.welcome(self._client, self.bucket, self._settings.origins)

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
        return self._public.url(
            "PUT",
            key,
            lifetime_s=self._settings.presign_expires_s,
            headers={"content-length": str(size), "content-type": mime},
        )

    def presign_get(
        self, key: str, *, mime: str = "", disposition: str = "", method: str = "GET", inside: bool = False
    ) -> str:
        """A URL that reads the object for `presign_expires_s`.

        The type is signed in, for stores that forget it; without one the store says what it knows. `disposition` is
        the header that makes browsers save the object. `inside` is for addresses that this process opens itself.
        """
        wanted = {"response-content-type": mime, "response-content-disposition": disposition}
        query = {name: value for name, value in wanted.items() if value}
        signer = self._inside if inside else self._public
        return signer.url(method, key, lifetime_s=self._settings.presign_expires_s, query=query)

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
        with path.open("rb") as file:
            return self.upload_file(file, key, mime=mime)

    def upload_file(self, file: IO[bytes], key: str, *, mime: str) -> ObjectHead:
        """The same as `upload`, of an open file. It is stored whole: what is sent again is sent from the beginning."""
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        with _store_errors():
            try:
                if size > PUT_MAX_BYTES:
                    extra = {"ContentType": mime}
                    self._client.upload_fileobj(file, self.bucket, key, ExtraArgs=extra, Config=_IN_PARTS)
                    etag = self._client.head_object(Bucket=self.bucket, Key=key)["ETag"]
                else:
                    etag = self._client.put_object(Bucket=self.bucket, Key=key, Body=file, ContentType=mime)["ETag"]
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING:
                    raise StoreUnavailable("the bucket is missing") from error
                raise
        return ObjectHead(etag.strip('"'), size, mime)

    def download(self, key: str, path: Path) -> ObjectHead:
        """Copy an object into a file, and say what it was that was copied. Raises FileNotFoundError."""
        with _store_errors():
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING:
                    raise FileNotFoundError(path.name) from error
                raise
            with answer["Body"] as body, path.open("wb") as file:
                shutil.copyfileobj(body, file, _CHUNK)
        return ObjectHead(answer["ETag"].strip('"'), answer["ContentLength"], answer.get("ContentType", ""))

    @contextmanager
    def local_copy(self, key: str) -> Iterator[Path]:
        """The object as a file that lasts as long as the block."""
        with scratch_folder() as folder:
            path = folder / key.rsplit("/", 1)[-1]
            self.download(key, path)
            yield path

    def read(self, key: str) -> Iterator[bytes]:
        """An object's bytes, a piece at a time. Raises FileNotFoundError, with the first piece."""
        with _store_errors():
            try:
                body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
            except ClientError as error:
                if error.response["Error"]["Code"] in MISSING:
                    raise FileNotFoundError(key.rsplit("/", 1)[-1]) from error
                raise
            with body:
                yield from body.iter_chunks(_CHUNK)

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        with _store_errors():
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def list_objects(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        """The objects whose keys begin with `prefix`, in the order of their keys, from behind `after` on."""
        pages = self._client.get_paginator("list_objects_v2")
        with _store_errors():
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix, StartAfter=after):
                for entry in page.get("Contents", ()):
                    yield ListedObject(entry["Key"], entry["Size"], entry["LastModified"])


def _presigner(settings: Settings, endpoint: str) -> Presigner:
    # Where a bucket is, in the path or in the host, has rules that boto3 knows best.
    example = _client(settings, endpoint).generate_presigned_url(
        "get_object", Params={"Bucket": settings.s3_bucket, "Key": "key"}
    )
    return Presigner(
        example.partition("?")[0].removesuffix("/key"),
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=settings.s3_secret_access_key.get_secret_value(),
    )


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
