"""What bucket and database hold of one client, looked up behind the product's back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import boto3

from app.stack import Servers
from studio import privacy
from studio.records import owner_of
from tests.product import Product


class Count(NamedTuple):
    documents: dict[str, int]
    """By collection."""
    objects: int
    bytes: int


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

    def find(self, words: list[str]) -> list[str]:
        """Where in the whole database and bucket one of these words is found, be it as a part of something."""
        places = [
            f"{name}: {document}"
            for name in self._database.list_collection_names()
            for document in self._database[name].find()
            if any(word in str(document) for word in words)
        ]
        return [*places, *(key for key, _ in self._objects("") if any(word in key for word in words))]

    def count(self) -> Count:
        """What there is of the client, apart from messages."""
        documents = {
            owned.name: self._database[owned.name].count_documents(owned.of(self.owner)) for owned in privacy.OWNED
        }
        sizes = [size for _, size in self._objects(f"clients/{self.owner}/")]
        return Count({name: number for name, number in documents.items() if number}, len(sizes), sum(sizes))

    def _objects(self, prefix: str) -> Iterator[tuple[str, int]]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield entry["Key"], entry["Size"]

    def keys(self) -> list[str]:
        """The keys of all objects."""
        return [key for key, _ in self._objects(f"clients/{self.owner}/")]

    def read(self, key: str) -> bytes:
        return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def replace(self, key: str, content: bytes) -> None:
        """Put other bytes under a key, as somebody could who still holds a presigned address."""
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=content)

    def documents(self, collection: str) -> list[dict[str, Any]]:
        return list(self._database[collection].find({"owner": self.owner}))
