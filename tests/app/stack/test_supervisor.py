from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.stack import PartFailed, supervisor
from app.stack.conditions import until
from app.stack.processes import companions, session_members
from app.stack.supervisor import Part, Supervisor

TOUCH_AND_WAIT = "import pathlib, signal; pathlib.Path('{ready}').touch(); signal.pause()"

Lines = list[tuple[str, str]]


@pytest.fixture
def lines() -> Lines:
    return []


@pytest.fixture
def keeper(tmp_path: Path, lines: Lines) -> Supervisor:
    return Supervisor(tmp_path / "logs", say=lambda part, line: lines.append((part, line)))


def script(tmp_path: Path, code: str, *, grace_s: float = 10) -> Part:
    """A part that runs Python code and is ready when the file `ready` is there."""
    ready_file = tmp_path / "ready"

    async def ready(_pid: int) -> None:
        await until(_is(ready_file.exists))

    return Part(
        name="part",
        command=[sys.executable, "-c", code.format(ready=ready_file)],
        env=os.environ,
        address="here",
        ready=ready,
        grace_s=grace_s,
    )


def _is(look: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return look()

    return holds


def test_dead_part_is_started_again_and_said_so(tmp_path: Path, keeper: Supervisor, lines: Lines) -> None:
    async def scenario() -> None:
        part = script(tmp_path, TOUCH_AND_WAIT)
        await keeper.start(part)
        first = keeper.pid("part")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(_is(lambda: ("part", "here (again)") in lines))
        assert keeper.pid("part") not in (None, first)
        await keeper.stop(part)

    asyncio.run(scenario())
    assert ("part", "stopped (SIGKILL); starting it again in 0.5 s") in lines


def test_wait_before_a_restart_doubles_up_to_a_limit(
    tmp_path: Path, keeper: Supervisor, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_WAIT_S", 0.04)

    async def scenario() -> None:
        part = script(tmp_path, "import pathlib, time; pathlib.Path('{ready}').touch(); time.sleep(0.05)")
        await keeper.start(part)
        await until(_is(lambda: len(_waits(lines)) >= 4))
        await keeper.stop(part)

    asyncio.run(scenario())
    assert _waits(lines)[:4] == ["0.01", "0.02", "0.04", "0.04"]


def _waits(lines: Lines) -> list[str]:
    return [line.split()[-2] for _, line in lines if "starting it again" in line]


def test_part_that_does_not_start_is_reported_with_its_last_words(tmp_path: Path, keeper: Supervisor) -> None:
    with pytest.raises(PartFailed, match=r"exit 3.*no paper left"):
        asyncio.run(keeper.start(script(tmp_path, "print('no paper left'); raise SystemExit(3)")))
    assert keeper.pid("part") is None


def test_part_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path, keeper: Supervisor, lines: Lines) -> None:
    async def scenario() -> None:
        deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + TOUCH_AND_WAIT
        part = script(tmp_path, deaf, grace_s=0.1)
        await keeper.start(part)
        pid = keeper.pid("part")
        assert pid is not None
        await keeper.stop(part)
        assert session_members(pid) == []

    asyncio.run(scenario())
    assert any("is killed" in line for _, line in lines)


def test_hurry_ends_a_stop_that_is_waiting(tmp_path: Path, keeper: Supervisor) -> None:
    async def scenario() -> None:
        deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + TOUCH_AND_WAIT
        part = script(tmp_path, deaf, grace_s=600)
        await keeper.start(part)
        stopping = asyncio.create_task(keeper.stop(part))
        await asyncio.sleep(0)
        keeper.kill(part)
        await stopping

    asyncio.run(scenario())
    assert keeper.pid("part") is None


def test_sigterm_reaches_the_part_and_not_its_children(tmp_path: Path, keeper: Supervisor) -> None:
    heard = tmp_path / "heard"
    child = f"import signal, pathlib; signal.signal(signal.SIGTERM, lambda *_: pathlib.Path('{heard}').touch()); "
    parent = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child + TOUCH_AND_WAIT!r}]); "
        "import signal; signal.pause()"
    )

    async def scenario() -> None:
        part = script(tmp_path, parent)
        await keeper.start(part)
        pid = keeper.pid("part")
        assert pid is not None
        assert len(session_members(pid)) == 2
        await keeper.stop(part)
        assert session_members(pid) == []

    asyncio.run(scenario())
    assert not heard.exists()


def test_long_log_keeps_its_end_only(tmp_path: Path, keeper: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOG_MAX_BYTES", 1000)
    monkeypatch.setattr(supervisor, "LOG_KEEP_BYTES", 100)
    log = tmp_path / "logs" / "part.log"
    log.parent.mkdir()
    log.write_text("".join(f"line {number}\n" for number in range(500)))

    async def scenario() -> None:
        part = script(tmp_path, TOUCH_AND_WAIT)
        await keeper.start(part)
        await keeper.stop(part)

    asyncio.run(scenario())
    assert log.read_text().startswith("line ")
    assert log.read_text().endswith("line 499\n")
    assert log.stat().st_size <= 100


def test_companion_of_a_killed_part_may_finish_first(
    tmp_path: Path, keeper: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "COMPANIONS_S", 60.0)
    assert run_with_companion(tmp_path, keeper, "time.sleep(0.3); done.touch()") == []
    assert (tmp_path / "done").exists()


def test_companion_that_does_not_finish_is_killed(
    tmp_path: Path, keeper: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "COMPANIONS_S", 0.1)
    assert run_with_companion(tmp_path, keeper, "time.sleep(600)") == []


def run_with_companion(tmp_path: Path, keeper: Supervisor, then: str) -> list[int]:
    """Kill a part that has a process in a session of its own, which then does something; what is left of it."""
    # It learns of its parent's end as a guardian does: its standard input ends.
    code = f"import pathlib, sys, time; done = pathlib.Path('{tmp_path / 'done'}'); sys.stdin.read(); {then}"
    parent = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}], stdin=subprocess.PIPE, "
        "start_new_session=True); "
    )

    async def scenario() -> list[int]:
        part = script(tmp_path, parent + TOUCH_AND_WAIT, grace_s=600)
        await keeper.start(part)
        pid = keeper.pid("part")
        assert pid is not None
        (companion,) = companions(pid)
        stopping = asyncio.create_task(keeper.stop(part))
        keeper.kill(part)
        await stopping
        return session_members(companion)

    return asyncio.run(scenario())
