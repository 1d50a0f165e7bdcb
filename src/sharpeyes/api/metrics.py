"""Prometheus metrics. Aggregates by default: the page's size does not depend on the number of cameras.

Names, units and labels follow the Prometheus conventions: base units, ratios 0..1, counters end in
``_total``. Rates over a day or a month come from the API, never from these samples.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from sharpeyes import __version__
from sharpeyes.api.connections import Connections
from sharpeyes.domain.faults import Severity
from sharpeyes.domain.health import PictureFault, ProbeResult, Rung, State
from sharpeyes.domain.organisation import Tier, TierPolicy
from sharpeyes.domain.time import Ms
from sharpeyes.health.board import Board, Entry
from sharpeyes.health.fleet import Fleet, Probe
from sharpeyes.health.probe import ProbeRequest
from sharpeyes.health.quality import Quality
from sharpeyes.health.recorder import Recorder
from sharpeyes.selfwatch.canaries import Canaries
from sharpeyes.selfwatch.reckoner import ALARMS
from sharpeyes.selfwatch.schedule import FAULTS, Show
from sharpeyes.store.faults import TicketCount

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
        self._canary_delay = Histogram(
            "sharpeyes_canary_detection_seconds",
            "From the moment a canary showed a fault until it was named. A fault that was not: see misses.",
            labelnames=["kind"],
            buckets=(5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0),
            registry=self.registry,
        )
        self._last_probe: float | None = None
        self._tickets = _TicketCollector()
        self.registry.register(self._tickets)
        self._reviews = _ReviewCollector()
        self.registry.register(self._reviews)

    def show(
        self, board: Board, fleet: Fleet, recorder: Recorder, policies: Mapping[Tier, TierPolicy]
    ) -> None:
        """Read these at every scrape from now on."""
        self.registry.register(
            _FleetCollector(board, fleet, recorder, policies, last_probe=lambda: self._last_probe)
        )

    def show_pictures(self, board: Board, quality: Quality) -> None:
        """Read these, too, at every scrape from now on."""
        self.registry.register(_PictureCollector(board, quality))

    def show_canaries(self, canaries: Canaries) -> None:
        """How the canaries are seen, too."""
        self.registry.register(_CanaryCollector(canaries))

    def tell_detected(self, show: Show, seconds: float) -> None:
        """A canary's fault was named after so long."""
        self._canary_delay.labels(show.value).observe(seconds)

    def tell_tickets(self, counts: Sequence[TicketCount], at: Ms) -> None:
        """Show these open tickets from now on; ``at``: when faults were last looked at and counted.

        Until the first time there are no such series: nothing said is not the same as no faults.
        """
        self._tickets.counts, self._tickets.at = tuple(counts), at

    def show_views(self, views: Callable[[], int], transcodes: Callable[[], int], places: int) -> None:
        """Read these at every scrape: views that run, and processes that code a stream anew, of so many
        ``places``."""
        self.registry.register(_ViewCollector(views, transcodes, places))

    def show_connections(self, connections: Connections) -> None:
        """Read at every scrape who is connected to the service."""
        self.registry.register(_ConnectionCollector(connections))

    def tell_reviews(self, waiting: int, overdue: int) -> None:
        """Show from now on that so many emergency overrides wait for their review."""
        self._reviews.counts = {"waiting": waiting, "overdue": overdue}

    def timed(self, probe: Probe) -> Probe:
        """The same probe, its durations taken down."""

        async def observed(request: ProbeRequest) -> ProbeResult:
            result = await probe(request)
            self._duration.observe(result.timings.total_ms / 1000)
            self._last_probe = (result.at + result.timings.total_ms) / 1000
            return result

        return observed


class _ConnectionCollector(Collector):
    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        held = GaugeMetricFamily(
            "sharpeyes_http_connections",
            "Connections to the service: of somebody who was let in, or a stranger's.",
            labels=["caller"],
        )
        held.add_metric(["known"], self._connections.known)
        held.add_metric(["stranger"], self._connections.strangers)
        yield held
        most = "Connections that the service holds at most."
        yield GaugeMetricFamily("sharpeyes_http_connections_most", most, self._connections.most)
        refused = CounterMetricFamily(
            "sharpeyes_http_connections_refused",
            "Connections that were turned away, or dropped for another's.",
            labels=["reason"],
        )
        for reason, count in sorted(self._connections.refused.items()):
            refused.add_metric([reason], count)
        yield refused


class _FleetCollector(Collector):
    """Reads the board at the moment of the scrape."""

    def __init__(
        self,
        board: Board,
        fleet: Fleet,
        recorder: Recorder,
        policies: Mapping[Tier, TierPolicy],
        *,
        last_probe: Callable[[], float | None],
    ) -> None:
        self._board, self._fleet, self._recorder, self._policies = board, fleet, recorder, policies
        self._last_probe = last_probe

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
        zones = GaugeMetricFamily(
            "sharpeyes_zone_cameras",
            "Registered cameras by separate network and present state: a network that cannot be seen is"
            " unknown as a whole.",
            labels=["zone", "state"],
        )
        for zone in sorted({zone for zone, _ in tally.by_zone}):
            for state in State:
                zones.add_metric([zone, state.value], tally.by_zone.get((zone, state), 0))
        yield from (cameras, online, coverage, target, rungs, zones)
        yield from self._prober()
        yield InfoMetricFamily("sharpeyes_build", "The running version.", value={"version": __version__})

    def _prober(self) -> Iterator[Metric]:
        """How the prober itself fares: these must be healthy before any other figure is believed."""
        stats, turns = self._fleet.stats, self._fleet.turns
        probes = CounterMetricFamily(
            "sharpeyes_probes", "Probes ended, by result: 'ok' or the kind of failure.", labels=["result"]
        )
        probes.add_metric(["ok"], stats.probes - sum(stats.failures.values()))
        for kind, number in stats.failures.items():
            probes.add_metric([kind.value], number)
        yield probes
        for name, help_text, value in (
            ("probes_in_flight", "Probes under way.", turns.in_flight),
            ("probes_waiting", "Of those under way, the ones that only wait for their time-out.", turns.slow),
            ("probes_paced", "Probes that are due and wait until subnet or zone has room.", turns.paced),
            ("probe_lateness_seconds", "How long after its slot the latest probe began.", stats.late_s),
            ("prober_blind", "1 while most probes fail for the prober's own reasons.", int(stats.blind)),
            ("telemetry_waiting_rows", "Observed, but not stored yet.", self._recorder.waiting),
            ("telemetry_failing", "1 while the store cannot be written.", int(self._recorder.failing)),
        ):
            yield GaugeMetricFamily(f"sharpeyes_{name}", help_text, value=value)
        if (last := self._last_probe()) is not None:
            help_text = "When the latest probe ended. No sample before the first."
            yield GaugeMetricFamily("sharpeyes_last_probe_timestamp_seconds", help_text, value=last)
        for name, help_text, value in (
            ("prober_stalls", "Times that the prober's event loop stood still.", stats.stalls),
            ("prober_clock_set_back", "Times that our own clock was found to be ahead.", stats.set_back),
            ("probes_withheld", "Probes without credentials, since these were refused.", stats.withheld),
            ("probes_viewed", "Probes not needed, since the camera was being watched.", stats.viewed),
        ):
            yield CounterMetricFamily(f"sharpeyes_{name}", help_text, value=value)


class _CanaryCollector(Collector):
    """Canaries: what was missed, what was said and is not so, whether a zone is seen at all."""

    def __init__(self, canaries: Canaries) -> None:
        self._canaries = canaries

    def collect(self) -> Iterator[Metric]:
        failing = GaugeMetricFamily(
            "sharpeyes_canary_failing",
            "1 while the zone's canary is not seen as what it shows: what is said of the zone is unknown."
            " No sample where no canary performs.",
            labels=["zone"],
        )
        missed = CounterMetricFamily(
            "sharpeyes_canary_misses",
            "Faults that a canary showed and nobody named in their time.",
            labels=["zone", "kind"],
        )
        alarms = CounterMetricFamily(
            "sharpeyes_canary_false_alarms",
            "Verdicts against a canary that was well, by what was said.",
            labels=["zone", "kind"],
        )
        for zone, canary in sorted(self._canaries.performing.items()):
            failing.add_metric([zone], int(canary.account.failing is not None))
            for show in FAULTS:
                missed.add_metric([zone, show.value], canary.missed[show])
            for word in sorted(ALARMS):
                alarms.add_metric([zone, word], canary.false_alarms[word])
        yield from (failing, missed, alarms)
        yield GaugeMetricFamily(
            "sharpeyes_canaries_trouble",
            "1 while canaries cannot perform: the monitor goes untested.",
            value=int(self._canaries.trouble is not None),
        )


class _TicketCollector(Collector):
    """The open tickets as they were last counted."""

    def __init__(self) -> None:
        self.counts: tuple[TicketCount, ...] = ()
        self.at: Ms | None = None

    def collect(self) -> Iterator[Metric]:
        if self.at is None:
            return
        tickets = GaugeMetricFamily(
            "sharpeyes_tickets", "Open tickets of faults by severity and stage.", labels=["severity", "stage"]
        )
        overdue: Counter[str] = Counter(dict.fromkeys(Severity, 0))
        for count in self.counts:
            tickets.add_metric([count.severity.value, count.stage.value], count.open)
            overdue[count.severity] += count.overdue
        late = GaugeMetricFamily(
            "sharpeyes_tickets_overdue",
            "Open tickets whose fault outlives its due time.",
            labels=["severity"],
        )
        for severity, number in overdue.items():
            late.add_metric([severity], number)
        yield from (tickets, late)
        yield GaugeMetricFamily(
            "sharpeyes_tickets_counted_timestamp_seconds",
            "When faults were last looked at and their tickets counted.",
            value=self.at / 1000,
        )


class _ReviewCollector(Collector):
    """Emergency overrides that nobody has reviewed yet, as they were last counted."""

    def __init__(self) -> None:
        self.counts: Mapping[str, int] = {}

    def collect(self) -> Iterator[Metric]:
        if not self.counts:
            return
        reviews = GaugeMetricFamily(
            "sharpeyes_override_reviews",
            "Emergency overrides that wait for their review: in time (waiting), or beyond it (overdue).",
            labels=["state"],
        )
        for state, number in self.counts.items():
            reviews.add_metric([state], number)
        yield reviews


class _ViewCollector(Collector):
    """Live pictures, and what is coded anew for them."""

    def __init__(self, views: Callable[[], int], transcodes: Callable[[], int], places: int) -> None:
        self._views = views
        self._transcodes = transcodes
        self._places = places

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "sharpeyes_views", "Live views that run or are about to.", value=self._views()
        )
        yield GaugeMetricFamily(
            "sharpeyes_transcodes",
            "Processes that code a stream anew (masks, watermarks, H.265) now.",
            value=self._transcodes(),
        )
        yield GaugeMetricFamily(
            "sharpeyes_transcode_places", "So many of them may run at a time.", value=self._places
        )


class _PictureCollector(Collector):
    """Looks at pictures: what they found, and whether decoding keeps up."""

    def __init__(self, board: Board, quality: Quality) -> None:
        self._board, self._quality = board, quality

    def collect(self) -> Iterator[Metric]:
        faults = GaugeMetricFamily(
            "sharpeyes_picture_faults",
            "Cameras with a confirmed fault of the picture, by kind; a camera may have several.",
            labels=["tier", "kind"],
        )
        by_fault = self._board.tally().by_fault
        for tier in Tier:
            for kind in PictureFault:
                faults.add_metric([tier.value, kind.value], by_fault.get((tier, kind), 0))
        yield faults
        stats, places = self._quality.stats, self._quality.places
        looks = CounterMetricFamily(
            "sharpeyes_decode_looks",
            "Looks at pictures, by how they ended: screened (plainly normal), full (all checks), undecodable,"
            " or failed on our side.",
            labels=["result"],
        )
        for result, number in (
            ("screened", stats.plain),
            ("full", stats.full),
            ("undecodable", stats.undecodable),
            ("failed", stats.failed),
        ):
            looks.add_metric([result], number)
        yield looks
        seconds = CounterMetricFamily(
            "sharpeyes_decode_cpu_seconds",
            "CPU time of the decode processes: keyframes (decode, screen), checks (full checks, learning).",
            labels=["work"],
        )
        seconds.add_metric(["keyframes"], stats.decode_s)
        seconds.add_metric(["checks"], stats.check_s)
        yield seconds
        for name, help_text, value in (
            ("decode_in_flight", "Places taken by keyframes and pictures under way.", places.taken),
            (
                "decode_places",
                "Places that there are: the bound of memory. Looks begin while less than half are taken.",
                places.limit,
            ),
            ("quality_waiting", "Cameras whose look waits for a place.", places.waiting),
            (
                "quality_waited_seconds",
                "How long the camera has waited for a place that has waited longest.",
                places.waited_s(asyncio.get_running_loop().time()),
            ),
        ):
            yield GaugeMetricFamily(f"sharpeyes_{name}", help_text, value=value)
        for name, help_text, value in (
            ("quality_deferred", "Looks put off since all places were taken.", stats.deferred),
            ("references_learnt", "References learnt or learnt anew.", stats.learnt),
        ):
            yield CounterMetricFamily(f"sharpeyes_{name}", help_text, value=value)
        evidence = self._quality.evidence
        if evidence is not None:
            yield CounterMetricFamily(
                "sharpeyes_evidence_dropped",
                "Stills and records that the disk or the store did not take.",
                value=evidence.dropped,
            )


async def camera_page(board: Board) -> AsyncIterator[str]:
    """The opt-in page: whether each camera delivers and when it was last seen, named by id only.

    A copy of the board at one moment, rendered a piece at a time: a hundred thousand cameras do not hold
    the loop, and cameras may come and go meanwhile.
    """
    entries = list(board)
    yield "# HELP sharpeyes_camera_up 1 if the camera delivers, 0 if it is offline; no sample while unseen.\n"
    yield "# TYPE sharpeyes_camera_up gauge\n"
    for piece in _pieces(entries):
        yield "".join(
            f'sharpeyes_camera_up{{camera_id="{_label(entry)}"}} {int(entry.standing.state in DELIVERING)}\n'
            for entry in piece
            if entry.standing.state in SEEN
        )
        await asyncio.sleep(0)
    yield "# HELP sharpeyes_camera_last_probe_timestamp_seconds When the camera was last seen by a probe.\n"
    yield "# TYPE sharpeyes_camera_last_probe_timestamp_seconds gauge\n"
    for piece in _pieces(entries):
        yield "".join(
            f'sharpeyes_camera_last_probe_timestamp_seconds{{camera_id="{_label(entry)}"}} '
            f"{entry.standing.observed / 1000}\n"
            for entry in piece
            if entry.standing.observed is not None
        )
        await asyncio.sleep(0)


def _pieces(entries: Sequence[Entry], size: int = 1000) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


def _label(entry: Entry) -> str:
    return entry.camera.id.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
