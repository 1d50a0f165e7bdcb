"""Metrics of the ladder, of intact cameras and of the outbox, as they were last counted."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sharpeyes.domain.health import Rung
from sharpeyes.faults.notify.courier import Courier
from sharpeyes.rates.census import Census
from sharpeyes.rates.rate import RUNGS


class LadderCollector(Collector):
    """Ratios of cameras that stand at a moment; over a day or a month the API has them."""

    def __init__(self, census: Census) -> None:
        self._census = census

    def collect(self) -> Iterator[Metric]:
        if self._census.at is None:
            return
        rungs = GaugeMetricFamily(
            "sharpeyes_rung_ratio",
            "Cameras that come at least this far up the ladder, among those where so much was tried.",
            labels=["tier", "rung"],
        )
        intact = GaugeMetricFamily(
            "sharpeyes_intact_ratio",
            "Cameras online, without a critical fault of the picture and with a clock that is not known to be"
            " out of tolerance, among those whose picture was judged.",
            labels=["tier"],
        )
        spoilt = GaugeMetricFamily(
            "sharpeyes_picture_unusable_ratio",
            "Cameras that deliver a picture that is of no use, among those that deliver and were judged.",
            labels=["tier"],
        )
        for tier, climb in sorted(self._census.tiers.items()):
            for rung in RUNGS:
                if judged := climb.judged_ms(rung):
                    rungs.add_metric([tier, rung.label], climb.reached_ms(rung) / judged)
            usable = climb.reached_ms(Rung.USABLE)
            if judged := climb.judged_ms(Rung.USABLE):
                intact.add_metric([tier], (usable - climb.clock_off_ms) / judged)
            bad = sum(climb.stopped[Rung.KEYFRAME : Rung.USABLE])
            if bad + usable:
                spoilt.add_metric([tier], bad / (bad + usable))
        yield from (rungs, intact, spoilt)
        yield GaugeMetricFamily(
            "sharpeyes_rungs_counted_timestamp_seconds",
            "When cameras were last counted by rung.",
            value=self._census.at / 1000,
        )


class OutboxCollector(Collector):
    """Whether messages leave."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier

    def collect(self) -> Iterator[Metric]:
        post = self._courier.post
        sent = CounterMetricFamily(
            "sharpeyes_outbox_sent", "Messages that their receivers took, by channel.", labels=["channel"]
        )
        failed = CounterMetricFamily(
            "sharpeyes_outbox_failed", "Attempts to send that failed, by channel.", labels=["channel"]
        )
        waiting = GaugeMetricFamily(
            "sharpeyes_outbox_waiting",
            "Notifications that were not sent yet, by channel.",
            labels=["channel"],
        )
        dead = GaugeMetricFamily(
            "sharpeyes_outbox_dead", "Notifications that were given up, by channel.", labels=["channel"]
        )
        oldest = GaugeMetricFamily(
            "sharpeyes_outbox_oldest_timestamp_seconds",
            "When the oldest notification that waits was put in, by channel. No sample while none waits.",
            labels=["channel"],
        )
        channels = {*self._courier.channels, *post.waiting, *post.dead, *post.sent, *post.failed}
        for channel in sorted(channels):
            sent.add_metric([channel], post.sent[channel])
            failed.add_metric([channel], post.failed[channel])
            if post.counted is not None:
                waiting.add_metric([channel], post.waiting[channel])
                dead.add_metric([channel], post.dead[channel])
        for channel, at in sorted(post.oldest.items()):
            oldest.add_metric([channel], at / 1000)
        yield from (sent, failed, waiting, dead, oldest)
