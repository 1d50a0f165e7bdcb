"""For a Prometheus that asks about cameras one by one: which there are, and how each one answers now.

``/sd`` lists them for HTTP service discovery; ``/probe`` looks at one, in the manner of blackbox_exporter.
What these answer names cameras by their ids and never shows a URL or an account.

*Unknown* is not *offline* here either: where the reason lies on our side there is no ``probe_success`` at
all, and an alert on ``probe_success == 0`` keeps quiet.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sharpeyes.api.auth import metrics_reader
from sharpeyes.api.context import Context, Rooms
from sharpeyes.api.metrics import CONTENT_TYPE
from sharpeyes.domain.camera import Camera
from sharpeyes.domain.errors import ConflictError, ForbiddenError, InvalidInputError, UnavailableError
from sharpeyes.domain.health import Blame, ProbeResult, State
from sharpeyes.domain.organisation import Tier
from sharpeyes.health.board import Board
from sharpeyes.health.probe import ProbeRequest, probe
from sharpeyes.health.target import host_of
from sharpeyes.net.tls import TlsPolicy
from sharpeyes.registry.trust import Trust
from sharpeyes.wire.rtsp.url import StreamUrl, parse_url

router = APIRouter(tags=["service"], dependencies=[Depends(metrics_reader)])

MODULES = ("rtsp",)

FRESH_MS = 10_000
"""An answer that is younger is given again: whoever scrapes in haste neither tires a camera nor hurries the
three failures in a row after which it counts as offline."""

STRANGERS = 4
"""Probes under way at addresses that are not registered: this is no scanner."""

SPARE_S = 0.5
"""An answer comes this much before the scraper would give up: what it does not hear of is lost."""

PATIENCE_S = 15.0
"""For an answer if the scraper does not say how long it waits; a probe itself takes 10 s at most."""

_strangers = asyncio.Semaphore(STRANGERS)


@dataclass(frozen=True, slots=True)
class Stranger:
    """An address within a network that the operator named, of no registered camera."""

    url: str


@router.get("/probe", response_class=PlainTextResponse)
async def probe_one(
    rooms: Rooms,
    target: Annotated[
        str,
        Query(
            min_length=1,
            max_length=2048,
            description="A camera: its id, one of its stream URLs, or its address if it is the only one"
            " there. Or an address or RTSP URL within a network of cameras.yaml.",
        ),
    ],
    module: Annotated[str, Query(max_length=64, description="Only 'rtsp' so far.")] = "rtsp",
    patience: Annotated[
        float | None, Header(alias="X-Prometheus-Scrape-Timeout-Seconds", gt=0, le=600)
    ] = None,
) -> Response:
    """Look at one camera now and answer with metrics of that look.

    A registered camera is looked at by the fleet: with its account, within the sessions of its device, and
    the result counts like any other. An address is asked without any account.
    """
    if module not in MODULES:
        raise InvalidInputError("module: there is no such module", mend=f"Use one of: {', '.join(MODULES)}")
    chosen = _choose(rooms, target.strip())
    wait_s = PATIENCE_S if patience is None else max(patience - SPARE_S, patience / 2)
    try:
        async with asyncio.timeout(wait_s):
            if isinstance(chosen, Stranger):
                result = await _ask(rooms, chosen, wait_s)
            else:
                result = await _check(rooms, chosen)
    except TimeoutError:
        raise UnavailableError(
            f"no answer within {wait_s:.1f} s: the camera waits for its turn, or for its time-out",
            mend="Set a scrape_timeout above 10 s; this says nothing about the camera",
        ) from None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Answer(result))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE)


@router.get("/sd")
async def service_discovery(
    rooms: Rooms,
    tier: Tier | None = None,
    department: Annotated[str | None, Query(max_length=64)] = None,
    zone: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Cameras for Prometheus' ``http_sd_configs``, grouped by their labels.

    Without those that are declared out of service: nobody is to be alerted about these.
    """
    groups: defaultdict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for entry in rooms.board:
        camera = entry.camera
        if (
            entry.standing.state is not State.MAINTENANCE
            and tier in (None, camera.tier)
            and department in (None, camera.department)
            and zone in (None, camera.zone)
        ):
            groups[camera.tier.value, camera.department, camera.area, camera.zone].append(camera.id)
    names = ("tier", "department", "area", "zone")
    found = [
        {"targets": sorted(cameras), "labels": dict(zip(names, labels, strict=True))}
        for labels, cameras in sorted(groups.items())
    ]
    return Response(json.dumps(found, separators=(",", ":")), media_type="application/json")


# --- what is meant --------------------------------------------------------------------------------------


def _choose(rooms: Context, target: str) -> str | Stranger:
    """The id of the camera that is meant, or an address that may be asked.

    ForbiddenError for anything else; it does not quote the target, in which a password may stand.
    """
    if target in rooms.board:
        return target
    url = _url(target)
    cameras = [] if url is None else list(_cameras_at(rooms.board, url))
    if url is None or not cameras:
        if url is not None and _declared(rooms, url):
            return Stranger(url.text)
        raise ForbiddenError(
            "target: this is neither a registered camera nor an address within a network of cameras.yaml",
            mend="Give the id of a camera as GET /sd lists it, or describe its network under 'networks:'",
        )
    named = [camera for camera in cameras if any(_means(target, url, s.url) for s in camera.streams)]
    if not named:
        raise ForbiddenError(
            "target: this is no registered stream of that address",
            mend=f"Give the id of a camera there: {_some(cameras)}",
        )
    if len(named) > 1:
        raise ConflictError(
            f"target: {len(named)} cameras are meant by this", mend=f"Give the id of one: {_some(named)}"
        )
    return named[0].id


def _url(target: str) -> StreamUrl | None:
    """A URL, or an address with or without a port. Credentials in it are dropped. None if it is neither."""
    try:
        if "://" in target:
            return parse_url(target)[0]
        if "@" in target or "/" in target:
            return None
        try:
            address = ip_address(target)
        except ValueError:
            return parse_url(f"rtsp://{target}")[0]
        return parse_url(f"rtsp://[{address}]" if address.version == 6 else f"rtsp://{address}")[0]
    except InvalidInputError:
        return None


def _cameras_at(board: Board, url: StreamUrl) -> Iterator[Camera]:
    """Cameras with a stream on the host of ``url``, whatever its port."""
    host = _host(url)
    text = host.lower()
    for entry in board:
        for stream in entry.camera.streams:
            # Parsing every URL of a city would take a second; nearly all are told apart by their text.
            if text not in stream.url.lower() and "[" not in stream.url:
                continue
            parsed = _url(stream.url)
            if parsed is not None and _host(parsed) == host:
                yield entry.camera
                break


def _host(url: StreamUrl) -> str:
    """The host in one way of writing."""
    address = _address(url)
    return url.host.lower().rstrip(".") if address is None else str(address)


def _address(url: StreamUrl) -> IPv4Address | IPv6Address | None:
    """The host if it is a literal address; an IPv4 address in IPv6's clothes is what it is."""
    try:
        address = ip_address(url.host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _means(target: str, url: StreamUrl, registered: str) -> bool:
    """Whether a target on the host of a registered stream is that stream; ``url`` is the target, read."""
    stream = _url(registered)
    if stream is None:
        return False
    if "://" in target:
        return (stream.port, _path(stream)) == (url.port, _path(url))
    return stream.port == url.port or not url.text.endswith(f":{url.port}/")


def _path(url: StreamUrl) -> str:
    return url.text.split("/", 3)[3]


def _declared(rooms: Context, url: StreamUrl) -> bool:
    """Whether it is a literal address within a network to be searched. Names are not looked up: what they
    stand for is said by somebody else, and may change between the question and the connection."""
    address = _address(url)
    return address is not None and any(address in network.cidr for network in rooms.enrolment.networks)


def _some(cameras: list[Camera]) -> str:
    ids = [camera.id for camera in cameras[:5]]
    return ", ".join(ids) + (", ..." if len(cameras) > len(ids) else "")


# --- looking --------------------------------------------------------------------------------------------


async def _check(rooms: Context, camera: str) -> ProbeResult:
    entry = rooms.board.get(camera)
    if entry is not None and entry.probe is not None:
        age = rooms.clock() - entry.probe.at - entry.probe.timings.total_ms
        if 0 <= age < FRESH_MS:
            return entry.probe
    return await rooms.fleet.check(camera)


async def _ask(rooms: Context, stranger: Stranger, wait_s: float) -> ProbeResult:
    """A few at a time; UnavailableError beyond that."""
    if _strangers.locked():
        raise UnavailableError(
            f"{STRANGERS} addresses that are not registered are being asked already",
            mend="Enrol the cameras: those that are registered have no such limit",
        )
    async with _strangers:
        tls = Trust(networks=rooms.enrolment.networks).of(host_of(stranger.url)) or TlsPolicy()
        return await probe(
            ProbeRequest(url=stranger.url, tls=tls, timeout_s=min(10.0, wait_s * 0.9), patience=1.0)
        )


# --- what is answered -----------------------------------------------------------------------------------


class _Answer(Collector):
    """One look as metrics."""

    def __init__(self, result: ProbeResult) -> None:
        self._result = result

    def collect(self) -> Iterator[Metric]:
        result, timings = self._result, self._result.timings
        failure = result.failure
        if failure is None or failure.blame is Blame.CAMERA:
            yield GaugeMetricFamily(
                "probe_success",
                "1 if a whole keyframe came, 0 if the camera failed; no sample if the failure is ours.",
                value=int(result.ok),
            )
        yield GaugeMetricFamily(
            "probe_duration_seconds", "From the start of the probe to its end.", value=timings.total_ms / 1000
        )
        yield GaugeMetricFamily(
            "sharpeyes_probe_rung",
            "Rung of the liveness ladder: 1 reachable, 2 rtsp, 3 authenticated, 4 media, 5 keyframe and up.",
            value=int(result.rung),
        )
        yield GaugeMetricFamily(
            "sharpeyes_probe_timestamp_seconds",
            "When the probe began: an answer may be some seconds old.",
            value=result.at / 1000,
        )
        phases = GaugeMetricFamily(
            "sharpeyes_probe_phase_duration_seconds",
            "What each phase took; those that were not reached are missing.",
            labels=["phase"],
        )
        # The first packet may overtake the answer to PLAY: that phase then took nothing.
        steps = (
            ("", 0.0),
            ("connect", timings.connect_ms),
            ("describe", timings.describe_ms),
            ("play", timings.play_ms),
            ("media", timings.first_packet_ms),
            ("keyframe", timings.keyframe_ms),
        )
        reached = [(name, at) for name, at in steps if at is not None]
        for (_, before), (name, at) in pairwise(reached):
            phases.add_metric([name], max(0.0, at - before) / 1000)
        yield phases
        if failure is not None:
            stopped = GaugeMetricFamily(
                "sharpeyes_probe_failure_info",
                "Where and why the probe stopped, and on whose side the reason lies.",
                labels=["phase", "kind", "blame"],
            )
            stopped.add_metric([failure.phase.value, failure.kind.value, failure.blame.value], 1)
            yield stopped
