"""Who takes the blame: recorders, switches, ourselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.faults import Node, NodeKind
from sharpeyes.domain.time import Ms
from sharpeyes.faults.causes import (
    BlindReason,
    CausePolicy,
    Episode,
    Graph,
    blame,
    densest,
    episodes,
    learn,
    own_outage,
    sees_again,
)

POLICY = CausePolicy()
NOW = Ms(10_000_000)


def node(name: str, parent: str | None = None) -> Node:
    return Node(id=name, kind=NodeKind.NVR, name=name, parent=parent)


def city() -> Graph:
    """site > switch-1 > (nvr-1: 8, nvr-2: 8), site > switch-2 > (nvr-3: 8, lone-0, lone-1)"""
    nodes = [
        node("site"),
        node("switch-1", "site"),
        node("switch-2", "site"),
        node("nvr-1", "switch-1"),
        node("nvr-2", "switch-1"),
        node("nvr-3", "switch-2"),
    ]
    edges = {f"{n}.{c}": n for n in ("nvr-1", "nvr-2", "nvr-3") for c in range(8)}
    return Graph(nodes, edges | {"lone-0": "switch-2", "lone-1": "switch-2"})


CITY = city()


def fall(*prefixes: str, at: int = NOW, step: int = 1000) -> dict[str, Ms]:
    cameras = [c for c in CITY.parent_of if c.startswith(prefixes)]
    return {camera: Ms(at + number * step) for number, camera in enumerate(cameras)}


@pytest.mark.parametrize(
    ("fallen", "blamed"),
    [
        (("nvr-1.",), {"nvr-1": 8}),
        (("nvr-1.", "nvr-2."), {"switch-1": 16}),
        (("nvr-1.", "nvr-3."), {"nvr-1": 8, "nvr-3": 8}),
        (("nvr-1.", "nvr-2.", "nvr-3.", "lone"), {"site": 26}),
        (("nvr-1.1",), {}),
        (("nvr-1.1", "nvr-1.2", "nvr-1.3"), {}),
        (("nvr-3.", "lone-0"), {"nvr-3": 8}),
        (("nvr-3.", "lone"), {"switch-2": 10}),
        ((), {}),
    ],
)
def test_the_highest_node_that_the_evidence_reaches(fallen: tuple[str, ...], blamed: dict[str, int]) -> None:
    down = fall(*fallen) if fallen else {}
    found = blame(CITY, down, (), {}, POLICY)
    assert {name: len(each.children) for name, each in found.items()} == blamed
    assert all(each.since == min(down[c] for c in each.children) for each in found.values())


def test_what_has_one_branch_only_is_not_blamed_for_it() -> None:
    chain = Graph(
        [node("link"), node("switch", "link"), node("nvr", "switch")], {f"c{n}": "nvr" for n in range(4)}
    )
    assert blame(chain, dict.fromkeys(chain.parent_of, NOW), (), {}, POLICY).keys() == {"nvr"}


def test_falls_far_apart_are_not_simultaneous() -> None:
    assert blame(CITY, fall("nvr-1.", step=200_000), (), {}, POLICY) == {}


def test_who_is_not_seen_bears_no_witness() -> None:
    down = fall("nvr-1.0", "nvr-1.1")
    unseen = {f"nvr-1.{c}" for c in range(2, 8)}
    assert blame(CITY, down, (), {}, POLICY) == {}
    found = blame(CITY, down, unseen, {}, POLICY)["nvr-1"]
    assert (len(found.children), found.witnesses) == (2, 2)


def test_a_late_child_joins_an_early_one_does_not() -> None:
    down = fall("nvr-1.")
    down["nvr-1.0"] = Ms(NOW - 3_600_000)
    down["nvr-1.7"] = Ms(NOW + 3_600_000)
    found = blame(CITY, down, (), {"nvr-1": Ms(NOW)}, POLICY)["nvr-1"]
    assert found.children == {f"nvr-1.{c}" for c in range(1, 8)}


def test_blame_ends_when_half_is_back() -> None:
    down = fall("nvr-1.")
    active = {"nvr-1": Ms(NOW)}
    for back in range(4):
        del down[f"nvr-1.{back}"]
        assert ("nvr-1" in blame(CITY, down, (), active, POLICY)) is (back < 3)


def test_a_circle_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="hangs from itself"):
        Graph([node("a", "b"), node("b", "a")], {})


@given(
    st.dictionaries(st.sampled_from(sorted(CITY.parent_of)), st.integers(0, 2_000_000).map(Ms)),
    st.sets(st.sampled_from(sorted(CITY.parent_of))),
    st.dictionaries(st.sampled_from(sorted(CITY.nodes)), st.integers(0, 2_000_000).map(Ms)),
)
def test_blame_is_disjoint_and_only_for_what_is_down(
    down: dict[str, Ms], unseen: set[str], active: dict[str, Ms]
) -> None:
    found = blame(CITY, down, unseen, active, POLICY)
    children = [c for each in found.values() for c in each.children]
    assert len(children) == len(set(children))
    assert set(children) <= down.keys() - unseen
    for each in found.values():
        assert not set(CITY.ancestors(each.node)) & found.keys()
        assert len(each.children) > each.witnesses * POLICY.keep


# --- we ourselves --------------------------------------------------------------------------------------


def outage(down: dict[str, Ms], up: int, canary: Ms | None = None, now: int = NOW) -> object:
    found = own_outage(
        "west", down=down, up=up, graph=CITY, canary_failing=canary, now=Ms(now), policy=POLICY
    )
    return found.reason if found else None


def strangers(number: int, at: int = NOW) -> dict[str, Ms]:
    return {f"cam-{n}": Ms(at) for n in range(number)}


@pytest.mark.parametrize(
    ("down", "up", "expected"),
    [
        (strangers(20), 10, BlindReason.MASS),
        (strangers(20), 30, None),  # less than half
        (strangers(5), 0, None),  # too few to tell
        (fall("nvr-1.", "nvr-2."), 0, None),  # one site: a cause of their own
        (strangers(20, NOW - 700_000), 0, None),  # long ago
        ({f"cam-{n}": Ms(NOW - n * 100_000) for n in range(6)}, 0, None),  # one after the other
    ],
)
def test_a_mass_fall_is_ours(down: dict[str, Ms], up: int, expected: object) -> None:
    assert outage(down, up) is expected


def test_a_failing_canary_is_ours_and_dates_it() -> None:
    assert outage({}, 10, canary=NOW) is BlindReason.CANARY
    found = own_outage(
        "west",
        down=strangers(3, NOW - 60_000),
        up=9,
        graph=CITY,
        canary_failing=NOW,
        now=NOW,
        policy=POLICY,
    )
    assert found is not None
    assert found.since == NOW - 60_000


@pytest.mark.parametrize(
    ("down", "up", "canary", "expected"),
    [(0, 5, None, True), (5, 5, None, True), (6, 5, None, False), (0, 5, NOW, False), (0, 0, None, False)],
)
def test_it_is_over_when_half_is_seen(down: int, up: int, canary: Ms | None, expected: bool) -> None:
    assert sees_again(down=down, up=up, canary_failing=canary, policy=POLICY) is expected


@given(st.lists(st.integers(0, 1000).map(Ms), max_size=30), st.integers(0, 300))
def test_densest_window(instants: list[Ms], window: int) -> None:
    instants.sort()
    start, count = densest(instants, window)
    best = max((sum(a <= b <= a + window for b in instants) for a in instants), default=0)
    assert count == best
    if count:
        assert sum(start <= b <= start + window for b in instants) == count


# --- learning ------------------------------------------------------------------------------------------


def test_an_episode_is_told_when_nobody_can_join_any_more() -> None:
    down = {f"cam-{n}": Ms(n * 10_000) for n in range(4)} | {"late": Ms(900_000)}
    zones = dict.fromkeys(down, "west")
    assert episodes(zones, down, Ms(180_000), POLICY) == []
    (found,) = episodes(zones, down, Ms(180_001), POLICY)
    assert (found.at, found.cameras) == (0, frozenset(down) - {"late"})
    assert episodes(zones, down, Ms(880_000), POLICY) == [found], "the same fall is the same episode"


def test_a_branch_is_learned_from_falling_together() -> None:
    branch = {"a", "b", "c", "d"}
    history = [Episode("west", Ms(n), frozenset(branch | {f"chance-{n}"})) for n in range(3)]
    assert learn(history[:2], POLICY) == []
    (found,) = learn(history, POLICY)
    assert found.cameras == branch
    assert found == learn(reversed(history), POLICY)[0]


def test_zones_are_learned_apart() -> None:
    history = [Episode(zone, Ms(n), frozenset("abc")) for n in range(3) for zone in ("west", "east")]
    assert {found.zone for found in learn(history, POLICY)} == {"west", "east"}
