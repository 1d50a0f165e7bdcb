"""What a scrape is told, and that its size does not grow with the city."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sharpeyes.api.metrics import Metrics, camera_page
from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.faults import Severity, TicketStage
from sharpeyes.domain.health import ProbeResult, Rung, State, Timings
from sharpeyes.domain.organisation import Tier, TierPolicy
from sharpeyes.domain.time import Ms
from sharpeyes.health.board import Board
from sharpeyes.health.fleet import Fleet
from sharpeyes.health.judge import Standing
from sharpeyes.health.probe import ProbeRequest
from sharpeyes.health.recorder import Recorder
from sharpeyes.store.database import Database
from sharpeyes.store.faults import TicketCount

NOW = Ms(1_790_000_000_000)


async def delivers(_: ProbeRequest) -> ProbeResult:
    return ProbeResult(at=NOW, rung=Rung.KEYFRAME, failure=None, timings=Timings(total_ms=500.0))


def put(board: Board, name: str, state: State, *, tier: Tier = Tier.COMMUNITY, zone: str = "net") -> None:
    camera = Camera(
        id=name,
        name=name,
        tier=tier,
        department="d",
        area="a",
        zone=zone,
        streams=(Stream(role=StreamRole.MAIN, url="rtsp://192.0.2.1/"),),
    )
    board.place(camera, Standing(name, state, NOW, None, NOW, NOW))


@pytest.fixture
def metrics(tmp_path: Path) -> tuple[Metrics, Board]:
    board, made = Board(), Metrics()
    recorder = Recorder(Database(f"sqlite:///{tmp_path / 'm.db'}"), clock=lambda: NOW)
    fleet = Fleet(made.timed(delivers), board=board, recorder=recorder, clock=lambda: NOW)
    made.show(board, fleet, recorder, {tier: TierPolicy(tier=tier, target=0.9) for tier in Tier})
    return made, board


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Without those of the process and of Python."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
        for sample in family.samples
        if sample.name.startswith("sharpeyes_")
    }


def test_ratios_leave_out_what_was_not_seen(metrics: tuple[Metrics, Board]) -> None:
    made, board = metrics
    for number, state in enumerate([State.ONLINE, State.DEGRADED, State.OFFLINE, State.UNKNOWN]):
        put(board, f"c{number}", state)
    put(board, "c9", State.MAINTENANCE)
    put(board, "p1", State.UNKNOWN, tier=Tier.PUBLIC_SECURITY, zone="police")
    found = samples(made)
    assert found["sharpeyes_online_ratio", "community"] == pytest.approx(2 / 3)
    assert found["sharpeyes_coverage_ratio", "community"] == pytest.approx(3 / 4)
    assert found["sharpeyes_online_target_ratio", "community"] == 0.9
    assert ("sharpeyes_online_ratio", "public_security") not in found
    assert found["sharpeyes_coverage_ratio", "public_security"] == 0
    assert ("sharpeyes_coverage_ratio", "departmental") not in found
    assert found["sharpeyes_zone_cameras", "unknown", "police"] == 1
    assert found["sharpeyes_zone_cameras", "online", "police"] == 0


def test_ten_times_the_cameras_are_no_more_series(metrics: tuple[Metrics, Board]) -> None:
    made, board = metrics
    sizes = []
    for count in (50, 500):
        for number in range(count):
            put(board, f"c{number}", list(State)[number % 5], tier=list(Tier)[number % 3])
        sizes.append(len(samples(made)))
    assert sizes[0] == sizes[1] < 500


async def test_the_latest_probe_has_a_time_once_there_was_one(metrics: tuple[Metrics, Board]) -> None:
    made, _ = metrics
    name = ("sharpeyes_last_probe_timestamp_seconds",)
    assert name not in samples(made)
    await made.timed(delivers)(ProbeRequest(url="rtsp://192.0.2.1/"))
    assert samples(made)[name] == (NOW + 500) / 1000


def test_tickets_are_told_only_once_somebody_counts_them(metrics: tuple[Metrics, Board]) -> None:
    made, _ = metrics
    assert not any(name[0].startswith("sharpeyes_tickets") for name in samples(made))
    made.tell_tickets([], NOW)
    found = samples(made)
    assert found["sharpeyes_tickets_overdue", "critical"] == 0
    assert found["sharpeyes_tickets_counted_timestamp_seconds",] == NOW / 1000
    counts = [
        TicketCount(severity=Severity.MAJOR, stage=TicketStage.ROUTED, open=3, overdue=1),
        TicketCount(severity=Severity.MAJOR, stage=TicketStage.HANDLED, open=2, overdue=1),
    ]
    made.tell_tickets(counts, NOW)
    found = samples(made)
    assert found["sharpeyes_tickets", "major", "routed"] == 3
    assert found["sharpeyes_tickets", "major", "handled"] == 2
    assert found["sharpeyes_tickets_overdue", "major"] == 2
    assert found["sharpeyes_tickets_overdue", "minor"] == 0


async def test_the_page_by_camera_is_of_one_moment() -> None:
    board = Board()
    for number in range(2500):
        put(board, f"c{number}", State.OFFLINE if number == 7 else State.ONLINE)
    put(board, 'odd"\\\n', State.ONLINE)
    put(board, "unseen", State.UNKNOWN)
    page = camera_page(board)
    text = await anext(page)
    for number in range(2500):  # they go while the page is being sent
        board.remove(f"c{number}")
    text += "".join([part async for part in page])
    families = {family.name: family for family in text_string_to_metric_families(text)}
    up = {sample.labels["camera_id"]: sample.value for sample in families["sharpeyes_camera_up"].samples}
    assert len(up) == 2501
    assert (up["c7"], up["c8"], up['odd"\\\n']) == (0, 1, 1)
    assert "unseen" not in up
    seen = families["sharpeyes_camera_last_probe_timestamp_seconds"].samples
    assert seen[0].value == NOW / 1000
