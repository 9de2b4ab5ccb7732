from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config

from studio import presigner
from studio.objects import ObjectStore
from studio.settings import Settings

KEY = "clients/a/artworks/b/video/v1/c 画+&~.mp4"
NOW = datetime(2026, 11, 22, 12, 30, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("endpoint", "bucket", "path_style"),
    [
        ("http://127.0.0.1:9000", "huaban-media", True),
        ("http://store:80", "huaban-media", True),
        ("https://objects.example.com", "huaban-media", False),
        ("https://objects.example.com", "with.dots", False),
        ("https://example.com/below", "huaban-media", True),
    ],
)
@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("get_object", {"ResponseContentType": "video/mp4"}),
        ("get_object", {"ResponseContentDisposition": 'attachment; filename="c.mp4"'}),
        ("put_object", {"ContentType": 'audio/webm;  codecs="opus"', "ContentLength": 12}),
    ],
)
def test_an_address_is_the_one_that_boto3_makes(
    monkeypatch: pytest.MonkeyPatch,
    *,
    endpoint: str,
    bucket: str,
    path_style: bool,
    method: str,
    options: dict[str, str],
) -> None:
    monkeypatch.setattr(presigner, "now", lambda: NOW)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW)
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic's own
        s3_endpoint=endpoint,
        s3_region="eu-west-9",
        s3_bucket=bucket,
        s3_access_key_id="somebody",
        s3_secret_access_key="secret",  # type: ignore[arg-type]  # pydantic wraps it
        s3_force_path_style=path_style,
    )
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="eu-west-9",
        aws_access_key_id="somebody",
        aws_secret_access_key="secret",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path" if path_style else "virtual"}),
    )
    wanted = client.generate_presigned_url(method, Params={"Bucket": bucket, "Key": KEY, **options}, ExpiresIn=600)
    store = ObjectStore(settings)
    if method == "put_object":
        made = store.presign_put(KEY, mime=options["ContentType"], size=12)
    else:
        mime, disposition = options.get("ResponseContentType", ""), options.get("ResponseContentDisposition", "")
        made = store.presign_get(KEY, mime=mime, disposition=disposition)
    assert urlsplit(made)[:3] == urlsplit(wanted)[:3]
    assert parse_qs(urlsplit(made).query) == parse_qs(urlsplit(wanted).query)
