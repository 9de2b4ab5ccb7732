"""Presigned addresses for S3 (Signature Version 4, in the query). boto3 makes the same ones at thirty times the price,
and a page of the gallery opens dozens."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Presigner:
    """Signs for one bucket. `root` is the address of the bucket as its callers reach it, without a slash at its end."""

    def __init__(self, root: str, *, region: str, access_key_id: str, secret_access_key: str) -> None:
        address = urlsplit(root)
        self._origin = f"{address.scheme}://{address.netloc}"
        self._path = address.path
        # As HTTP clients send it.
        self._host = address.netloc.removesuffix(_DEFAULT_PORTS.get(address.scheme, ""))
        self._region = region
        self._access_key_id = access_key_id
        self._secret = secret_access_key

    def url(
        self,
        method: str,
        key: str,
        *,
        lifetime_s: int,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """An address that takes one method on one object, with these headers, for so long.

        Names of headers are in lower case. They have to be sent as they are here.
        """
        stamp = now().strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{self._region}/s3/aws4_request"
        signed = dict(sorted({"host": self._host, **(headers or {})}.items()))
        parameters = _encoded(
            {
                "X-Amz-Algorithm": _ALGORITHM,
                "X-Amz-Credential": f"{self._access_key_id}/{scope}",
                "X-Amz-Date": stamp,
                "X-Amz-Expires": str(lifetime_s),
                "X-Amz-SignedHeaders": ";".join(signed),
                **(query or {}),
            }
        )
        path = self._path + "/" + quote(key)
        lines = [f"{name}:{' '.join(value.split())}" for name, value in signed.items()]
        request = "\n".join((method, path, parameters, *lines, "", ";".join(signed), "UNSIGNED-PAYLOAD"))
        text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
        signature = hmac.digest(_signing_key(self._secret, stamp[:8], self._region), text.encode(), "sha256").hex()
        return f"{self._origin}{path}?{parameters}&X-Amz-Signature={signature}"


def now() -> datetime:
    """The time that addresses are signed at."""
    return datetime.now(UTC)


def _encoded(parameters: Mapping[str, str]) -> str:
    return "&".join(sorted(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters.items()))


@lru_cache(maxsize=8)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
