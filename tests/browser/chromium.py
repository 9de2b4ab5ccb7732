"""A browser as a test holds it: what is seen is asked for in the words that are seen."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.stack.ports import free_port
from tests.waiting import eventually

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--force-color-profile=srgb",
)  # fmt: skip
PHONE = {"width": 390, "height": 844, "pixelRatio": 2, "touch": True}
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""What an element is called in the answers of WebDriver."""


class Chromium:
    """One window, spoken to in the words of WebDriver."""

    def __init__(self, http: httpx.Client, session: str) -> None:
        self._http = http
        self._session = session

    def open(self, url: str) -> None:
        self._post("/url", {"url": url})

    def click(self, words: str, *, within: str = "body") -> None:
        """The one thing that can be clicked and says this."""
        said = f"normalize-space(.)={_quoted(words)}"
        self._act(f"//{within}//*[self::a or self::button or self::summary][{said}]", "click", {})

    def click_work(self, name: str) -> None:
        """A work in the gallery."""
        self._act(f"//a[.//h2[normalize-space(.)={_quoted(name)}]]", "click", {})

    def type(self, label: str, text: str) -> None:
        """Into the field of this label."""
        self._act(f"//*[@id=//label[normalize-space(.)={_quoted(label)}]/@for]", "value", {"text": text})

    def choose(self, label: str, file: Path) -> None:
        """A file, where a button asks for one."""
        self.type(label, str(file))

    def text(self, selector: str = "main") -> list[str]:
        """The lines that are seen of an element, from above; none where it is not there."""
        seen = self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
        return [line for line in map(str.strip, seen.split("\n")) if line]

    def sees(self, *words: str, selector: str = "main") -> None:
        """Wait until these are the lines, or stand among them one after the other."""
        eventually(lambda: _holds(self.text(selector), words))

    def run(self, script: str, *arguments: Any) -> Any:
        return self._post("/execute/sync", {"script": script, "args": list(arguments)})

    def faults(self) -> list[str]:
        """What the browser has complained of: errors of scripts, what was refused, what is missing."""
        logged = self._post("/se/log", {"type": "browser"})
        return [entry["message"] for entry in logged if entry["level"] == "SEVERE"]

    def shoot(self, path: Path) -> None:
        """Keep a picture of the whole page, for people to judge."""
        height = self.run("return document.documentElement.scrollHeight")
        metrics = {"width": PHONE["width"], "height": height, "deviceScaleFactor": 2, "mobile": True}
        self._cdp("Emulation.setDeviceMetricsOverride", metrics)
        picture = self._cdp("Page.captureScreenshot", {"captureBeyondViewport": True})["data"]
        self._cdp("Emulation.setDeviceMetricsOverride", {**metrics, "height": PHONE["height"]})
        path.write_bytes(base64.b64decode(picture))

    def _act(self, path: str, action: str, body: dict[str, Any]) -> None:
        """On the one element of this path, once it is there and can be acted on."""

        def act() -> bool:
            found = self._post("/elements", {"using": "xpath", "value": path})
            if len(found) != 1:
                return False
            return self._http.post(f"{self._session}/element/{found[0][ELEMENT]}/{action}", json=body).is_success

        eventually(act)

    def _cdp(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self._http.post(f"{self._session}{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()["value"]


@contextmanager
def chromium(language: str, profile: Path) -> Iterator[Chromium]:
    """A browser of somebody new, who reads this language on a phone."""
    driver = shutil.which("chromedriver")
    assert driver, "Chromium and its driver are needed (Debian: chromium chromium-driver)"
    port = free_port()
    process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL)
    options = {
        "args": [*FLAGS, f"--user-data-dir={profile}", f"--accept-lang={language}"],
        "mobileEmulation": {"deviceMetrics": PHONE},
    }
    wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    driver_url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(timeout=60, trust_env=False) as http:
            eventually(lambda: _is_up(http, driver_url))
            made = http.post(f"{driver_url}/session", json={"capabilities": {"alwaysMatch": wanted}}).raise_for_status()
            url = f"{driver_url}/session/{made.json()['value']['sessionId']}"
            try:
                yield Chromium(http, url)
            finally:
                # Otherwise it would outlive its driver.
                http.delete(url)
    finally:
        process.terminate()
        process.wait()


def _is_up(http: httpx.Client, driver_url: str) -> bool:
    try:
        return bool(http.get(f"{driver_url}/status").json()["value"]["ready"])
    except httpx.TransportError:
        return False


def _holds(lines: list[str], words: tuple[str, ...]) -> bool:
    length = len(words)
    return any(tuple(lines[at : at + length]) == words for at in range(len(lines) - length + 1))


def _quoted(words: str) -> str:
    return f'"{words}"'
