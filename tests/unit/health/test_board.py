"""The board's counts and its subscribers."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.health import Failure, FailureKind, Keyframe, Phase, ProbeResult, Rung, State, Timings
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms
from sharpeyes.health.board import Board
from sharpeyes.health.judge import Standing


def camera(name: str, tier: Tier = Tier.COMMUNITY, department: str = "d", area: str = "a") -> Camera:
    streams = (Stream(role=StreamRole.MAIN, url=f"rtsp://h/{name}"),)
    return Camera(id=name, name=name, tier=tier, department=department, area=area, zone="z", streams=streams)


def standing(name: str, state: State, since: int = 0) -> Standing:
    return Standing(name, state, Ms(since), None, Ms(since))


def probed(rung: Rung, ok: bool = True, keyframe: Keyframe | None = None) -> ProbeResult:
    failure = None if ok else Failure(Phase.CONNECT, FailureKind.TIMEOUT, "")
    return ProbeResult(
        at=Ms(1), rung=rung, failure=failure, timings=Timings(), keyframe=keyframe, transcript=("said",)
    )


names = st.sampled_from([f"c{n}" for n in range(6)])
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("place"), names, st.sampled_from(Tier), st.sampled_from("de"), st.sampled_from("ab")
        ),
        st.tuples(st.just("update"), names, st.sampled_from(State), st.none() | st.sampled_from(Rung)),
        st.tuples(st.just("remove"), names),
    ),
    max_size=50,
)


@given(steps)
def test_counts_kept_up_equal_counts_made_afresh(story: list[tuple[object, ...]]) -> None:
    board = Board()
    for step in story:
        match step:
            case ("place", str(name), Tier() as tier, str(department), str(area)):
                entry = board.get(name)
                now = entry.standing if entry else standing(name, State.UNKNOWN)
                board.place(camera(name, tier, department, area), now)
            case ("update", str(name), State() as state, rung) if name in board:
                board.update(standing(name, state), None if rung is None else probed(Rung(rung)))
            case ("remove", str(name)):
                board.remove(name)
    tally = board.tally()
    assert tally.cameras == len(board) == len(list(board))
    assert tally.by_state == Counter(e.standing.state for e in board)
    assert tally.by_tier == Counter((e.camera.tier, e.standing.state) for e in board)
    assert tally.by_department == Counter((e.camera.department, e.standing.state) for e in board)
    assert tally.by_area == Counter((e.camera.area, e.standing.state) for e in board)
    assert tally.by_zone == Counter((e.camera.zone, e.standing.state) for e in board)
    assert tally.by_rung == Counter((e.camera.tier, e.probe.rung) for e in board if e.probe)


def test_no_picture_is_kept_and_the_dialogue_only_of_a_failure() -> None:
    board = Board()
    board.place(camera("c"), standing("c", State.UNKNOWN))
    picture = Keyframe(codec="h264", data=b"secret faces", rtp_time=0)
    entry = board.update(standing("c", State.ONLINE), probed(Rung.KEYFRAME, keyframe=picture))
    assert entry.probe is not None
    assert entry.probe.keyframe is None
    assert entry.probe.transcript == ()
    entry = board.update(standing("c", State.ONLINE), probed(Rung.NONE, ok=False))
    assert entry.probe is not None
    assert entry.probe.transcript == ("said",)


async def test_a_listener_hears_changes_in_their_order_and_learns_what_it_missed() -> None:
    board = Board()
    board.place(camera("c"), standing("c", State.UNKNOWN))
    with board.subscribe(limit=3) as changes:
        for n in range(5):
            board.update(standing("c", State.ONLINE if n % 2 == 0 else State.OFFLINE, n), probed(Rung.MEDIA))
        assert changes.missed == 2
        changes.close()
        heard = [(c.before, c.after, c.at) async for c in changes]
    assert heard == [
        (State.OFFLINE, State.ONLINE, 2),
        (State.ONLINE, State.OFFLINE, 3),
        (State.OFFLINE, State.ONLINE, 4),
    ]


async def test_a_closed_subscription_ends_and_is_told_nothing_more() -> None:
    board = Board()
    board.place(camera("c"), standing("c", State.UNKNOWN))
    changes = board.subscribe()

    async def listen() -> int:
        return len([change async for change in changes])

    listener = asyncio.create_task(listen())
    await asyncio.sleep(0)
    board.update(standing("c", State.ONLINE), probed(Rung.MEDIA))
    await asyncio.sleep(0)
    changes.close()
    board.update(standing("c", State.OFFLINE), probed(Rung.NONE))
    assert await listener == 1
