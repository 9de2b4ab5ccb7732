"""What bucket and database hold of one client, looked up behind the product's back."""

from __future__ import annotations

from typing import Any

import boto3

from app.stack import Servers
from studio.records import owner_of
from tests.product import Product


class Traces:
    def __init__(self, client_id: str, servers: Servers, product: Product) -> None:
        self.owner = owner_of(client_id, product.env["OWNER_KEY"])
        self._bucket = servers.bucket
        self._database = product.studio.database
        self._s3 = boto3.client(
            "s3",
            endpoint_url=servers.s3_endpoint,
            region_name="us-east-1",
            aws_access_key_id=servers.access_key,
            aws_secret_access_key=servers.secret_key,
        )

    def keys(self) -> list[str]:
        """The keys of all objects."""
        listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=f"clients/{self.owner}/")
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def read(self, key: str) -> bytes:
        return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def replace(self, key: str, content: bytes) -> None:
        """Put other bytes under a key, as somebody could who still holds a presigned address."""
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=content)

    def documents(self, collection: str) -> list[dict[str, Any]]:
        return list(self._database[collection].find({"owner": self.owner}))
