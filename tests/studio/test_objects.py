"""How the bucket's answers become ours. Real uploads are tested against a real server; here a double is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from botocore.stub import Stubber
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

from app.stack import Servers
from studio import objects
from studio.objects import ObjectStore, StoreUnavailable
from studio.settings import Settings
from tests.app.stores import store_of


def store_in(region: str = "us-east-1", *, bucket: str = "drawings") -> ObjectStore:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic's own
        s3_endpoint=f"https://s3.{region}.amazonaws.com",
        s3_region=region,
        s3_bucket=bucket,
        s3_access_key_id="somebody",
        s3_secret_access_key="secret",  # type: ignore[arg-type]  # pydantic wraps it
    )
    return ObjectStore(settings)


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def store(aws: None) -> ObjectStore:
    """A store with its bucket."""
    made = store_in()
    made.ensure_bucket()
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "drawing.png"
    path.write_bytes(b"not really a drawing")
    return path


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_a_bucket_that_is_missing_is_made_where_it_belongs(region: str) -> None:
    store = store_in(region)
    store.ensure_bucket()
    store.ensure_bucket()
    store.ping()


@pytest.mark.usefixtures("aws")
def test_a_bucket_that_another_process_makes_first_is_no_error() -> None:
    store = store_in("eu-central-1")
    store.ensure_bucket()
    store._create_bucket()


def test_a_new_bucket_is_private(store: ObjectStore) -> None:
    grants = boto3.client("s3", region_name="us-east-1").get_bucket_acl(Bucket=store.bucket)["Grants"]
    assert [grant["Grantee"]["Type"] for grant in grants] == ["CanonicalUser"], "its owner, and no group"


def test_what_is_stored_comes_back(store: ObjectStore, file: Path, tmp_path: Path) -> None:
    head = store.upload(file, "a/drawing.png", mime="image/png")
    assert (head.size, head.mime) == (20, "image/png")
    assert store.head("a/drawing.png") == head
    with store.local_copy("a/drawing.png") as copy:
        assert copy.read_bytes() == file.read_bytes()
    assert not copy.exists()


def test_an_upload_asks_no_more_than_it_has_to(store: ObjectStore, file: Path) -> None:
    asked: list[str] = []
    store._client.meta.events.register("before-call.s3.*", lambda model, **_: asked.append(model.name))
    store.upload(file, "a/drawing.png", mime="image/png")
    assert asked == ["PutObject"], "it answers what is stored now"


def test_what_is_too_large_for_one_request_is_stored_in_parts(
    store: ObjectStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "PUT_MAX_BYTES", 19)
    head = store.upload(file, "a/drawing.png", mime="image/png")
    assert head == store.head("a/drawing.png")
    assert head.etag.endswith("-1"), "as parts are counted"


def test_an_open_file_is_stored_whole_also_where_it_is_sent_twice(store: ObjectStore, file: Path) -> None:
    sent: list[bytes] = []

    def break_off(request: Any, **_: object) -> None:
        sent.append(request.body.read())
        if len(sent) == 1:
            raise ConnectionClosedError(endpoint_url=request.url)
        request.reset_stream()

    store._client.meta.events.register_first("before-send.s3.PutObject", break_off)
    with file.open("rb") as opened:
        opened.seek(4)
        head = store.upload_file(opened, "a/drawing.png", mime="image/png")
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert head == store.head("a/drawing.png")
    assert b"".join(store.read("a/drawing.png")) == file.read_bytes()


def test_an_object_that_is_not_there_is_none_or_a_missing_file(store: ObjectStore, tmp_path: Path) -> None:
    assert store.head("nothing") is None
    with pytest.raises(FileNotFoundError):
        store.download("nothing", tmp_path / "nothing")
    store.delete("nothing")


@pytest.mark.usefixtures("aws")
def test_without_its_bucket_a_store_does_not_work(file: Path) -> None:
    store = store_in(bucket="missing")
    with pytest.raises(StoreUnavailable, match="the bucket is missing"):
        store.ping()
    with pytest.raises(StoreUnavailable):
        store.upload(file, "a/drawing.png", mime="image/png")


@set_initial_no_auth_action_count(0)
def test_keys_that_are_not_taken_are_the_deployments_trouble_and_not_the_callers(
    store: ObjectStore, file: Path, tmp_path: Path
) -> None:
    calls: list[Callable[[], object]] = [
        store.ping,
        store.ensure_bucket,
        lambda: store.head("a"),
        lambda: store.delete("a"),
        lambda: store.download("a", tmp_path / "a"),
        lambda: store.upload(file, "a", mime="image/png"),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable):
            call()


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_store_that_is_busy_or_broken_is_unavailable(status: int) -> None:
    store = store_in()
    with Stubber(store._client) as answers:
        answers.add_client_error("head_object", "SlowDown", http_status_code=status)
        with pytest.raises(StoreUnavailable, match=str(status)):
            store.head("a")


def test_a_store_that_does_not_answer_is_unavailable(file: Path, tmp_path: Path) -> None:
    settings = store_in()._settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:9"})
    store = ObjectStore(settings)
    with pytest.raises(StoreUnavailable):
        store.head("a")
    with pytest.raises(StoreUnavailable):
        store.upload(file, "a", mime="image/png")


PAGE = "https://huaban.example"


def rules_of(store: ObjectStore) -> list[Any]:
    return store._client.get_bucket_cors(Bucket=store.bucket)["CORSRules"]


def store_with(**changed: Any) -> ObjectStore:
    return ObjectStore(store_in()._settings.model_copy(update=changed))


@pytest.mark.usefixtures("aws")
def test_pages_that_may_call_may_upload_too() -> None:
    store = store_with(allowed_origins=(PAGE,))
    store.ensure_bucket()
    store.ensure_bucket()
    [rule] = rules_of(store)
    assert rule["AllowedOrigins"] == [PAGE]
    assert set(rule["AllowedMethods"]) >= {"GET", "PUT"}
    assert rule["ExposeHeaders"] == ["ETag"]


def test_the_bucket_owners_own_rules_stay(store: ObjectStore) -> None:
    theirs: Any = {"ID": "theirs", "AllowedOrigins": ["https://other.example"], "AllowedMethods": ["GET"]}
    store._client.put_bucket_cors(Bucket=store.bucket, CORSConfiguration={"CORSRules": [theirs]})
    for origin in (PAGE, "https://moved.example"):
        store_with(public_url=f"{origin}/huaban").ensure_bucket()
    origins = [rule["AllowedOrigins"] for rule in rules_of(store)]
    assert origins == [["https://other.example"], ["https://moved.example"]]


@pytest.mark.parametrize("changed", [{}, {"s3_front": True, "allowed_origins": (PAGE,)}])
def test_a_bucket_that_no_page_elsewhere_needs_is_left_alone(store: ObjectStore, changed: dict[str, Any]) -> None:
    store_with(**changed).ensure_bucket()
    with pytest.raises(ClientError, match="NoSuchCORSConfiguration"):
        rules_of(store)


def test_a_store_without_such_rules_is_no_error(servers: Servers) -> None:
    settings = store_of(servers)._settings.model_copy(update={"allowed_origins": (PAGE,)})
    ObjectStore(settings).ensure_bucket()
