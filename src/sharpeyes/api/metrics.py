"""Prometheus metrics. Aggregates by default: the page's size does not depend on the number of cameras.

Names, units and labels follow the Prometheus conventions: base units, ratios 0..1, counters end in
``_total``. Rates over a day or a month come from the API, never from these samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from sharpeyes import __version__
from sharpeyes.domain.health import ProbeResult, Rung, State
from sharpeyes.domain.organisation import Tier, TierPolicy
from sharpeyes.health.board import Board, Entry
from sharpeyes.health.fleet import Fleet, Probe
from sharpeyes.health.probe import ProbeRequest
from sharpeyes.health.recorder import Recorder

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

DELIVERING = (State.ONLINE, State.DEGRADED)
"""The states that count as online: a degraded camera delivers, with a fault."""
SEEN = (*DELIVERING, State.OFFLINE)
"""The states that a ratio is about: unknown was not seen, maintenance is not obliged."""


class Metrics:
    """The service's own registry of metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._duration = Histogram(
            "sharpeyes_probe_duration_seconds",
            "From the start of a probe to its end.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
            registry=self.registry,
        )

    def show(
        self, board: Board, fleet: Fleet, recorder: Recorder, policies: Mapping[Tier, TierPolicy]
    ) -> None:
        """Read these at every scrape from now on."""
        self.registry.register(_FleetCollector(board, fleet, recorder, policies))

    def timed(self, probe: Probe) -> Probe:
        """The same probe, its durations taken down."""

        async def observed(request: ProbeRequest) -> ProbeResult:
            result = await probe(request)
            self._duration.observe(result.timings.total_ms / 1000)
            return result

        return observed


class _FleetCollector(Collector):
    """Reads the board at the moment of the scrape."""

    def __init__(
        self, board: Board, fleet: Fleet, recorder: Recorder, policies: Mapping[Tier, TierPolicy]
    ) -> None:
        self._board, self._fleet, self._recorder, self._policies = board, fleet, recorder, policies

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
        yield from self._prober()
        yield InfoMetricFamily("sharpeyes_build", "The running version.", value={"version": __version__})

    def _prober(self) -> Iterator[Metric]:
        """How the prober itself fares: these must be healthy before any other figure is believed."""
        stats = self._fleet.stats
        probes = CounterMetricFamily(
            "sharpeyes_probes", "Probes ended, by result: 'ok' or the kind of failure.", labels=["result"]
        )
        probes.add_metric(["ok"], stats.probes - sum(stats.failures.values()))
        for kind, number in stats.failures.items():
            probes.add_metric([kind.value], number)
        yield probes
        for name, help_text, value in (
            ("probes_in_flight", "Probes under way.", stats.in_flight),
            ("probes_waiting", "Of those under way, the ones that only wait for their time-out.", stats.slow),
            ("probe_lateness_seconds", "How long after its slot the latest probe began.", stats.late_s),
            ("prober_blind", "1 while most probes fail for the prober's own reasons.", int(stats.blind)),
            ("telemetry_waiting_rows", "Observed, but not stored yet.", self._recorder.waiting),
            ("telemetry_failing", "1 while the store cannot be written.", int(self._recorder.failing)),
        ):
            yield GaugeMetricFamily(f"sharpeyes_{name}", help_text, value=value)
        for name, help_text, value in (
            ("prober_stalls", "Times that the prober's event loop stood still.", stats.stalls),
            ("probes_withheld", "Probes without credentials, since these were refused.", stats.withheld),
        ):
            yield CounterMetricFamily(f"sharpeyes_{name}", help_text, value=value)


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
