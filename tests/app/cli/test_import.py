from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.client import Client
from app.stack import running
from app.stack.folder import keys
from tests.app.problems import problem_of
from tests.app.uploads import picture
from tests.product import Product, new_client
from tests.studio import made
from tests.waiting import eventually

Import = Callable[..., Result]


@pytest.fixture
def prefix(product: Product, tmp_path: Path) -> Iterator[str]:
    """A folder of the bucket with what a family had there before: two films, a film that is none, and a picture."""
    place = f"public/videos-{secrets.token_hex(4)}/"
    store = product.studio.objects
    film = made.clip(tmp_path / "clip.mp4")
    broken, drawing = tmp_path / "broken.mp4", tmp_path / "drawing.png"
    broken.write_bytes(b"this is no film")
    drawing.write_bytes(picture())
    for name, path in (
        ("小狐狸_and the  balloon.mp4", film),
        ("marker words.mp4", broken),
        ("a-b?#%20.MP4", film),
        ("drawing.png", drawing),
    ):
        store.upload(path, place + name, mime="")
    yield place
    for found in store.list_objects(place):
        store.delete(found.key)


@pytest.fixture
def run(product: Product, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Import:
    monkeypatch.chdir(tmp_path)
    for name, value in {**product.env, "LC_ALL": "C", "COLUMNS": "120"}.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: CliRunner().invoke(main, ["import", *arguments])


def test_films_in_the_bucket_become_artworks_once_and_stay_where_they_are(
    client: Client, product: Product, prefix: str, run: Import, request: pytest.FixtureRequest
) -> None:
    before = [found.key for found in product.studio.objects.list_objects(prefix)]
    mine = ("--client", client._api.headers["x-client-id"])

    planned = run(prefix, *mine, "--dry-run")
    assert "found 3 · to import 3 · known before 0 · refused 0" in planned.output
    assert client.get("/gallery")["items"] == []

    done = run(prefix, *mine)
    assert done.exit_code == 1
    assert "found 3 · imported 2 · known before 0 · refused 1" in done.output
    assert "#2 VIDEO_UNREADABLE: This video cannot be opened." in done.output
    assert "marker" not in done.output
    again = run(prefix, *mine)
    assert "found 3 · imported 0 · known before 2 · refused 1" in again.output

    items = client.get("/gallery")["items"]
    assert [item["title"] for item in items] == ["a b?#%20", "小狐狸 and the balloon"]
    assert {item["status"] for item in items} == {"ready"}
    assert items[0]["duration"] == pytest.approx(1.0, abs=0.2)
    assert [found.key for found in product.studio.objects.list_objects(prefix)] == before
    for item in items:
        film = client._bucket.get(item["videoUrl"])
        assert (film.status_code, film.headers["content-type"]) == (200, "video/mp4")

    request.getfixturevalue("worker")
    shown = eventually(lambda: [item for item in client.get("/gallery")["items"] if item["posterUrl"]])
    assert client._bucket.get(shown[0]["posterUrl"]).headers["content-type"] == "image/jpeg"


def test_a_film_that_was_brought_in_is_its_clients_alone(client: Client, web: str, prefix: str, run: Import) -> None:
    run(prefix, "--client", client._api.headers["x-client-id"])
    path = f"/media/{quote(prefix)}{quote('小狐狸_and the  balloon.mp4')}"
    assert client._api.get(path).status_code == 302
    with new_client(web) as stranger:
        problem_of(stranger._api.get(path), "NOT_FOUND")


@pytest.mark.parametrize("arguments", [(), ("--client", "short"), ("--client", "no/slash-in-it")])
def test_it_has_to_be_clear_whose_the_films_become(run: Import, arguments: tuple[str, ...]) -> None:
    assert run("nothing/", *arguments).exit_code == 2


def test_in_a_single_familys_deployment_there_is_only_one(run: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_MODE", "single")
    done = run("nothing-here/")
    assert (done.exit_code, done.output.strip()) == (0, "found 0 · imported 0 · known before 0 · refused 0")


def test_what_is_in_a_clients_folder_is_somebodys_already(
    client: Client, product: Product, run: Import, tmp_path: Path
) -> None:
    key = f"clients/somebody/{secrets.token_hex(4)}.mp4"
    product.studio.objects.upload(made.clip(tmp_path / "clip.mp4"), key, mime="video/mp4")
    done = run("clients/somebody/", "--client", client._api.headers["x-client-id"])
    assert "found 0" in done.output
    product.studio.objects.delete(key)


def test_a_folder_on_which_nothing_runs_tells_of_no_servers(tmp_path: Path) -> None:
    keys(tmp_path)
    running.note_store(tmp_path, endpoint="http://127.0.0.1:1", bucket="b")
    assert running.environment(tmp_path) == {}
