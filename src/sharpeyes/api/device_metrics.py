"""Metrics of devices' clocks and events. Aggregates: their number does not depend on that of devices."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sharpeyes.domain.clock import ClockState
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.reports import EventsStatus, ReportKind
from sharpeyes.health.devices import Devices

QUANTILES = (0.5, 0.9, 1.0)


class DeviceCollector(Collector):
    """Reads them at the moment of the scrape."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    def collect(self) -> Iterator[Metric]:
        yield from self._clocks()
        yield from self._events()

    def _clocks(self) -> Iterator[Metric]:
        room = self._devices.clocks
        tally = room.tally()
        states = GaugeMetricFamily(
            "sharpeyes_device_clocks",
            "Devices by how their clock stands: ok, warn, fail (outside tolerance), unknown.",
            labels=["tier", "state"],
        )
        offsets = GaugeMetricFamily(
            "sharpeyes_device_clock_offset_seconds",
            "How far the clocks of devices are off, either way; quantiles over devices with a valid reading.",
            labels=["tier", "quantile"],
        )
        for tier in Tier:
            for state in ClockState:
                states.add_metric([tier.value, state.value], tally.by_state.get((tier, state), 0))
            some = tally.offsets_ms.get(tier)
            for quantile in QUANTILES if some else ():
                assert some is not None
                offsets.add_metric(
                    [tier.value, f"{quantile:g}"], some[round(quantile * (len(some) - 1))] / 1000
                )
        yield from (states, offsets)
        yield GaugeMetricFamily(
            "sharpeyes_prober_clock_suspected",
            "1 while devices are off by the same amount alike: no clock is judged meanwhile.",
            value=int(room.suspected_ms is not None),
        )
        if room.own.synchronised is not None:
            yield GaugeMetricFamily(
                "sharpeyes_prober_clock_synchronised",
                "1 if the kernel says that this machine's clock is kept in step (NTP, PTP), else 0.",
                value=int(room.own.synchronised),
            )
        asked = CounterMetricFamily(
            "sharpeyes_clock_readings", "Clocks asked for, by result.", labels=["result"]
        )
        asked.add_metric(["ok"], room.asked - room.unanswered)
        asked.add_metric(["failed"], room.unanswered)
        yield asked

    def _events(self) -> Iterator[Metric]:
        room = self._devices.events
        devices = GaugeMetricFamily(
            "sharpeyes_event_devices",
            "Devices by how it stands with their events: subscribed, none, refused, failing; waiting for"
            " their turn.",
            labels=["status"],
        )
        by_status = room.by_status()
        for status in EventsStatus:
            devices.add_metric([status.value], by_status.get(status, 0))
        devices.add_metric(["waiting"], room.waiting)
        yield devices
        reports = CounterMetricFamily(
            "sharpeyes_camera_reports",
            "What cameras reported of their own pictures, beginnings and ends, by kind.",
            labels=["kind"],
        )
        for kind in ReportKind:
            reports.add_metric([kind.value], room.stats.reports.get(kind, 0))
        yield reports
        for name, help_text, value in (
            ("event_pulls", "Times that devices were asked for events.", room.stats.pulls),
            ("event_failures", "Of these and of subscriptions, those that failed.", room.stats.failed),
            (
                "event_messages_passed_over",
                "Messages that were not about a picture: neither read nor kept.",
                room.stats.passed_over,
            ),
            ("camera_reports_dropped", "Reports beyond what one camera may make.", room.stats.dropped),
        ):
            yield CounterMetricFamily(f"sharpeyes_{name}", help_text, value=value)
