"""Letting pages upload to a bucket that is another origin than theirs: one rule among the bucket's CORS rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CORSRuleTypeDef, CORSRuleUnionTypeDef

log = structlog.get_logger("studio")

_NAME = "huaban"


def welcome(client: S3Client, bucket: str, origins: Iterable[str]) -> None:
    """Make sure that pages of these origins may read and upload. Rules of others stay as they are.

    A store that has no such rules, or keys that may not change them, are no error: whoever runs the bucket can set the
    rule, and programs need none.
    """
    ours: CORSRuleTypeDef = {
        "ID": _NAME,
        "AllowedOrigins": sorted(origins),
        "AllowedMethods": ["GET", "HEAD", "PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3600,
    }
    try:
        rules = _rules(client, bucket)
        if ours not in rules:
            others = [rule for rule in rules if rule.get("ID") != _NAME]
            client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [*others, ours]})
    except ClientError as error:
        log.warning("bucket_cors_not_set", reason=error.response["Error"]["Code"])


def _rules(client: S3Client, bucket: str) -> list[CORSRuleUnionTypeDef]:
    try:
        return list(client.get_bucket_cors(Bucket=bucket).get("CORSRules", []))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchCORSConfiguration":
            raise
        return []
