"""N of M: single looks are evidence, several are a verdict."""

from __future__ import annotations

import json

from sharpeyes.domain.health import PictureFault, Rung
from sharpeyes.domain.time import Ms
from sharpeyes.health.sight import Finding, Seen, Sight, after, forget

BLUR = Finding(kind=PictureFault.BLURRED, severity=2, score=0.9, explanation="soft")
FREEZE = Finding(kind=PictureFault.FROZEN, severity=2, score=0.9)


def see(*looks: Seen) -> Sight:
    sight: Sight | None = None
    for look in looks:
        sight = after(sight, look)
    assert sight is not None
    return sight


def look(at: int, *findings: Finding, unassessed: frozenset[PictureFault] = frozenset()) -> Seen:
    return Seen(at=Ms(at), mode="day", findings=findings, unassessed=unassessed)


def test_one_sight_is_no_fault_and_wants_another_look() -> None:
    sight = see(look(1), look(2, BLUR))
    assert (sight.defects, sight.rung, sight.unsettled) == ((), Rung.USABLE, True)
    assert not see(look(1), look(2, BLUR), look(3), look(4)).unsettled


def test_two_of_three_raise_it_dated_to_the_first() -> None:
    sight = see(look(1), look(2, BLUR), look(3), look(4, BLUR))
    (defect,) = sight.defects
    assert (defect.kind, defect.since, defect.severity) == (PictureFault.BLURRED, 2, 2)
    assert not see(look(1, BLUR), look(2), look(3), look(4, BLUR)).defects


def test_two_clear_looks_end_it() -> None:
    raised = (look(1, BLUR), look(2, BLUR))
    assert see(*raised, look(3)).defects
    assert see(*raised, look(3)).unsettled
    assert not see(*raised, look(3), look(4)).defects
    assert see(*raised, look(3), look(4, BLUR), look(5)).defects


def test_a_look_that_could_not_judge_counts_neither_way() -> None:
    blind = frozenset({PictureFault.BLURRED})
    sight = see(look(1, BLUR), look(2, unassessed=blind), look(3, unassessed=blind), look(4, BLUR))
    assert [d.since for d in sight.defects] == [1]
    kept = see(look(1, BLUR), look(2, BLUR), look(3, unassessed=blind), look(4, unassessed=blind))
    assert kept.defects


def test_the_rung_is_by_what_is_confirmed() -> None:
    assert see(look(1, FREEZE)).rung is Rung.USABLE
    assert see(look(1, FREEZE), look(2, FREEZE)).rung is Rung.DECODED
    assert see(look(1, BLUR), look(2, BLUR)).rung is Rung.USABLE  # severity 2 is seen, but spoils nothing
    grave = Finding(kind=PictureFault.BLURRED, severity=3, score=1.0)
    assert see(look(1, grave), look(2, grave)).rung is Rung.CHANGING


def test_keyframes_without_a_picture() -> None:
    blank = Seen(at=Ms(1), decoded=False)
    assert see(look(0), blank).rung is Rung.USABLE
    assert see(look(0), blank).unsettled
    sight = see(look(0), *(Seen(at=Ms(at), decoded=False) for at in (1, 2, 3)))
    assert sight.rung is Rung.KEYFRAME
    assert [d.kind for d in sight.defects] == [PictureFault.CORRUPT]


def test_it_is_stored_and_read_back() -> None:
    sight = see(look(1, BLUR), look(2, BLUR, FREEZE), look(3, BLUR))
    assert Sight.parse(sight.at, json.loads(json.dumps(sight.document()))) == sight


def test_what_an_operator_accepts_is_forgotten() -> None:
    sight = forget(see(look(1, BLUR, FREEZE), look(2, BLUR, FREEZE)), [PictureFault.BLURRED])
    assert [d.kind for d in sight.defects] == [PictureFault.FROZEN]
