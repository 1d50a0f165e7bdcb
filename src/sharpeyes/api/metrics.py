"""Prometheus metrics. Aggregates by default: the page's size does not depend on the number of cameras.

Names, units and labels follow the Prometheus conventions: base units, ratios 0..1, counters end in
``_total``. Rates over a day or a month come from the API, never from these samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from sharpeyes import __version__
from sharpeyes.domain.camera import Camera
from sharpeyes.domain.health import ProbeResult, Rung, State
from sharpeyes.domain.organisation import Tier, TierPolicy
from sharpeyes.health.board import Board, Entry
from sharpeyes.health.fleet import Fleet

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

DELIVERING = (State.ONLINE, State.DEGRADED)
"""The states that count as online: a degraded camera delivers, with a fault."""
SEEN = (*DELIVERING, State.OFFLINE)
"""The states that a ratio is about: unknown was not seen, maintenance is not obliged."""


class Metrics:
    """The service's own registry of metrics; the fleet tells it of each probe."""

    def __init__(self, board: Board, fleet: Fleet, policies: Mapping[Tier, TierPolicy]) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(_FleetCollector(board, fleet, policies))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._probes = Counter(
            "sharpeyes_probes",
            "Probes ended, by tier and result: 'ok' or the kind of failure.",
            ["tier", "result"],
            registry=self.registry,
        )
        self._duration = Histogram(
            "sharpeyes_probe_duration_seconds",
            "From the start of a probe to its end.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
            registry=self.registry,
        )

    def observe(self, camera: Camera, result: ProbeResult) -> None:
        """A probe of this camera has ended."""
        outcome = "ok" if result.failure is None else result.failure.kind.value
        self._probes.labels(camera.tier.value, outcome).inc()
        self._duration.observe(result.timings.total_ms / 1000)


class _FleetCollector(Collector):
    """Reads the board at the moment of the scrape."""

    def __init__(self, board: Board, fleet: Fleet, policies: Mapping[Tier, TierPolicy]) -> None:
        self._board, self._fleet, self._policies = board, fleet, policies

    def collect(self) -> Iterator[Metric]:
        tally = self._board.tally()
        cameras = GaugeMetricFamily(
            "sharpeyes_cameras", "Registered cameras by tier and present state.", labels=["tier", "state"]
        )
        online = GaugeMetricFamily(
            "sharpeyes_online_ratio",
            "Cameras that deliver (online, degraded) among those seen now; unknown and maintenance are"
            " left out. No sample while none is seen.",
            labels=["tier"],
        )
        coverage = GaugeMetricFamily(
            "sharpeyes_coverage_ratio",
            "Cameras seen now among those obliged to deliver: how much of the tier the ratio speaks for.",
            labels=["tier"],
        )
        target = GaugeMetricFamily(
            "sharpeyes_online_target_ratio", "The online ratio that the tier is held to.", labels=["tier"]
        )
        rungs = GaugeMetricFamily(
            "sharpeyes_cameras_rung",
            "Cameras by the highest rung of the liveness ladder that their last probe reached.",
            labels=["tier", "rung"],
        )
        for tier, policy in self._policies.items():
            counts = {state: tally.by_tier.get((tier, state), 0) for state in State}
            for state, number in counts.items():
                cameras.add_metric([tier.value, state.value], number)
            seen = sum(counts[state] for state in SEEN)
            obliged = seen + counts[State.UNKNOWN]
            if seen:
                online.add_metric([tier.value], sum(counts[state] for state in DELIVERING) / seen)
            if obliged:
                coverage.add_metric([tier.value], seen / obliged)
            target.add_metric([tier.value], policy.target)
            for rung in Rung:
                rungs.add_metric([tier.value, rung.label], tally.by_rung.get((tier, rung), 0))
        yield from (cameras, online, coverage, target, rungs)
        yield InfoMetricFamily("sharpeyes_build", "The running version.", value={"version": __version__})


def camera_page(board: Board) -> Iterator[str]:
    """The opt-in page: whether each camera delivers and when it was last seen, named by id only."""
    yield "# HELP sharpeyes_camera_up 1 if the camera delivers, 0 if it is offline; no sample while unseen.\n"
    yield "# TYPE sharpeyes_camera_up gauge\n"
    for entry in board:
        if entry.standing.state in SEEN:
            up = int(entry.standing.state in DELIVERING)
            yield f'sharpeyes_camera_up{{camera_id="{_label(entry)}"}} {up}\n'
    yield "# HELP sharpeyes_camera_last_probe_timestamp_seconds When the camera was last seen by a probe.\n"
    yield "# TYPE sharpeyes_camera_last_probe_timestamp_seconds gauge\n"
    for entry in board:
        if entry.standing.observed is not None:
            seconds = entry.standing.observed / 1000
            yield f'sharpeyes_camera_last_probe_timestamp_seconds{{camera_id="{_label(entry)}"}} {seconds}\n'


def _label(entry: Entry) -> str:
    return entry.camera.id.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
