"""The checker finds each kind of broken promise where one is planted, and none where a fault explains what happened."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.checker import check
from tests.faults.evidence import Completion, Document, History, Stored
from tests.faults.ledger import Claim


class Story:
    """Messages and what happened to them, in the order in which it is told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.messages: dict[str, Document] = {}
        self.completions: list[Completion] = []
        self.claims: dict[str, list[Claim]] = {}
        self.alarms: list[str] = []

    def tell(self, event: str, **fields: Any) -> None:
        self.events.append({"event": event, "at": float(len(self.events)), **fields})

    def sent(self, message: str, kind: str = "plain", *, told: str = "sent") -> None:
        self.tell(told, message=message, kind=kind)
        self.messages[message] = Document("QUEUED")

    def start(self, message: str, token: str, *, process: str = "p", is_stored: bool = True) -> None:
        if is_stored:
            self.claims.setdefault(message, []).append(Claim(token))
        self.tell("taken", message=message, token=token, process=process)
        self.tell("start", message=message, token=token, process=process)

    def end(self, message: str, token: str, *, fate: str = "DONE", error: str | None = None) -> None:
        self.tell("end", message=message, token=token, error=error)
        self.leave(message, token, fate)

    def leave(self, message: str, token: str, fate: str, *, crashes: int = 0) -> None:
        """What the database came to hold of a delivery."""
        for claim in self.claims.get(message, []):
            if claim.token == token:
                claim.fate = fate
        self.messages[message] = Document(fate, crashes)

    def complete(self, message: str, token: str | None = None, *, follow_up: str | None = None) -> None:
        self.completions.append(Completion(message, token, follow_up))

    def run(self, message: str, token: str, *, process: str = "p") -> None:
        """A run as it should be."""
        self.start(message, token, process=process)
        self.complete(message, token)
        self.end(message, token)

    def kill(self, process: str) -> None:
        self.tell("death", of=process)

    def broken(self) -> set[str]:
        stored = Stored(self.messages, self.completions, self.claims, self.alarms)
        verdicts = check(History.of(self.events), stored, max_crashes=3)
        return {verdict.promise for verdict in verdicts if not verdict.is_kept}


@pytest.fixture
def story() -> Story:
    """One message that was sent, run and completed."""
    told = Story()
    told.sent("first")
    told.run("first", "a")
    return told


def test_a_quiet_campaign_breaks_nothing(story: Story) -> None:
    assert story.broken() == set()


def test_a_loss_is_found(story: Story) -> None:
    story.completions.clear()
    assert story.broken() == {"no message is lost"}


def test_a_message_that_vanished_is_a_loss(story: Story) -> None:
    story.sent("gone", "poison")
    del story.messages["gone"]
    assert "no message is lost" in story.broken()


def test_a_lost_follow_up_is_found(story: Story) -> None:
    story.complete("first", follow_up="second")
    assert "no message is lost" in story.broken()


def test_a_message_whose_sender_was_told_nothing_may_be_missing(story: Story) -> None:
    story.tell("unknown", message="perhaps", kind="plain")
    assert story.broken() == set()


def test_a_second_completion_is_found(story: Story) -> None:
    story.complete("first", "a")
    assert story.broken() == {"none is completed twice"}


def test_a_completion_by_a_delivery_that_lost_its_lease_is_found(story: Story) -> None:
    story.sent("second")
    story.start("second", "b", process="frozen")
    story.tell("suspended", of="frozen")
    story.leave("second", "b", "QUEUED")
    story.complete("second", "b")
    story.start("second", "c")
    story.end("second", "c")
    assert story.broken() == {"only the holder of the lease completes"}


def test_a_run_of_a_message_that_was_rolled_back_is_found(story: Story) -> None:
    story.start("phantom", "b")
    story.end("phantom", "b")
    story.complete("phantom")
    assert story.broken() == {"what was rolled back or refused does not run"}


def test_the_rescue_of_a_live_message_is_found(story: Story) -> None:
    story.sent("second")
    story.start("second", "b", process="alive")
    story.leave("second", "b", "QUEUED")
    story.run("second", "c", process="other")
    broken = {"no live message is rescued", "no run that no fault explains", "extra runs ≤ runs hit by faults"}
    assert story.broken() == broken


def test_a_run_after_a_stored_ack_is_found_though_the_process_was_killed_later(story: Story) -> None:
    story.kill("p")
    story.start("first", "b", process="other")
    story.end("first", "b")
    assert story.broken() == {"no run that no fault explains", "extra runs ≤ runs hit by faults"}


def test_a_run_after_the_process_of_the_one_before_was_killed_is_explained(story: Story) -> None:
    story.sent("second")
    story.start("second", "b", process="victim")
    story.kill("victim")
    story.leave("second", "b", "QUEUED", crashes=1)
    story.run("second", "c")
    assert story.broken() == set()


def test_a_death_explains_nothing_that_came_before_it(story: Story) -> None:
    story.sent("second")
    story.start("second", "b", process="victim")
    story.leave("second", "b", "QUEUED")
    story.run("second", "c")
    story.kill("victim")
    assert story.broken() == {"no live message is rescued", "no run that no fault explains"}


def test_who_takes_a_message_when_his_death_is_decided_dies_in_it(story: Story) -> None:
    story.sent("second")
    story.kill("victim")
    story.start("second", "b", process="victim")
    story.leave("second", "b", "QUEUED", crashes=1)
    story.run("second", "c")
    assert story.broken() == set()


def test_a_run_while_the_one_before_is_suspended_is_explained(story: Story) -> None:
    story.sent("second")
    story.start("second", "b", process="frozen")
    story.tell("suspended", of="frozen")
    story.leave("second", "b", "QUEUED")
    story.run("second", "c")
    story.tell("end", message="second", token="b", error="LeaseLost")
    assert story.broken() == set()


def test_a_suspended_run_that_raises_too_late_is_a_run_that_was_hit(story: Story) -> None:
    story.sent("second", "retried")
    story.start("second", "b", process="frozen")
    story.tell("suspended", of="frozen")
    story.leave("second", "b", "QUEUED")
    story.run("second", "c")
    story.tell("end", message="second", token="b", error="Retry")
    assert story.broken() == set()


def test_a_run_that_begins_in_a_process_that_was_suspended_with_it_is_found(story: Story) -> None:
    story.sent("prefetched")
    story.claims["prefetched"] = [Claim("b", "QUEUED")]
    story.tell("suspended", of="frozen")
    story.run("prefetched", "c")
    story.start("prefetched", "b", process="frozen", is_stored=False)
    story.tell("end", message="prefetched", token="b")
    assert story.broken() == {"no run that no fault explains", "extra runs ≤ runs hit by faults"}


def test_a_repeat_that_was_asked_for_is_no_extra_run(story: Story) -> None:
    story.sent("second", "retried")
    story.start("second", "b")
    story.end("second", "b", fate="DELAYED", error="Retry")
    story.run("second", "c")
    assert story.broken() == set()


def test_a_refused_completion_asks_for_no_repeat(story: Story) -> None:
    story.sent("second", "transactional")
    story.start("second", "b")
    story.end("second", "b", fate="DELAYED", error="LeaseLost")
    story.run("second", "c")
    assert story.broken() == {"no run that no fault explains", "extra runs ≤ runs hit by faults"}


def test_a_claim_that_died_with_its_primary_explains_a_second_run(story: Story) -> None:
    story.sent("second")
    story.start("second", "b", is_stored=False)
    story.tell("fault", is_failover=True)
    story.run("second", "c", process="other")
    assert story.broken() == set()


def test_a_claim_that_is_not_stored_excuses_nothing_without_a_failover(story: Story) -> None:
    story.sent("second")
    story.start("second", "b", is_stored=False)
    story.run("second", "c", process="other")
    assert "no live message is rescued" in story.broken()


def test_an_ack_that_died_with_its_primary_explains_a_second_run(story: Story) -> None:
    story.sent("second")
    story.start("second", "b")
    story.end("second", "b", fate="QUEUED")
    story.tell("fault", is_failover=True)
    story.run("second", "c")
    assert story.broken() == set()


def test_an_ack_that_is_not_stored_is_found_without_a_failover(story: Story) -> None:
    story.sent("second")
    story.start("second", "b")
    story.end("second", "b", fate="QUEUED")
    story.run("second", "c")
    assert story.broken() == {"no run that no fault explains", "extra runs ≤ runs hit by faults"}


def test_a_charge_to_a_message_that_did_not_run_is_found(story: Story) -> None:
    story.messages["first"] = Document("DONE", crashes=1)
    story.kill("p")
    assert story.broken() == {"only who ran is charged with a crash"}


def test_an_innocent_dead_letter_is_found(story: Story) -> None:
    story.messages["first"] = Document("REJECTED")
    assert story.broken() == {"dead letters are the planted poison"}


def told_poison(story: Story, *, deaths: int, fate: str) -> None:
    story.sent("bad", "poison")
    for number in range(deaths):
        story.start("bad", f"t{number}", process=f"victim{number}")
        story.kill(f"victim{number}")
        story.leave("bad", f"t{number}", "QUEUED")
    story.messages["bad"] = Document(fate, deaths)


def test_poison_that_is_buried_in_time_breaks_nothing(story: Story) -> None:
    told_poison(story, deaths=3, fate="REJECTED")
    assert story.broken() == set()


def test_poison_that_runs_too_often_is_found(story: Story) -> None:
    told_poison(story, deaths=4, fate="REJECTED")
    assert story.broken() == {"runs of the poison"}


def test_poison_that_is_done_is_found(story: Story) -> None:
    told_poison(story, deaths=3, fate="DONE")
    assert story.broken() == {"all poison is a dead letter"}


def test_a_message_in_flight_is_found(story: Story) -> None:
    story.messages["first"] = Document("CONSUMED")
    assert story.broken() == {"nothing is left in flight"}


def test_a_worker_that_ends_by_itself_is_found(story: Story) -> None:
    story.tell("boot", process="p", main="m")
    story.tell("ended", main="m")
    assert story.broken() == {"no worker ends by itself"}


def test_a_worker_that_was_killed_does_not_end_by_itself(story: Story) -> None:
    story.tell("boot", process="p", main="m")
    story.kill("p")
    story.tell("ended", main="m")
    assert story.broken() == set()


def test_an_error_that_nobody_expected_is_found(story: Story) -> None:
    story.alarms.append("InvalidOperation: no operations")
    assert story.broken() == {"no consumer or guardian fails"}
