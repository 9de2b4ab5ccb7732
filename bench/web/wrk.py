"""wrk, which asks the same questions over many connections and tells how fast they were answered."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32
_SCRIPT = Path(__file__).with_name("requests.lua")
_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    method: str = "GET"
    body: str = ""


@dataclass(frozen=True)
class Answers:
    per_s: float
    p99_ms: float


def ask(url: str, requests: Iterable[Request], *, for_s: float, notes: Path) -> Answers:
    """Send the requests in turn, over and over, from `CONNECTIONS` connections.

    `notes` is a folder for the list of requests. Raises RuntimeError when an answer was no success.
    """
    listed = notes / "requests.txt"
    listed.write_text("".join(map(_line, requests)))
    command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{for_s:.0f}s", "--latency"]
    told = subprocess.run(
        [*command, "--timeout", "10s", "--script", str(_SCRIPT), url, "--", str(listed)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise RuntimeError(f"not every request succeeded:\n{told}")
    p99, unit = _find(r"99%\s+([\d.]+)(us|ms|s|m)\b", told)
    (per_s,) = _find(r"Requests/sec:\s+([\d.]+)", told)
    return Answers(float(per_s), float(p99) * _MS[unit])


def _line(request: Request) -> str:
    headers = "\t".join(f"{name}: {value}" for name, value in request.headers.items())
    return f"{request.method}\t{request.path}\t{request.body}\t{headers}\n"


def _find(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk told something else:\n{text}")
    return found.groups()
