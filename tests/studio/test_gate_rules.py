from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from studio.gates import Gate, Place
from studio.gates.gate import (
    OPEN_FOR_AT_MOST_S,
    PLACE_KEPT_S,
    Verdict,
    answered,
    come,
    failed,
    gone,
    has_places,
    kept,
    shut,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
GATE = Gate(id="ark/animator/calls")


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def comes(
    gate: Gate, seconds: float, *, per_minute: int | None = None, place: Place | None = None, caller: str = "somebody"
) -> tuple[Gate, Verdict]:
    return come(gate, at(seconds), per_minute=per_minute, place=place, caller=caller)


def opened(gate: Gate = GATE, *, times: int = 1) -> tuple[Gate, float]:
    """A gate whose circuit was opened so often in a row, and when it may be probed."""
    for _ in range(5):
        gate = failed(gate, NOW, caller="somebody")
    for number in range(times - 1):
        seconds = (gate.shut_until - NOW).total_seconds()
        gate, verdict = comes(gate, seconds, caller=f"probe-{number}")
        assert verdict.goes
        gate = failed(gate, at(seconds), caller=f"probe-{number}")
    return gate, (gate.shut_until - NOW).total_seconds()


@pytest.mark.parametrize("per_minute", [1, 3, 60, 600])
def test_no_minute_has_more_calls_than_it_may(per_minute: int) -> None:
    gate, went, places = GATE, list[float](), dict[int, Place]()
    waiting = [(0.0, number) for number in range(3 * per_minute)]
    # All come at once; each comes again when it was told to, some of them late.
    while waiting and len(went) < 2 * per_minute:
        waiting.sort()
        moment, number = waiting.pop(0)
        gate, verdict = comes(gate, moment, per_minute=per_minute, place=places.get(number))
        if verdict.goes:
            went.append(moment)
            continue
        if verdict.is_placed:
            places[number] = kept(gate, verdict, ticket=str(number))
        late_s = 0.4 if number % 7 == 0 else 0.0
        waiting.append(((verdict.at - NOW).total_seconds() + late_s, number))
    busiest = max(sum(1 for other in went if begins <= other < begins + 60) for begins in went)
    assert busiest <= per_minute
    assert went[-1] <= 2 * 61 + 1, "and nearly as many as it may"


def test_whoever_comes_first_goes_first() -> None:
    gate, places = GATE, []
    for number in range(10):
        gate, verdict = comes(gate, 0, per_minute=30)
        if not verdict.goes:
            places.append(kept(gate, verdict, ticket=str(number)))
    assert len(places) == 9
    dues = [place.due_at(gate) for place in places]
    assert dues == sorted(set(dues))
    first = (dues[0] - NOW).total_seconds()
    newcomer = comes(gate, first, per_minute=30)[1]
    assert not newcomer.goes, "his place is behind theirs"
    assert newcomer.at > dues[-1]
    assert comes(gate, first, per_minute=30, place=places[0])[1].goes


def test_a_pause_moves_the_whole_line() -> None:
    gate, places = GATE, []
    for number in range(6):
        gate, verdict = comes(gate, 0, per_minute=60)
        if not verdict.goes:
            places.append(kept(gate, verdict, ticket=str(number)))
    before = [place.due_at(gate) for place in places]
    gate = shut(gate, at(0.5), for_s=30)
    assert [place.due_at(gate) for place in places] == [due + timedelta(seconds=30) for due in before]
    late, verdict = comes(gate, 2, per_minute=60, place=places[0])
    assert (late, verdict.goes) == (gate, False)
    assert verdict.at >= at(30.5)
    assert shut(gate, at(10), for_s=5) == gate, "a shorter one adds nothing to it"


def test_after_a_pause_those_who_have_no_pace_do_not_come_all_at_once() -> None:
    gate = shut(GATE, NOW, for_s=30)
    times = []
    for _ in range(100):
        gate, verdict = comes(gate, 1)
        assert not verdict.goes
        times.append(verdict.at)
    assert len(set(times)) == 100
    assert times[0] == at(30)
    assert comes(gate, 30)[1].goes, "and whoever comes when it is over may go"


def test_four_faults_and_an_answer_do_not_open_the_circuit() -> None:
    gate = GATE
    for _ in range(3):
        for _ in range(4):
            gate = failed(gate, NOW, caller="somebody")
        gate = answered(gate, NOW, caller="somebody")
    assert not gate.is_troubled


def test_five_faults_in_a_row_open_the_circuit() -> None:
    gate, until = opened()
    assert until == 10
    verdict = comes(gate, 9)[1]
    assert (verdict.goes, verdict.at) == (False, at(10))


def test_one_probe_goes_through_an_open_circuit() -> None:
    gate, until = opened()
    gate, probe = comes(gate, until, caller="probe")
    assert probe.goes
    for seconds in range(100):
        unchanged, verdict = comes(gate, until + seconds, caller=f"other-{seconds}")
        assert (unchanged, verdict.goes) == (gate, False)
    gate = answered(gate, at(until + 1), caller="probe")
    assert not gate.is_open
    assert comes(gate, until + 1)[1].goes


def test_a_probe_that_fails_doubles_the_time_until_the_next() -> None:
    assert [opened(times=times)[1] for times in (1, 2, 3, 4)] == [10, 30, 70, 150]
    before, after = opened(times=9)[1], opened(times=10)[1]
    assert after - before == OPEN_FOR_AT_MOST_S


def test_only_the_probe_speaks_for_a_provider_that_is_away() -> None:
    gate, until = opened()
    assert failed(gate, NOW, caller="late") == gate
    assert answered(gate, NOW, caller="late") == gate
    gate, _ = comes(gate, until, caller="probe")
    assert answered(gate, at(until), caller="late") == gate


def test_a_probe_that_was_never_made_lets_another_one_go() -> None:
    gate, until = opened()
    gate, _ = comes(gate, until, caller="probe")
    assert comes(gone(gate, at(until), caller="probe"), until, caller="other")[1].goes
    assert comes(gate, until + 200, caller="other")[1].goes, "nor does one whose worker died keep it shut for ever"


def test_what_a_provider_says_about_when_to_come_again_is_kept_to() -> None:
    gate = failed(GATE, NOW, caller="somebody", for_s=25)
    assert (gate.is_open, gate.shut_until) == (False, at(25))
    for _ in range(4):
        gate = failed(gate, NOW, caller="somebody", for_s=25)
    assert (gate.is_open, gate.shut_until) == (True, at(25))


def test_places_are_looked_for_as_long_as_one_is_kept() -> None:
    gate, _ = comes(GATE, 0, per_minute=1)
    assert not has_places(gate, NOW), "nobody came too early yet"
    gate, verdict = comes(gate, 1, per_minute=1)
    assert verdict.is_placed
    gate = shut(gate, at(2), for_s=30)
    place = kept(gate, verdict, ticket="somebody")
    assert has_places(gate, at(2))
    assert has_places(gate, place.expires_at - timedelta(milliseconds=1))
    assert not has_places(gate, gate.line_at + timedelta(seconds=PLACE_KEPT_S))
