"""Rungs over time: confirmed like states, tiling what was seen."""

from __future__ import annotations

import itertools
import random

from sharpeyes.domain.health import Rung, RungInterval
from sharpeyes.domain.time import Ms
from sharpeyes.health.judge import Policy
from sharpeyes.health.ladder import Climb, Ladder

POLICY = Policy()
LIVE = Climb(Rung.KEYFRAME, Rung.KEYFRAME)
USABLE = Climb(Rung.USABLE, Rung.USABLE)
DECODED = Climb(Rung.DECODED, Rung.USABLE)
DEAD = Climb(Rung.NONE, Rung.USABLE)


def walk(*looks: tuple[int, Climb | None]) -> tuple[Ladder, list[RungInterval]]:
    ladder, closed = Ladder("c"), []
    for at, climb in looks:
        ladder, one = ladder.unseen(Ms(at)) if climb is None else ladder.look(Ms(at), climb, POLICY)
        if one is not None:
            closed.append(one)
    return ladder, closed


def test_the_first_look_is_believed() -> None:
    ladder, closed = walk((10, LIVE))
    assert (ladder.climb, ladder.since, closed) == (LIVE, 10, [])


def test_one_look_that_comes_less_far_changes_nothing() -> None:
    ladder, closed = walk((10, USABLE), (20, DEAD), (30, USABLE), (40, DEAD), (50, DEAD))
    assert (ladder.climb, closed) == (USABLE, [])


def test_three_in_a_row_do_and_are_dated_to_the_first_at_the_highest_of_them() -> None:
    ladder, closed = walk((10, USABLE), (20, DEAD), (30, Climb(Rung.RTSP, Rung.USABLE)), (40, DEAD))
    assert (ladder.climb, ladder.since) == (Climb(Rung.RTSP, Rung.USABLE), 20)
    assert [(i.rung, i.start, i.end) for i in closed] == [(Rung.USABLE, 10, 20)]


def test_two_in_a_row_lead_up_again() -> None:
    ladder, _ = walk((10, DECODED), (20, USABLE), (30, USABLE))
    assert (ladder.climb, ladder.since) == (USABLE, 20)


def test_looking_further_needs_no_confirmation_and_neither_does_looking_less_far() -> None:
    ladder, closed = walk((10, LIVE), (20, USABLE), (30, LIVE))
    assert (ladder.climb, ladder.since) == (LIVE, 30)
    assert [(i.rung, i.asked, i.start, i.end) for i in closed] == [
        (Rung.KEYFRAME, Rung.KEYFRAME, 10, 20),
        (Rung.USABLE, Rung.USABLE, 20, 30),
    ]


def test_unseen_time_has_no_interval() -> None:
    ladder, closed = walk((10, USABLE), (20, None), (25, None), (30, USABLE))
    assert (ladder.climb, ladder.since) == (USABLE, 30)
    assert [(i.start, i.end) for i in closed] == [(10, 20)]


def test_whatever_comes_intervals_do_not_overlap() -> None:
    chance = random.Random(7)
    climbs = [LIVE, USABLE, DECODED, DEAD, Climb(Rung.CHANGING, Rung.USABLE), None]
    for _ in range(200):
        at, looks = 0, []
        for _ in range(60):
            at += chance.choice((0, 1, 10))
            looks.append((at - chance.choice((0, 0, 0, 5)), chance.choice(climbs)))
        ladder, closed = walk(*looks)
        assert all(i.end is not None and i.end > i.start for i in closed)
        assert all(a.end is not None and a.end <= b.start for a, b in itertools.pairwise(closed))
        assert not closed or ladder.since >= (closed[-1].end or 0)
