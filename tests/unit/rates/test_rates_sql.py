"""What SQL adds up equals what is added up by hand, for whatever history."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from sharpeyes.domain.health import Interval, State
from sharpeyes.domain.time import Ms, Span
from sharpeyes.rates import timeline
from sharpeyes.rates.rate import Rate
from sharpeyes.rates.rates import SILENT_MS, TARGET, rates
from sharpeyes.store import rungs, schema, state_time, telemetry
from sharpeyes.store.database import Database
from sharpeyes.store.organisation import put_targets
from sharpeyes.store.state_time import Dimension, ancestry
from sharpeyes.store.telemetry import StoredStanding
from unit.store.conftest import HAVE_POSTGRESQL, new_postgresql  # noqa: F401 - a fixture

CAMERAS = ["c0", "c1", "c2", "c3"]
AREAS = {"city": None, "north": "city", "south": "city", "harbour": "south"}
TIERS = ["public_security", "departmental", "community"]
BY: list[Dimension] = ["tier", "department", "area", "zone", "camera", "all"]
START = 1_790_000_000_000
END = START + 1000


@pytest.fixture(scope="module", params=["sqlite", "postgresql"] if HAVE_POSTGRESQL else ["sqlite"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path_factory.mktemp('rates') / 'r.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("new_postgresql")()
    with Database(url) as database:
        database.upgrade()
        database.write(registry)
        yield database


def registry(connection: Any) -> None:
    connection.execute(insert(schema.department), [{"id": d, "name": d} for d in ("d0", "d1")])
    connection.execute(insert(schema.zone), [{"id": z, "name": z, "network": "7"} for z in ("z0", "z1")])
    connection.execute(insert(schema.area), [{"id": a, "name": a, "parent": p} for a, p in AREAS.items()])
    put_targets(connection, "tier", {"community": 0.9}, now=Ms(1))
    connection.execute(
        insert(schema.camera),
        [
            {
                "id": c,
                "name": c,
                "tier": "community",
                "department": "d0",
                "area": "city",
                "zone": "z0",
                "origin": "config",
                "transport": "tcp",
                "maintenance": False,
                "tags": [],
                "created_ms": 0,
                "changed_ms": 0,
            }
            for c in CAMERAS
        ],
    )


def edges(draw: st.DrawFn, most: int) -> list[int]:
    return sorted(draw(st.lists(st.integers(START, END), unique=True, max_size=most)))


@st.composite
def cities(draw: st.DrawFn) -> dict[str, tuple[list[Interval], list[dict[str, Any]]]]:
    """For each camera a history of states (with holes) and of memberships (with holes)."""
    city = {}
    for camera in CAMERAS:
        moments = edges(draw, 10)
        states = [
            Interval(camera=camera, state=draw(st.sampled_from(State)), start=Ms(a), end=Ms(b))
            for a, b in itertools.pairwise(moments)
            if draw(st.booleans())
        ]
        if moments and draw(st.booleans()):
            state = draw(st.sampled_from(State))
            states.append(Interval(camera=camera, state=state, start=Ms(moments[-1]), end=None))
        moments = edges(draw, 4)
        stays = [(a, b) for a, b in itertools.pairwise(moments) if draw(st.booleans())]
        if moments and draw(st.booleans()):
            stays.append((moments[-1], None))
        members = [
            {
                "camera_id": camera,
                "started_ms": a,
                "ended_ms": b,
                "tier": draw(st.sampled_from(TIERS)),
                "department": draw(st.sampled_from(["d0", "d1"])),
                "area": draw(st.sampled_from(list(AREAS))),
                "zone": draw(st.sampled_from(["z0", "z1"])),
            }
            for a, b in stays
        ]
        city[camera] = (states, members)
    return city


def fill(connection: Any, city: dict[str, tuple[list[Interval], list[dict[str, Any]]]], beat: int) -> None:
    for table in (schema.state_interval, schema.camera_state, schema.membership):
        connection.execute(delete(table))
    for states, members in city.values():
        telemetry.write_batch(
            connection,
            intervals=[i for i in states if i.end is not None],
            standings=[
                StoredStanding(
                    camera=i.camera,
                    state=i.state,
                    since=i.start,
                    cause=None,
                    observed=None,
                    fails=0,
                    passes=0,
                    streak=None,
                    last_probe=None,
                )
                for i in states
                if i.end is None
            ],
            beat=Ms(beat),
        )
        if members:
            connection.execute(insert(schema.membership), members)


@contextmanager
def sought(*, recent: bool) -> Iterator[None]:
    """Intervals sought by their end, or camera by camera, whatever would take less."""
    with pytest.MonkeyPatch.context() as patch:
        for room in (state_time, rungs):
            patch.setattr(room, "is_recent", lambda *_: recent)
        yield


def keys_of(by: Dimension, member: dict[str, Any]) -> list[str]:
    if by == "all":
        return ["all"]
    if by == "camera":
        return [member["camera_id"]]
    return ancestry(member["area"], AREAS) if by == "area" else [member[by]]


def by_hand(city: Any, span: Span, by: Dimension, known: int) -> dict[str, dict[str, Any]]:
    """The same, from the definition: every camera, every membership, every interval."""
    total: dict[str, dict[str, Any]] = defaultdict(lambda: {"cameras": set(), "ms": 0, "states": Counter()})
    for camera, (states, members) in city.items():
        for member in members:
            ended = span.end if member["ended_ms"] is None else member["ended_ms"]
            stay = span.clip(Span(Ms(member["started_ms"]), Ms(max(ended, member["started_ms"]))))
            if stay is None:
                continue
            for key in keys_of(by, member):
                total[key]["cameras"].add(camera)
                total[key]["ms"] += stay.length_ms
                total[key]["states"].update(timeline.durations(states, stay, known_until=Ms(known)))
    return total


@given(
    cities(),
    st.tuples(st.integers(START, END), st.integers(START, END)),
    st.sampled_from(BY),
    st.integers(START, END),
    st.sampled_from([0, 400, SILENT_MS + 1]),
    st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_rates_equal_the_definition(
    database: Database, city: Any, edges: tuple[int, int], by: Dimension, beat: int, silent: int, recent: bool
) -> None:
    database.write(lambda connection: fill(connection, city, beat))
    now = Ms(beat + silent)
    asked = Span(Ms(min(edges)), Ms(max(edges)))
    end = beat if silent <= SILENT_MS else now
    span = Span(asked.start, Ms(max(asked.start, min(asked.end, end))))
    with sought(recent=recent):
        found = {rate.key: rate for rate in database.read(lambda c: rates(c, asked, by, now))}
    expected = by_hand(city, span, by, beat) if span.length_ms else {}
    assert found.keys() == expected.keys()
    for key, hand in expected.items():
        rate, states = found[key], hand["states"]
        assert rate.span == span
        assert rate.cameras == len(hand["cameras"])
        assert rate.obliged_ms == hand["ms"] - states[State.MAINTENANCE]
        assert rate.online_ms == states[State.ONLINE] + states[State.DEGRADED]
        assert rate.degraded_ms == states[State.DEGRADED]
        assert rate.offline_ms == states[State.OFFLINE]
        assert rate.maintenance_ms == states[State.MAINTENANCE]
        assert 0 <= rate.unknown_ms <= rate.obliged_ms
        assert rate.target == (0.9 if (by, key) == ("tier", "community") else TARGET)
        last = by_hand(city, Span(Ms(span.end - 1), span.end), by, beat)[key]
        heads = rate.headcount
        assert heads.total == len(last["cameras"])
        assert heads.online == last["states"][State.ONLINE] + last["states"][State.DEGRADED]
        assert heads.offline == last["states"][State.OFFLINE]
        assert heads.total == heads.online + heads.offline + heads.unknown + heads.maintenance


@given(cities(), st.lists(st.integers(START, END), min_size=1, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
def test_parts_of_a_span_add_up_to_the_whole(database: Database, city: Any, cuts: list[int]) -> None:
    database.write(lambda connection: fill(connection, city, END))
    moments = [START, *sorted(cuts), END]

    def total(*spans: Span) -> Counter[str]:
        figures: Counter[str] = Counter()
        for span in spans:
            for rate in database.read(lambda c, span=span: rates(c, span, "department", Ms(END))):
                figures.update(figure(rate))
        return +figures

    parts = [Span(Ms(a), Ms(b)) for a, b in itertools.pairwise(moments)]
    assert total(*parts) == total(Span(Ms(START), Ms(END)))


def figure(rate: Rate) -> dict[str, int]:
    names = ("obliged_ms", "online_ms", "degraded_ms", "offline_ms", "unknown_ms", "maintenance_ms")
    return {f"{rate.key} {name}": getattr(rate, name) for name in names}


def test_a_batch_written_twice_is_written_once(database: Database) -> None:
    interval = Interval(camera="c0", state=State.OFFLINE, start=Ms(10), end=Ms(20), cause="timeout")
    database.write(lambda c: fill(c, {}, 0))
    for _ in range(2):
        database.write(lambda c: telemetry.write_batch(c, intervals=[interval], beat=Ms(30)))
    assert database.read(lambda c: telemetry.intervals(c, "c0", Span(Ms(0), Ms(100)))) == [interval]
    assert database.read(telemetry.get_heartbeat) == 30


def test_intervals_come_in_pages(database: Database) -> None:
    spells = [
        Interval(
            camera="c1", state=[State.ONLINE, State.OFFLINE][n % 2], start=Ms(n * 10), end=Ms(n * 10 + 10)
        )
        for n in range(25)
    ]
    database.write(lambda c: fill(c, {"c1": (spells, [])}, 0))
    span, pages, after = Span(Ms(35), Ms(205)), [], None
    while page := database.read(
        lambda c, after=after: telemetry.intervals(c, "c1", span, after=after, limit=7)
    ):
        pages.append(page)
        after = page[-1].start
    assert [len(page) for page in pages] == [7, 7, 4]
    assert [i for page in pages for i in page] == spells[3:21]


def test_an_open_interval_is_refused_as_a_closed_one(database: Database) -> None:
    interval = Interval(camera="c0", state=State.ONLINE, start=Ms(10), end=None)
    with pytest.raises(ValueError, match="open interval"):
        database.write(lambda c: telemetry.write_batch(c, intervals=[interval]))


def test_a_loop_in_the_tree_of_areas_ends() -> None:
    assert ancestry("a", {"a": "b", "b": "a"}) == ["a", "b"]
