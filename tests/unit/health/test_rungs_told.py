"""What is said of a rung, cut by the time of which we say that we do not see. Pure."""

from __future__ import annotations

import random

import pytest

from sharpeyes.domain.health import Rung, RungInterval
from sharpeyes.domain.time import Ms, Span
from sharpeyes.health.hindsight import told_rung
from sharpeyes.health.ladder import Climb, Ladder


def climbed(start: int, end: int, *, said: bool = True) -> RungInterval:
    return RungInterval(
        camera="c", rung=Rung.RTSP, asked=Rung.USABLE, start=Ms(start), end=Ms(end), said=said
    )


@pytest.mark.parametrize(
    ("spans", "pieces"),
    [
        ([], [(10, 20, True)]),
        ([(0, 5)], [(10, 20, True)]),
        ([(20, 30)], [(10, 20, True)]),
        ([(0, 30)], [(10, 20, False)]),
        ([(0, 15)], [(10, 15, False), (15, 20, True)]),
        ([(15, 99)], [(10, 15, True), (15, 20, False)]),
        ([(12, 14), (14, 16)], [(10, 12, True), (12, 14, False), (14, 16, False), (16, 20, True)]),
    ],
)
def test_pieces(spans: list[tuple[int, int]], pieces: list[tuple[int, int, bool]]) -> None:
    told = told_rung(climbed(10, 20), [Span(Ms(a), Ms(b)) for a, b in spans])
    assert told == tuple(climbed(a, b, said=said) for a, b, said in pieces)


@pytest.mark.parametrize("seed", range(20))
def test_pieces_tile_the_time(seed: int) -> None:
    chance = random.Random(seed)
    edges = sorted(chance.sample(range(100), 8))
    spans = [Span(Ms(a), Ms(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    told = told_rung(climbed(20, 80), spans)
    assert [told[0].start, told[-1].end] == [20, 80]
    for at in range(20, 80):
        (piece,) = [p for p in told if p.end is not None and p.start <= at < p.end]
        assert piece.said is not any(span.start <= at < span.end for span in spans)


def test_a_cut_ladder_stands_where_it_stood() -> None:
    ladder = Ladder("c", Climb(Rung.RTSP, Rung.USABLE), Ms(10))
    cut, closed = ladder.cut(Ms(30))
    assert closed == climbed(10, 30)
    assert (cut.climb, cut.since) == (ladder.climb, 30)
    assert cut.cut(Ms(30)) == cut.cut(Ms(5)) == (cut, None)
    assert Ladder("c").cut(Ms(30)) == (Ladder("c"), None)
