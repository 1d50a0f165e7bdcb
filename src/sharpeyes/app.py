"""The composition root: the one place that chooses parts and puts them together.

A start reads, in this order: the database, the key file, the configuration, the standings of the run before.
A stop goes the other way: no new requests, no new probes, what is under way ends, everything is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import uvicorn
import uvloop
from fastapi import FastAPI
from sqlalchemy import Connection

from sharpeyes.access.access import Access, open_access
from sharpeyes.access.register.figures_public import PublicFigures
from sharpeyes.access.register.writer import RegisterDamagedError
from sharpeyes.access.tickets import TicketGate
from sharpeyes.api.app import create_api, ready
from sharpeyes.api.connections import Connections
from sharpeyes.api.context import Configured, Context
from sharpeyes.api.device_metrics import DeviceCollector
from sharpeyes.api.metrics import Metrics
from sharpeyes.api.metrics_rates import LadderCollector, OutboxCollector
from sharpeyes.api.protocol import MOST_HEAD, BoundedProtocol
from sharpeyes.api.routes.sign_on import CALLBACK
from sharpeyes.config import Config, Settings
from sharpeyes.discovery.enrolment import Enrolment
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.faults import StateChange
from sharpeyes.domain.health import State
from sharpeyes.domain.organisation import Tier, TierPolicy
from sharpeyes.domain.time import Ms
from sharpeyes.faults.faults import Faults
from sharpeyes.faults.notify.kept import in_force
from sharpeyes.gateway.doors import ViewDoors
from sharpeyes.gateway.gateway import Gateway
from sharpeyes.gateway.leases import Access as Rights
from sharpeyes.gateway.settings import GatewaySettings, IceSettings, TurnServer
from sharpeyes.gateway.source import registered
from sharpeyes.health.board import Board, Subscription
from sharpeyes.health.decoders import Processes
from sharpeyes.health.devices import Devices
from sharpeyes.health.evidence import Evidence
from sharpeyes.health.fleet import Fleet, Limits
from sharpeyes.health.judge import Standing, begin_maintenance
from sharpeyes.health.probe import probe
from sharpeyes.health.quality import Quality
from sharpeyes.health.recorder import Recorder
from sharpeyes.health.targets import read_targets
from sharpeyes.net.oidc import Provider, ProviderSettings
from sharpeyes.net.onvif_library import codecs
from sharpeyes.net.own_clock import wall_clock
from sharpeyes.net.process import calm_collector, give_back_memory, raise_file_limit, share_often
from sharpeyes.rates.census import Census
from sharpeyes.rates.report.files import FOLDER as REPORTS
from sharpeyes.rates.report.manifest import KEY_FILE as REPORTS_KEY
from sharpeyes.rates.report.reporter import Reporter, of_settings
from sharpeyes.rates.retention import FOLDER as ARCHIVE
from sharpeyes.rates.retention import Retention
from sharpeyes.rates.rollup import Roller
from sharpeyes.registry import registry, staged
from sharpeyes.selfwatch.canaries import Canaries
from sharpeyes.selfwatch.own_outages import OwnOutages
from sharpeyes.selfwatch.stage import SimulatedStage
from sharpeyes.store.cameras import list_cameras
from sharpeyes.store.credentials import open_credentials
from sharpeyes.store.database import Database
from sharpeyes.store.tokens import create_token, list_tokens
from sharpeyes.store.vault import Vault

log = logging.getLogger(__name__)

NO_STREAM = "no_stream"
"""Cause of an unknown state: the camera is registered, but nobody has said or found where its picture is."""
DRAIN_S = 5
"""How long requests under way may go on when the service stops."""


@dataclass(frozen=True, slots=True)
class Started:
    """What whoever started the service wants to tell its user."""

    url: str
    token: Secret | None
    """The administrator's token, if this start made it: shown now or never."""
    service: Service


class Service:
    """One running SharpEyes: registry, fleet, API."""

    def __init__(self, settings: Settings, config: Config, *, clock: Callable[[], Ms] = wall_clock) -> None:
        self.settings = settings
        self.config = config
        self.clock = clock
        self.database = Database(settings.database)
        self.board = Board()
        self.metrics = Metrics()
        zone = ZoneInfo(config.site.timezone)
        self._roller = Roller(self.database, zone, clock)
        self._census = Census(self.database, clock)
        self.reporter = Reporter(
            self.database,
            settings.data_dir / REPORTS,
            settings.data_dir / REPORTS_KEY,
            of_settings(
                settings.reports, settings.report_by, settings.report_languages, settings.report_mail
            ),
            config.site.name,
            zone,
            clock,
            post=lambda recipient, subject, files: self.faults.courier.mail(recipient, subject, files),
            keep_days=settings.register_keep_days,
        )
        self._retention = Retention(self.database, settings.data_dir / ARCHIVE, zone, clock)
        self.faults = Faults(
            self.database,
            config.faults,
            clock,
            counted=self.metrics.tell_tickets,
            found=lambda outcome: self.own_outages.found(outcome),
            failing_canaries=lambda: self.canaries.failing() if self.canaries is not None else {},
        )
        self.recorder = Recorder(
            self.database, clock=clock, awaited=lambda: self.faults.loop.outcome.verifying
        )
        files = raise_file_limit()
        limits = Limits(in_flight=settings.max_in_flight).within(files)
        self.connections = Connections(
            min(settings.max_connections, files // 4),
            settings.max_connections_each,
            os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1").replace(" ", "").split(","),
        )
        self.metrics.show_connections(self.connections)
        self.evidence = Evidence(self.database, settings.data_dir / "evidence", clock=clock)
        self.quality = Quality(Processes(), clock=clock, database=self.database, evidence=self.evidence)
        self.fleet = Fleet(
            self.metrics.timed(probe),
            board=self.board,
            recorder=self.recorder,
            clock=clock,
            limits=limits,
            quality=self.quality,
        )
        self.own_outages = OwnOutages(self.database, self.fleet, self.recorder)
        self.canaries = self._canaries()
        self._vault = Vault.at(settings.key_file)
        self.devices = Devices(
            self.database,
            lambda connection: open_credentials(connection, self._vault),
            clock=clock,
            hurry=self.fleet.hurry,
            networks=config.networks,
            trust=config.trust,
            policy=config.clocks,
        )
        self.quality.reported = self.devices.events.speaks_for
        self.enrolment = Enrolment(
            self.database,
            config.networks,
            self._vault,
            allowed=settings.discovery_allowed,
            changed=self.reload,
            clock=clock,
        )
        self.access: Access | RegisterDamagedError = RegisterDamagedError("the register is not open yet")
        self.views: ViewDoors | None = None
        self._promises: dict[Tier, TierPolicy] = {}
        self._watching = False
        self._unwatched: dict[str, Standing] = {}
        self.stopping = asyncio.Event()
        """Set when whoever listens to endless answers shall be let go."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Secret | None]:
        """Everything but the API, for as long as the block lasts; gives the admin token if one was made."""
        with contextlib.closing(self.database), sole_user(self.settings.data_dir):
            self.database.upgrade()
            await staged.finish(self.database)  # an import that an earlier run decided on
            token = await self.database.awrite(self._prepare)
            await self.retell()
            targets, policies = await self.database.aread(
                lambda connection: read_targets(connection, self._vault, self.config.trust)
            )
            self._promises.update(policies)
            self.metrics.show(self.board, self.fleet, self.recorder, self._promises)
            self.metrics.show_pictures(self.board, self.quality)
            self.metrics.registry.register(DeviceCollector(self.devices))
            self.metrics.registry.register(LadderCollector(self._census))
            self.metrics.registry.register(OutboxCollector(self.faults.courier))
            await self.evidence.start()
            await self.own_outages.resume()
            await self.fleet.start(targets)
            await self._show_unwatched()
            await self.enrolment.start()
            calm_collector()
            self._watching = True
            try:
                async with self._accountable(), self._tested(), self._mending(), self._reckoning():
                    yield token
            finally:
                self._watching = False
                await self.enrolment.stop()
                await self.fleet.stop()
                await self.quality.stop()
                await self.evidence.stop()

    @contextlib.asynccontextmanager
    async def _accountable(self) -> AsyncIterator[None]:
        """Log-ins, decisions and views, which all stand on the register. Without it there are none of them;
        watching and rates go on."""
        zone = ZoneInfo(self.config.site.timezone)
        async with contextlib.AsyncExitStack() as stack:
            opening = open_access(
                self.database,
                self.settings.data_dir,
                self._vault,
                self.clock,
                zone,
                provider=provider_of(self.settings),
                sign_on_label=self.settings.oidc_label,
                keep_days=self.settings.register_keep_days,
                checkpoint_copy=self.settings.register_copy,
                reviews=self.metrics.tell_reviews,
            )
            try:
                access = self.access = await stack.enter_async_context(opening)
            except RegisterDamagedError as error:
                self.access = error
                log.critical("nobody can log in, decide or watch: %s", error)
            else:
                gateway = await stack.enter_async_context(self._gateway(access))
                self.views = ViewDoors(gateway=gateway, origins=self.settings.view_origins)
                self.metrics.show_views(
                    lambda: gateway.views, lambda: gateway.transcodes, gateway.settings.transcodes
                )
            yield

    def _gateway(self, access: Access) -> Gateway:
        """What shows pictures, for as long as it may."""
        rights = Rights(
            database=self.database,
            desk=access.desk,
            gate=TicketGate(access.office.public, self.clock()),
            register=access.register,
            changes=access.changes,
        )
        sources = registered(self.database, self._vault, self.config.trust)
        return Gateway(
            rights, sources, gateway_settings(self.settings), self.clock, viewing=self.fleet.viewed
        )

    def _canaries(self) -> Canaries | None:
        """One a zone, unless they are not wanted."""
        zones = tuple(zone.id for zone in self.config.declared.zones)
        if not self.settings.canaries or not zones:
            return None
        stage = SimulatedStage(zones, self.settings.canary_addresses)
        detected = self.metrics.tell_detected
        return Canaries(stage, self.fleet, self.quality, clock=self.clock, detected=detected)

    @contextlib.asynccontextmanager
    async def _tested(self) -> AsyncIterator[None]:
        """The monitor, by its canaries."""
        if self.canaries is None:
            yield
            return
        self.metrics.show_canaries(self.canaries)
        self.canaries.start()
        try:
            yield
        finally:
            await self.canaries.stop()

    @contextlib.asynccontextmanager
    async def _reckoning(self) -> AsyncIterator[None]:
        """Days added up, old intervals put away; devices asked what is not urgent."""
        async with (
            self._roller.running(),
            self._retention.running(),
            self._census.running(),
            self.reporter.running(),
            self.devices.running(),
        ):
            yield

    @contextlib.asynccontextmanager
    async def _mending(self) -> AsyncIterator[None]:
        """Faults, from their first sign to their end."""
        with self.board.subscribe(100_000) as changes:
            async with self.faults.running(self._state_changes(changes)):
                yield

    async def _state_changes(self, changes: Subscription) -> AsyncIterator[StateChange]:
        async for change in changes:
            at = Ms(max(self.clock(), change.at))
            yield StateChange(
                camera=change.camera, state=change.after, cause=change.cause, at=at, since=change.at
            )

    async def reload(self) -> None:
        """Watch what the registry says now."""
        targets, policies = await self.database.aread(
            lambda connection: read_targets(connection, self._vault, self.config.trust)
        )
        self._promises.update(policies)
        for key in self._unwatched:  # one that has a stream by now begins as the fleet has it
            self.board.remove(key)
        self.fleet.sync(targets)
        await self._show_unwatched()
        await self.devices.sync()

    @property
    def configured(self) -> Configured:
        """What the console may say something else beside."""
        return Configured(
            declared=self.config.declared,
            faults=self.config.faults,
            timezone=ZoneInfo(self.config.site.timezone),
            vault=self._vault,
            retell=self.retell,
        )

    async def retell(self) -> None:
        """Tell of faults, and route them, as file and console say now."""
        zone = ZoneInfo(self.config.site.timezone)
        self.faults.take(
            await self.database.aread(
                lambda connection: in_force(connection, self.config.faults, self._vault, zone)
            )
        )

    async def _show_unwatched(self) -> None:
        """Cameras that are registered without a stream stand on the board too: unknown, and why."""
        now, before, self._unwatched = self.clock(), self._unwatched, {}
        for camera in await self.database.aread(list_cameras):
            if camera.watched:
                continue
            standing = before.get(camera.id) or Standing.newcomer(camera.id, now, cause=NO_STREAM)
            if camera.maintenance:
                standing = begin_maintenance(standing, now).standing
            elif standing.state is State.MAINTENANCE:
                standing = Standing.newcomer(camera.id, now, cause=NO_STREAM)
            self._unwatched[camera.id] = standing
            self.board.place(camera, standing)

    def unready(self) -> Sequence[str]:
        """Why the service does not do its work, if it does not."""
        reasons = []
        if not self._watching:
            reasons.append("the fleet is not running")
        if self.recorder.failing:
            reasons.append("telemetry cannot be stored; see the log")
        return reasons

    def _prepare(self, connection: Connection) -> Secret | None:
        now = self.clock()
        summary = registry.apply_config(
            connection, self.config.declared, self._vault, networks=self.config.networks, now=now
        )
        log.info("registry: %s", summary)
        if list_tokens(connection):
            return None
        return create_token(connection, name="first start", scopes=["admin"], now=now)[1]


@contextlib.contextmanager
def sole_user(folder: Path) -> Iterator[None]:
    """One service a data directory: two would both watch, and both write what they saw.

    UnavailableError if another process has it. The lock ends with the process, however that ends.
    """
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnavailableError(
                f"another SharpEyes runs on {folder}",
                mend="Stop it, or choose another directory with --data-dir",
            ) from None
        yield


def provider_of(settings: Settings) -> Provider | None:
    """Who vouches for users at single sign-on, if anybody."""
    if settings.oidc_issuer is None:
        return None
    return Provider(
        ProviderSettings(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
            redirect_uri=f"{(settings.public_url or '').rstrip('/')}{CALLBACK}",
            username_claim=settings.oidc_username_claim,
        )
    )


def gateway_settings(settings: Settings) -> GatewaySettings:
    """How live pictures leave this machine."""
    turn = None
    if settings.view_turn is not None:
        password = settings.view_turn_password or Secret("")
        turn = TurnServer(url=settings.view_turn, username=settings.view_turn_username, password=password)
    ice = IceSettings(
        addresses=settings.view_addresses,
        announced=settings.view_announce,
        ports=settings.view_ports,
        stun=settings.view_stun,
        turn=turn,
    )
    made = GatewaySettings(ice=ice, origins=settings.view_origins)
    return made if settings.view_transcodes is None else replace(made, transcodes=settings.view_transcodes)


def context_of(service: Service) -> Context:
    """What the API needs of a service."""
    return Context(
        database=service.database,
        board=service.board,
        fleet=service.fleet,
        enrolment=service.enrolment,
        metrics=service.metrics,
        clock=service.clock,
        readiness=service.unready,
        reload=service.reload,
        faults=service.faults,
        configured=service.configured,
        access_or_damage=service.access,
        views=service.views,
        metrics_allow=service.settings.metrics_allow,
        camera_metrics=service.settings.camera_metrics,
        public_figures=PublicFigures() if service.settings.transparency_public else None,
        site=service.config.site.name,
        timezone=service.config.site.timezone,
        map_tiles=service.settings.map_tiles,
        map_credit=service.settings.map_credit,
        reports_key=service.settings.data_dir / REPORTS_KEY,
        reporter=service.reporter,
        telemetry_failing=lambda: service.recorder.failing,
        stopping=service.stopping,
        quality=service.quality,
        canaries=service.canaries,
        own_outages=service.own_outages,
        devices=service.devices,
    )


class _Server(uvicorn.Server):
    """Leaves the signals to :func:`run`, which stops the fleet as well."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_of(api: FastAPI, connections: Connections | None = None) -> uvicorn.Server:
    """What listens for an application, within bounds for whoever comes."""
    book = Connections() if connections is None else connections
    return _Server(
        uvicorn.Config(
            api,
            http=cast("type[asyncio.Protocol]", partial(BoundedProtocol, book=book)),
            ws_max_size=MOST_HEAD,  # what comes by a socket is a ticket
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S,
        )
    )


async def run(
    settings: Settings, config: Config, *, stop: asyncio.Event, started: Callable[[Started], None]
) -> None:
    """Serve until ``stop`` is set. Raises SharpEyesError if it cannot start, for example on a port in use."""
    share_often()
    give_back_memory()
    # The ONVIF library's import silences a warning (of SOCKS, which nobody needs), and whoever puts the API's
    # routes together in another thread at that moment unsilences it: the filters are the whole process's.
    codecs()
    service = Service(settings, config)
    async with service.running() as token:
        server = server_of(ready(create_api(context_of(service))), service.connections)
        with listening(settings.host, settings.port) as listener:
            host, port = listener.getsockname()[:2]
            serving = asyncio.create_task(server.serve(sockets=[listener]), name="api")
            stopping = asyncio.create_task(stop.wait(), name="stop")
            started(Started(f"http://{_in_url(host)}:{port}", token, service))
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            service.stopping.set()
            server.should_exit = True
            stopping.cancel()
            await serving


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket; UnavailableError, with the mend, if it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UnavailableError(f"host: cannot listen on {host}: {error.strerror}") from None
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(1024)
        except OSError as error:
            raise UnavailableError(
                f"port: cannot listen on {host}:{port}: {error.strerror}",
                mend="Stop what listens there, or choose another with --port or SHARPEYES_PORT",
            ) from None
        listener.setblocking(False)
        yield listener


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def until_signalled(main: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> None:
    """Run ``main`` on a uvloop of its own; the event it is given is set by SIGINT or SIGTERM."""

    async def guarded() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(guarded())
