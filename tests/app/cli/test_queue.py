from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result
from dramatiq.message import Message
from pymongo import MongoClient

from app.cli import main
from app.cli.reaching import answering_uri
from app.cli.tables import age, ago, in_future
from app.stack import Servers, StackError, mongod
from app.stack.ports import free_port
from broker import MongoBroker
from broker.schedules import Schedule, Scheduler
from studio.settings import QUEUE_PREFIX
from tests.product import Product

WORDS = "小狐狸飞走了 the fox flew away"
DEAD_KEYS = {"id", "queue", "actor", "error", "attempts", "crashes", "failed_at", "expires_at"}
Bury = Callable[..., str]


@pytest.fixture
def deployment(servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MongoBroker]:
    """The queue of a deployment that the environment names, with one queue, as the product sees it."""
    name = f"cli_{secrets.token_hex(4)}"
    monkeypatch.chdir(tmp_path)
    for variable, value in {**servers.env, "MONGODB_DB": name, "LC_ALL": "C", "COLUMNS": "120"}.items():
        monkeypatch.setenv(variable, value)
    with MongoClient[Any](servers.mongodb_uri, uuidRepresentation="standard") as client:
        broker = MongoBroker(database=client[name], collection_prefix=QUEUE_PREFIX, middleware=[])
        broker.declare_queue("default")
        yield broker
        client.drop_database(name)


def new_message(actor: str = "analyze", *, queue: str = "default", **options: Any) -> Message[Any]:
    return Message(queue_name=queue, actor_name=actor, args=("job-1",), kwargs={}, options=options)


@pytest.fixture
def bury(deployment: MongoBroker) -> Bury:
    """Makes a dead letter and gives its id."""

    def die(actor: str = "analyze", *, queue: str = "default", **fields: Any) -> str:
        deployment.declare_queue(queue)
        dead = deployment.enqueue(new_message(actor, queue=queue, **fields.pop("options", {})))
        now = datetime.now(UTC)
        deployment.queues[queue].update_one(
            {"_id": UUID(dead.message_id)},
            {
                "$set": {
                    "state": "REJECTED",
                    "reason": f"ValueError: {WORDS}",
                    "traceback": f"Traceback (most recent call last):\n  [x]\nValueError: {WORDS}",
                    "attempts": 4,
                    "failed_at": now - timedelta(minutes=3, seconds=5),
                    "expire_at": now + timedelta(days=7),
                    **fields,
                },
                "$unset": {"unique_key": ""},
            },
        )
        return str(dead.message_id)

    return die


def queue(*words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, ["queue", *words], input=typed)


def queue_module() -> Any:
    """In the package `app.cli` its name is the command's."""
    return sys.modules["app.cli.queue"]


def told(*words: str) -> Any:
    """What a command prints for scripts."""
    result = queue(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def states(broker: MongoBroker, name: str = "default") -> list[str]:
    return sorted(document["state"] for document in broker.queues[name].find())


def test_stats_show_every_queue_that_is_stored(deployment: MongoBroker, bury: Bury) -> None:
    deployment.enqueue(new_message())
    deployment.enqueue(new_message(), delay=60_000)
    bury(queue="media")
    default, media = told("stats")["queues"]
    assert default.pop("oldest_ready_age_s") >= 0
    assert default == {
        "queue": "default", "ready": 1, "delayed": 1, "in_flight": 0, "dead": 0, "paused": 0, "is_paused": False
    }  # fmt: skip
    assert (media["queue"], media["dead"]) == ("media", 1)
    words = queue("stats").output
    assert "default" in words
    assert "huaban queue dead" in words


def test_stats_of_a_fresh_database(deployment: MongoBroker) -> None:
    assert told("stats") == {"queues": [], "paused": {"queues": [], "actors": []}, "has_busy_worker": False}
    assert "No message" in queue("stats").output


def test_stats_say_when_nobody_works(deployment: MongoBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment.enqueue(new_message())
    assert "no worker" not in queue("stats").output
    monkeypatch.setattr("app.cli.tables.LONG_S", -1.0)
    assert "no worker" in queue("stats").output


def test_dead_letters_are_listed_without_a_word_of_theirs(bury: Bury) -> None:
    dead = bury()
    crashed = bury("poll_video", reason="its worker died each time it ran", crashes=3)
    listed = queue("dead")
    assert listed.exit_code == 0
    assert dead in listed.output
    assert crashed in listed.output
    for word in ("analyze", "ValueError", "3 min", "its worker died"):
        assert word in listed.output
    assert "fox" not in listed.output
    assert "job-1" not in listed.output
    records = told("dead")
    assert {record["error"] for record in records} == {"ValueError", "its worker died each time it ran"}
    assert all(record.keys() == DEAD_KEYS for record in records)
    assert datetime.fromisoformat(records[0]["failed_at"]).tzinfo is not None
    assert "fox" not in json.dumps(records)


def test_list_of_dead_letters_can_be_narrowed(deployment: MongoBroker, bury: Bury, product: Product) -> None:
    media, poll = bury(queue="media"), bury("poll_video")
    bury()
    assert [record["id"] for record in told("dead", "--queue", "media")] == [media]
    assert [record["id"] for record in told("dead", "--actor", "poll_video")] == [poll]
    assert told("dead", "--actor", "refine_text") == []
    assert len(told("dead", "--limit", "2")) == 2
    assert "3 in all" in queue("dead", "--limit", "2").output
    assert "No dead letters" in queue("dead", "--actor", "refine_text").output


def test_whole_dead_letter_is_shown_to_whoever_asks(bury: Bury) -> None:
    dead = bury(crashes=2, options={"max_retries": 3, "traceback": "the one before"})
    shown = queue("dead", dead)
    assert shown.exit_code == 0
    for word in (dead, "job-1", "max_retries", "ValueError", "the fox flew away", "  [x]", "2 crashes"):
        assert word in shown.output
    assert "the one before" not in shown.output
    record = told("dead", dead)
    assert record.keys() == DEAD_KEYS | {"reason", "traceback", "message"}
    assert record["message"]["args"] == ["job-1"]


def test_unreadable_dead_letter_is_shown(deployment: MongoBroker) -> None:
    identity = uuid4()
    deployment.queues["default"].insert_one({"_id": identity, "state": "REJECTED", "msg": "?"})
    assert str(identity) in queue("dead").output
    assert queue("dead", str(identity)).exit_code == 0
    assert told("dead", str(identity))["message"] is None


@pytest.mark.parametrize(
    ("choice", "count"),
    [
        ("--queue media", 1),
        ("--actor analyze", 2),
        ("--queue default --actor analyze", 1),
        ("--all", 3),
    ],
)
@pytest.mark.parametrize("command", ["retry", "purge --yes"])
def test_dead_letters_are_retried_or_purged_by_choice(
    deployment: MongoBroker, bury: Bury, command: str, choice: str, count: int
) -> None:
    for actor, name in (("analyze", "media"), ("analyze", "default"), ("poll_video", "default")):
        bury(actor, queue=name)
    done = told(*command.split(), *choice.split())
    assert done.get("retried", done.get("purged")) == count
    everything = states(deployment) + states(deployment, "media")
    assert everything.count("REJECTED") == 3 - count
    assert everything.count("QUEUED") == (count if command == "retry" else 0)


def test_dead_letters_are_retried_by_id_and_the_unknown_ones_named(deployment: MongoBroker, bury: Bury) -> None:
    dead, other, unknown = bury(), bury(), str(uuid4())
    result = queue("retry", dead, unknown)
    assert result.exit_code == 1
    assert "1 sent once more" in result.stdout
    assert unknown in result.stderr
    assert "huaban queue dead" in result.stderr
    assert states(deployment) == ["QUEUED", "REJECTED"]
    result = queue("retry", other, "nonsense", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"retried": 1, "left_dead": 0, "not_found": ["nonsense"]}


def test_retry_says_what_it_left_dead(deployment: MongoBroker, bury: Bury) -> None:
    dead = bury(options={"unique_key": "fox"})
    deployment.enqueue(new_message(unique_key="fox"))
    assert "1 left dead" in queue("retry", dead).output
    assert told("retry", "--all") == {"retried": 0, "left_dead": 1, "not_found": []}


def test_purge_asks_first(deployment: MongoBroker, bury: Bury) -> None:
    bury()
    refused = queue("purge", "--all", typed="n\n")
    assert refused.exit_code == 1
    assert "1 dead letters" in refused.output
    assert states(deployment) == ["REJECTED"]
    assert queue("purge", "--all", "--json").exit_code == 2
    assert queue("purge", "--all").exit_code == 1, "nobody answers"
    assert states(deployment) == ["REJECTED"]
    assert queue("purge", "--all", typed="y\n").exit_code == 0
    assert states(deployment) == []
    assert queue("purge", "--all").exit_code == 0, "there is nothing to ask about"


@pytest.mark.parametrize(
    "words",
    [
        ["retry"], ["retry", "--all", "--queue", "default"], ["retry", "some-id", "--all"], ["purge"],
        ["purge", "some-id", "--actor", "analyze"], ["pause"], ["pause", "--queue", "a", "--actor", "b"], ["resume"],
        ["dead", "--limit", "0"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_command_without_a_clear_choice_is_refused(deployment: MongoBroker, bury: Bury, words: list[str]) -> None:
    bury()
    assert queue(*words).exit_code == 2
    assert states(deployment) == ["REJECTED"]


@pytest.mark.parametrize(
    ("words", "what", "mend"),
    [
        (["dead", "--queue", "nowhere"], "no queue 'nowhere'", "default"),
        (["retry", "--queue", "nowhere"], "no queue 'nowhere'", "default"),
        (["purge", "--actor", "analyse"], "no actor 'analyse'", "analyze"),
        (["dead", "--actor", "analyse"], "no actor 'analyse'", "analyze"),
        (["pause", "--actor", "analyse"], "no actor 'analyse'", "analyze"),
        (["resume", "--actor", "analyse"], "no actor 'analyse'", "analyze"),
        (["pause", "--queue", "nowhere"], "no queue 'nowhere'", "default"),
        (["dead", "nonsense"], "the id nonsense", "huaban queue dead"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_unknown_name_ends_a_command_with_two_lines(
    deployment: MongoBroker, product: Product, words: list[str], what: str, mend: str
) -> None:
    result = queue(*words)
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert what in first
    assert mend in second


def test_queue_and_actor_are_paused_and_resumed(deployment: MongoBroker, product: Product) -> None:
    deployment.enqueue(new_message())
    assert queue("pause", "--queue", "default").exit_code == 0
    assert told("pause", "--actor", "analyze") == {"paused": {"queues": ["default"], "actors": ["analyze"]}}
    found = told("stats")
    assert found["paused"] == {"queues": ["default"], "actors": ["analyze"]}
    assert (found["queues"][0]["is_paused"], found["queues"][0]["paused"]) == (True, 1)
    assert "paused" in queue("stats").output
    assert "goes on" in queue("resume", "--queue", "default").output
    assert "1 paused" in queue("stats").output
    assert told("resume", "--actor", "analyze") == {"paused": {"queues": [], "actors": []}}
    assert "was not paused" in queue("resume", "--actor", "analyze").output


def test_schedules_are_listed(deployment: MongoBroker) -> None:
    assert "No worker" in queue("schedules").output
    assert told("schedules") == []
    plan = [
        Schedule(name, "0 3 * * *", new_message("sweep"), timezone="Asia/Shanghai") for name in ("nightly", "orphan")
    ]
    Scheduler(deployment, plan)._declare()
    old = {"$set": {"seen_at": datetime.now(UTC) - timedelta(hours=1)}}
    deployment.database[f"{QUEUE_PREFIX}_dramatiq_schedules"].update_one({"_id": "orphan"}, old)
    nightly, orphan = told("schedules")
    assert nightly.keys() == {
        "name", "cron", "timezone", "actor", "queue", "last_tick", "next_tick", "seen_at", "is_watched"
    }  # fmt: skip
    assert (nightly["last_tick"], nightly["is_watched"], orphan["is_watched"]) == (None, True, False)
    assert datetime.fromisoformat(nightly["next_tick"]).astimezone(UTC).hour == 19
    words = queue("schedules").output
    for word in ("nightly", "0 3 * * *", "Asia/Shanghai", "sweep", "no worker"):
        assert word in words


def test_commands_speak_chinese_where_the_terminal_does(
    deployment: MongoBroker, bury: Bury, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = bury()
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "死信" in queue("stats").output
    assert "3 分钟" in queue("dead").output
    assert "参数" in queue("dead", dead).output
    assert "没有名为" in queue("dead", "--queue", "nowhere").stderr
    assert "已重新排队 1 条" in queue("retry", "--all").output


def test_ids_are_whole_in_a_narrow_terminal(bury: Bury, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    dead = bury(queue="a-queue-with-a-long-name")
    assert dead in queue("dead").output


def test_database_of_a_running_stack_is_found_by_its_folder(
    deployment: MongoBroker, bury: Bury, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bury()
    monkeypatch.delenv("MONGODB_URI")
    folder = tmp_path / ".huaban"
    folder.mkdir()
    (folder / "mongod").symlink_to(servers.folder / "mongod")
    port = int(servers.mongodb_uri.rpartition(":")[2].partition("/")[0])
    mongod.note_port(folder / "mongod", port)
    try:
        assert len(told("dead")) == 1
        assert len(told("dead", "--data", str(folder))) == 1
    finally:
        (folder / "mongod" / mongod.PORT_FILE).unlink()


def test_port_of_a_mongod_that_is_gone_is_not_believed(tmp_path: Path) -> None:
    mongod.note_port(tmp_path, 27_117)
    assert mongod.running_uri(tmp_path) is None
    (tmp_path / "mongod.lock").touch()
    assert mongod.running_uri(tmp_path) is None


def test_database_that_does_not_answer_ends_a_command_with_two_lines(
    deployment: MongoBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.stack.outside.LIMIT_S", 0.2)
    monkeypatch.setenv("MONGODB_URI", f"mongodb://127.0.0.1:{free_port()}")
    result = queue("stats")
    assert result.exit_code == 1
    what, mend = result.stderr.splitlines()
    assert "does not answer" in what
    assert "MONGODB_URI" in mend


def test_no_database_at_all_is_told_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.stack.outside.LIMIT_S", 0.2)
    monkeypatch.delenv("MONGODB_URI", raising=False)
    # Asked directly: something may well listen at the default address of this machine.
    with pytest.raises(StackError) as refused:
        answering_uri(tmp_path, f"mongodb://127.0.0.1:{free_port()}")
    assert "huaban run" in refused.value.mend


def test_database_that_goes_away_meanwhile_ends_a_command_with_two_lines(
    deployment: MongoBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go_away(*_anything: object) -> None:
        from dramatiq.errors import ConnectionClosed

        raise ConnectionClosed(OSError("gone"))

    monkeypatch.setattr(queue_module(), "queue_stats", go_away)
    result = queue("stats")
    assert result.exit_code == 1
    what, mend = result.stderr.splitlines()
    assert "ConnectionClosed" in what
    assert "doctor" in mend


def test_a_setting_that_is_not_valid_is_told(deployment: MongoBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "loud")
    result = queue("stats")
    assert result.exit_code == 1
    assert "LOG_LEVEL" in result.stderr


@pytest.mark.parametrize(("language", "word"), [("C", "Show how much"), ("zh_CN.UTF-8", "每个队列")])
def test_help_is_in_the_terminals_language(language: str, word: str) -> None:
    env = {**os.environ, "LC_ALL": language, "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "app.cli", "queue", "--help"]
    assert word in subprocess.run(command, env=env, check=True, capture_output=True, encoding="utf-8").stdout


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, "0 s"), (59, "59 s"), (60, "1 min"), (200, "3 min"), (3600, "1 h"), (47 * 3600, "47 h"), (49 * 3600, "2 d")],
)
def test_ages_are_read_at_a_glance(seconds: float, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    assert age(seconds) == told
    assert (ago(None), in_future(None)) == ("-", "-")
