"""Requests per second of the routes that are asked most, beside Express's for the same documents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console

from app.client import Client
from bench.figures import Figure, cpu_s
from bench.web.copies import Copies
from bench.web.wrk import Answers, Request, ask

JOBS = 5_000
PAGE = 20
CLIENT_ID = "bench-of-answers"
CLIENTS, DRAFTS = 250, 10
"""Who order films, and of how many artworks each, so that no order finds a film in the making."""
WARM_UP_S = 1.0


class Server(NamedTuple):
    url: str
    pid: int


class Sides:
    """What each server answered, route by route and round by round."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[Answers]] = defaultdict(list)
        self._cpu_us: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, route: str, server: str, answers: Answers, *, cpu_us: float) -> None:
        self._found[route, server].append(answers)
        self._cpu_us[route, server].append(cpu_us)

    def cpu_us(self, route: str, server: str) -> float:
        """CPU of the server's process for a request: what tells the two apart even while others use the machine."""
        return median(self._cpu_us[route, server])

    def per_s(self, route: str, server: str) -> float:
        return median(answers.per_s for answers in self._found[route, server])

    def p99_ms(self, route: str, server: str) -> float:
        return median(answers.p99_ms for answers in self._found[route, server])

    def ratio(self, route: str) -> float:
        """How many times Express's requests per second ours are: the median of rounds, each a pair of neighbours."""
        pairs = zip(self._found[route, "ours"], self._found[route, "express"], strict=True)
        return median(ours.per_s / express.per_s for ours, express in pairs)


def measure(copies: Copies, servers: Mapping[str, Server], *, rounds: int, for_s: float, notes: Path) -> list[Figure]:
    """`servers` are "ours" and "express"."""
    headers = {"X-Client-Id": CLIENT_ID, "Accept-Language": "en"}
    with Client(servers["ours"].url, CLIENT_ID) as client:
        client.post("/init")
    copies.gallery(CLIENT_ID, PAGE)
    routes = {
        "job": [Request(f"/generation/jobs/{job_id}", headers) for job_id in copies.jobs(CLIENT_ID, JOBS)],
        "gallery": [Request(f"/gallery?limit={PAGE}", headers)],
    }
    sides, console = Sides(), Console()
    for number in range(rounds + 1):
        for route, requests in routes.items():
            for server, (url, pid) in servers.items():
                before_s = cpu_s(pid)
                answers = ask(url, requests, for_s=for_s if number else WARM_UP_S, notes=notes)
                if number:
                    cpu_us = 1e6 * (cpu_s(pid) - before_s) / (answers.per_s * for_s)
                    sides.add(route, server, answers, cpu_us=cpu_us)
                    console.print(f"  {number}. {route}, {server}: {answers.per_s:,.0f}/s, p99 {answers.p99_ms:.0f} ms")
    return [
        *_figures(sides, "job", "GET /generation/jobs/{id}", at_least=1.5),
        *_figures(sides, "gallery", f"GET /gallery?limit={PAGE}", at_least=1.2),
        *_orders(copies, servers["ours"].url, for_s=for_s, notes=notes),
    ]


def _figures(sides: Sides, route: str, label: str, *, at_least: float) -> list[Figure]:
    return [
        Figure(f"{label}, 32 connections", sides.per_s(route, "ours"), "requests/s"),
        Figure("  p99", sides.p99_ms(route, "ours"), "ms"),
        Figure("  CPU of the web process", sides.cpu_us(route, "ours"), "µs a request"),
        Figure("  Express on the same documents", sides.per_s(route, "express"), "requests/s"),
        Figure("  p99 of Express", sides.p99_ms(route, "express"), "ms"),
        Figure("  CPU of Express", sides.cpu_us(route, "express"), "µs a request"),
        Figure("  ours ÷ Express", sides.ratio(route), "times", at_least=at_least),
    ]


def _orders(copies: Copies, url: str, *, for_s: float, notes: Path) -> list[Figure]:
    client_ids = [f"bench-order-{number % CLIENTS}" for number in range(CLIENTS * DRAFTS)]
    requests = _order_all(client_ids, copies.drafts(client_ids))
    answers = ask(url, requests, for_s=for_s, notes=notes)
    return [
        Figure("POST /generation/jobs, accepted", answers.per_s, "jobs/s"),
        Figure("  p99", answers.p99_ms, "ms"),
    ]


def _order_all(client_ids: Sequence[str], artwork_ids: Sequence[str]) -> list[Request]:
    return [
        Request(
            "/generation/jobs",
            {"X-Client-Id": client_id, "Content-Type": "application/json"},
            "POST",
            f'{{"artworkId":"{artwork_id}"}}',
        )
        for client_id, artwork_id in zip(client_ids, artwork_ids, strict=True)
    ]
