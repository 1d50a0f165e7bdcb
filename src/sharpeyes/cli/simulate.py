"""``sharpeyes simulate``: a fleet of virtual cameras that ffprobe, VLC or this product can watch."""

from __future__ import annotations

import asyncio
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharpeyes.cli.account import account

if TYPE_CHECKING:
    from sharpeyes.simulator.fault import Fault
    from sharpeyes.simulator.fleet import Addressing, Fleet
    from sharpeyes.simulator.scenario import Scenario
    from sharpeyes.simulator.simulator import Simulator


class Login(StrEnum):
    """How cameras ask for a login."""

    MD5 = "md5"
    SHA256 = "sha256"
    BASIC = "basic"
    NONE = "none"


def simulate(
    cameras: Annotated[int, typer.Option(min=1, max=20_000, help="How many.")] = 10,
    city: Annotated[
        bool,
        typer.Option("--city", help="Three tiers, recorders, mixed codecs and logins, some of them faulty."),
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(metavar="A", help="Network, or first address, to listen on. Default: 127.0.1.1 and on."),
    ] = None,
    rtsp_port: Annotated[int, typer.Option(min=0, max=65535, help="RTSP; 0 for any free one.")] = 8554,
    onvif_port: Annotated[int, typer.Option(min=0, max=65535, help="ONVIF; 0 for any free one.")] = 8899,
    discovery_port: Annotated[int, typer.Option(min=1, max=65535, help="UDP port of WS-Discovery.")] = 3702,
    control: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve the control API (faults on command).")
    ] = None,
    scenario: Annotated[
        Path | None, typer.Option(metavar="F", help="YAML file of faults by the clock.")
    ] = None,
    username: Annotated[str | None, typer.Option(metavar="U", help="Account on the cameras.")] = None,
    password_file: Annotated[
        str | None,
        typer.Option(
            metavar="F", help="File with its password; - for stdin. Without both: admin, password simulated."
        ),
    ] = None,
    digest: Annotated[Login, typer.Option(help="How RTSP asks for it.")] = Login.MD5,
    live_start: Annotated[
        bool, typer.Option("--live-start", help="Sessions start between keyframes, not at one.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document with all URLs once everything runs.")
    ] = False,
) -> None:
    """Play virtual cameras (RTSP, ONVIF, WS-Discovery) until Ctrl-C.

    The first start makes the clips, which takes some seconds; they are kept in the user's cache folder.
    """
    import uvloop

    from sharpeyes.simulator import fleet as fleets
    from sharpeyes.simulator import scenario as scenarios
    from sharpeyes.simulator.simulator import only_one_loopback

    credentials = None if digest is Login.NONE else account(username, password_file) or fleets.SIMULATED
    if city:
        fleet = fleets.city(cameras, credentials=credentials)
    else:
        fleet = fleets.uniform(cameras, credentials=credentials, scheme=fleets.Scheme(digest.value))
    shared = only_one_loopback()
    addressing = fleets.Addressing(
        network=address or ("127.0.0.1" if shared else "127.0.1.1"),
        rtsp_port=rtsp_port,
        onvif_port=onvif_port,
        discovery_port=discovery_port,
        shared_address=shared,
    )
    plan = scenarios.load(scenario) if scenario is not None else None
    where = _host_and_port(control) if control is not None else None
    uvloop.run(_play(fleet, addressing, plan, str(scenario), where, as_json=as_json, live_start=live_start))


async def _play(
    fleet: Fleet,
    addressing: Addressing,
    scenario: Scenario | None,
    scenario_file: str,
    control: tuple[str, int] | None,
    *,
    as_json: bool,
    live_start: bool,
) -> None:
    import signal

    from rich.console import Console
    from rich.progress import Progress

    from sharpeyes.simulator import scenario as scenarios
    from sharpeyes.simulator.control import ControlServer
    from sharpeyes.simulator.simulator import Simulator

    console = Console(stderr=True)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def told(target: str, fault: Fault | None) -> None:
        console.print(f"{target}: {'well again' if fault is None else fault}", markup=False)

    simulator = Simulator(fleet, addressing=addressing, live_start=live_start)
    server = ControlServer(simulator)
    try:
        with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bars:
            task = bars.add_task("Making clips", total=None)
            starting = asyncio.ensure_future(
                simulator.start(lambda done, total: bars.update(task, completed=done, total=total))
            )
            stopping = asyncio.ensure_future(stop.wait())
            await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                await asyncio.wait((starting,))
                return
            await starting
        if scenario is not None:
            scenarios.targets(scenario, simulator.ids, scenario_file)  # a wrong name is told before all else
        if control is not None:
            await server.start(*control)
        _tell(simulator, server.url, as_json=as_json)
        waiting: set[asyncio.Future[Any]] = {stopping}
        if scenario is not None:
            playing = asyncio.ensure_future(scenarios.run(scenario, simulator, told, file=scenario_file))
            done, _ = await asyncio.wait((stopping, playing), return_when=asyncio.FIRST_COMPLETED)
            if playing in done:
                await playing
            else:
                playing.cancel()
        await asyncio.wait(waiting)
    finally:
        await server.stop()
        await simulator.stop()


def _tell(simulator: Simulator, control: str, *, as_json: bool) -> None:
    if as_json:
        document = {
            "cameras": [endpoint.document() for endpoint in simulator.endpoints.values()],
            "control": control or None,
            "discovery_port": simulator.discovery_port,
            "multicast": simulator.multicast,
        }
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return
    endpoints = list(simulator.endpoints.values())
    for endpoint in endpoints[:20]:
        sys.stdout.write(f"{endpoint.camera}  {endpoint.url}  {endpoint.xaddr}\n")
    if len(endpoints) > 20:
        sys.stdout.write(f"... and {len(endpoints) - 20} more, up to {endpoints[-1].url} (all with --json)\n")
    found = f"UDP port {simulator.discovery_port}" if simulator.discovery_port else "off: its port is taken"
    sys.stdout.write(f"WS-Discovery: {found}{', multicast too' if simulator.multicast else ''}\n")
    if control:
        sys.stdout.write(f"Control API: {control}/cameras\n")
    sys.stdout.write("Ctrl-C ends it.\n")
    sys.stdout.flush()


def _host_and_port(text: str) -> tuple[str, int]:
    from sharpeyes.domain.errors import InvalidInputError

    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise InvalidInputError(
            f"--control {text!r} is no HOST:PORT", mend="Write for example 127.0.0.1:8590"
        )
    return host, int(port)
