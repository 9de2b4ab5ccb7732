"""The example of docs/adding-a-provider.md, just as it stands there, makes films."""

from __future__ import annotations

import re
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from app.client import Client
from studio.providers import Capability, Providers, cards, registry
from studio.settings import Settings
from tests.product import Product, new_artwork
from tests.providers.simulator import Fault, Reply, Request, Simulator, operation
from tests.waiting import eventually

GUIDE = (Path(__file__).parents[2] / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")


class LanternSimulator(Simulator):
    """The service of the example."""

    name = "lantern"

    def env(self) -> dict[str, str]:
        return {"VIDEO_PROVIDER": "lantern", "LANTERN_BASE_URL": self.url, "LANTERN_API_KEY": self.key}

    @operation("POST", "/films", "create")
    def create(self, request: Request) -> Reply:
        asked = request.json
        if not self.is_signed(request):
            return Reply(401, {"error": "unauthorized"})
        if set(asked) != {"mark", "model", "seconds", "prompt", "image"} or not b64decode(asked["image"]):
            return Reply(400, {"error": "malformed"})
        task = self.accept(asked, task_id=f"film-{len(self.tasks) + 1}")
        return Reply(201, {"id": task.id})

    @operation("GET", "/films", "list")
    def list_marked(self, request: Request) -> Reply:
        (mark,) = request.query["mark"]
        return Reply(body={"films": [{"id": task.id} for task in self.tasks.values() if task.asked["mark"] == mark]})

    @operation("GET", "/films/{task_id}", "look")
    def look(self, request: Request, task_id: str) -> Reply:
        states = {"ready": "made", "rejected": "failed"}
        state = self.tasks[task_id].state
        told = {"state": states.get(state, state), "url": f"{self.url}/files/{task_id}.mp4"}
        return Reply(body=told | ({"error": "unsafe"} if state == "rejected" else {}))

    @operation("DELETE", "/films/{task_id}", "cancel")
    def stop(self, request: Request, task_id: str) -> Reply:
        self.tasks[task_id].is_canceled = True
        return Reply(204)

    @operation("GET", "/files/{name}", "download")
    def download(self, request: Request, name: str) -> Reply:
        return Reply(body=self.film)

    def rejected(self) -> Reply:
        return Reply(422, {"error": "unsafe"})

    def spent(self) -> Reply:
        return Reply(402, {"error": "no_credit"})


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return str(found)


@pytest.fixture
def lantern(product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LanternSimulator]:
    """The product with the module, the line and the card of the guide, and the service that they are made for."""
    line = re.fullmatch(r'"(?P<name>\w+)": "(?P<path>(?P<module>[\w.]+):\w+)",\n', block("text"))
    assert line
    module = ModuleType(line["module"])
    exec(compile(block("python"), line["module"], "exec"), module.__dict__)  # noqa: S102 (it is ours)
    monkeypatch.setitem(sys.modules, line["module"], module)
    monkeypatch.setitem(registry._registry[Capability.ANIMATOR], line["name"], line["path"])
    for folder, toml in ("ours", block("toml")), ("changed", "[animator]\nlook_every_s = 0.1\nunknown_for_s = 0.3\n"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "lantern.toml").write_text(toml, encoding="utf-8")
    monkeypatch.setattr(cards, "FOLDER", tmp_path / "ours")
    simulator = LanternSimulator()
    simulator.film = product.service.clip.read_bytes()
    with simulator.running():
        for name, value in {**simulator.env(), "PROVIDER_CARDS": str(tmp_path / "changed")}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(product.studio, "providers", Providers(Settings(), product.studio.objects))
        yield simulator


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (None, "succeeded"),
        (Fault.DROPPED, "succeeded"),
        (Fault.LOST, "succeeded"),
        (Fault.REJECTED, "CONTENT_REJECTED"),
        (Fault.REJECTED_LATER, "CONTENT_REJECTED"),
        (Fault.SPENT, "PROVIDER_QUOTA"),
        (Fault.FAILED, "RENDER_FAILED"),
    ],
)
@pytest.mark.usefixtures("worker")
def test_the_provider_of_the_guide_makes_a_film_or_says_why_not_and_is_never_asked_twice(
    client: Client, lantern: LanternSimulator, drawing: Path, fault: Fault | None, outcome: str
) -> None:
    lantern.fail("create", *([fault] if fault else []))
    job = client.post("/generation/jobs", {"artworkId": new_artwork(client, drawing)["artworkId"], "seconds": 8})
    eventually(lambda: client.get(f"/generation/jobs/{job['jobId']}")["finishedAt"], limit_s=60)
    ended = client.get(f"/generation/jobs/{job['jobId']}")
    assert (ended["error"] or {}).get("code", ended["status"]) == outcome
    assert len(lantern.tasks) <= 1
    if outcome == "succeeded":
        ((task,), (film,)) = lantern.tasks.values(), client.get(f"/artworks/{job['artworkId']}")["versions"]
        assert (task.asked["model"], task.asked["seconds"]) == ("lantern-1", 8)
        assert (film["provider"], film["model"]) == ("lantern", "lantern-1")
        (day,) = client.get("/api/v1/spend")["items"]
        assert (day["provider"], day["settledMicros"]) == ("lantern", 8 * 300_000)
