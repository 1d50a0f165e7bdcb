"""What faults of the picture lead to, and that the docs say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from sharpeyes.domain.health import Defect, PictureFault, ProbeResult, Rung, State, Timings
from sharpeyes.domain.time import Ms
from sharpeyes.health import severity, states
from sharpeyes.health.judge import Outcome, Policy, Standing, judge, observe

DOCS = Path(__file__).parents[3] / "docs" / "states.md"


def defect(kind: PictureFault, grade: int, since: int = 0) -> Defect:
    return Defect(kind=kind, severity=grade, since=Ms(since))


def test_the_docs_are_what_the_code_does() -> None:
    assert DOCS.read_text(encoding="utf-8") == states.draw(), (
        "run: python -m sharpeyes.health.states > docs/states.md"
    )


def test_every_kind_has_its_meaning() -> None:
    assert set(severity.MEANINGS) == set(PictureFault)


@pytest.mark.parametrize("kind", PictureFault)
def test_a_graver_fault_never_leads_to_a_better_state(kind: PictureFault) -> None:
    rank = [State.ONLINE, State.DEGRADED, State.OFFLINE]
    states_of = [rank.index(severity.state_of(defect(kind, grade))) for grade in (1, 2, 3)]
    critical = [severity.is_critical(defect(kind, grade)) for grade in (1, 2, 3)]
    assert states_of == sorted(states_of)
    assert critical == sorted(critical)


def test_only_a_lost_signal_takes_a_camera_offline() -> None:
    offline = {
        kind
        for kind in PictureFault
        for g in (1, 2, 3)
        if severity.state_of(defect(kind, g)) is State.OFFLINE
    }
    assert offline == {PictureFault.SIGNAL_LOST}


def test_the_worst_decides() -> None:
    faults = [
        defect(PictureFault.COLOR_CAST, 3),
        defect(PictureFault.FROZEN, 2),
        defect(PictureFault.NOISE, 1),
    ]
    worst = severity.worst(faults)
    assert worst is not None
    assert worst.kind is PictureFault.FROZEN
    assert severity.worst([]) is None


def test_a_camera_that_was_turned_away_is_no_covered_one() -> None:
    found = severity.worst([defect(PictureFault.OCCLUDED, 3), defect(PictureFault.SCENE_SHIFT, 3)])
    assert found is not None
    assert found.kind is PictureFault.SCENE_SHIFT


def result(at: int) -> ProbeResult:
    return ProbeResult(at=Ms(at), rung=Rung.KEYFRAME, failure=None, timings=Timings())


def test_a_standing_fault_is_what_each_probe_says() -> None:
    blurred = [defect(PictureFault.BLURRED, 2, since=500)]
    assert observe(result(1000), Policy(), blurred).outcome is Outcome.DEGRADED
    assert observe(result(1000), Policy(), [defect(PictureFault.BLURRED, 1)]).outcome is Outcome.PASS
    lost = observe(result(1000), Policy(), [defect(PictureFault.SIGNAL_LOST, 3)])
    assert (lost.outcome, lost.cause) == (Outcome.FAIL, "signal_lost")


def test_the_state_is_dated_to_the_first_sight_but_not_behind_what_is_said() -> None:
    policy = Policy()
    standing = judge(Standing.newcomer("c", Ms(0)), observe(result(1000), policy), policy).standing
    lost = [defect(PictureFault.SIGNAL_LOST, 3, since=5_000)]
    for at in (30_000, 40_000, 50_000):
        judged = judge(standing, observe(result(at), policy, lost), policy)
        standing = judged.standing
    assert (standing.state, standing.since, standing.cause) == (State.OFFLINE, 5_000, "signal_lost")
    assert [(i.start, i.end) for i in judged.closed] == [(1000, 5000)]
    early = judge(Standing.newcomer("c", Ms(0)), observe(result(1000), policy), policy).standing
    for at in (30_000, 40_000, 50_000):
        early = judge(
            early, observe(result(at), policy, [defect(PictureFault.FROZEN, 2, since=10)]), policy
        ).standing
    assert (early.state, early.since) == (State.DEGRADED, 1000)
