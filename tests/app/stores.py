"""The product's own view of the test servers' bucket."""

from __future__ import annotations

from app.stack import Servers
from studio.objects import ObjectStore
from studio.settings import Settings


def store_of(servers: Servers, *, public_endpoint: str = "") -> ObjectStore:
    """The bucket of the test servers; presigned addresses start with `public_endpoint`."""
    return ObjectStore(
        Settings(
            s3_endpoint=servers.s3_endpoint,
            s3_public_endpoint=public_endpoint or servers.s3_endpoint,
            s3_bucket=servers.bucket,
            s3_access_key_id=servers.access_key,
            s3_secret_access_key=servers.secret_key,  # type: ignore[arg-type]  # pydantic wraps it
        )
    )
