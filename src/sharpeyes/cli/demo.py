"""``sharpeyes demo``: the service on a simulated city."""

from __future__ import annotations

import asyncio
import shutil
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sharpeyes.app import Service, Started
    from sharpeyes.simulator.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Owner:
    """A department of the demo, and the network that its cameras are in."""

    department: str
    name: str
    industry: str
    tier: str
    area: str
    zone: str


OWNERS = (
    Owner("police", "Public Security Bureau", "00", "public_security", "riverside", "police-video"),
    Owner("traffic", "Traffic Police", "04", "public_security", "old-town", "police-video"),
    Owner("education", "Education Bureau", "11", "departmental", "old-town", "sector"),
    Owner("health", "Health Commission", "09", "departmental", "riverside", "sector"),
    Owner("streets", "Riverside Street Office", "01", "community", "riverside-east", "community"),
    Owner("estates", "Housing Estates", "01", "community", "old-town", "community"),
)

HEADER = """\
# The demo's city, written by 'sharpeyes demo': a small example of a cameras.yaml.
site: {name: Demo city, timezone: Asia/Shanghai}
tiers:
  public_security: {target: 0.98, liveness_s: 10}
  departmental: {target: 0.95, liveness_s: 10}
  community: {target: 0.90, liveness_s: 10}
zones:
  police-video: {name: Police video network, network: 1}
  sector: {name: Government extranet, network: 6}
  community: {name: Community network, network: 7}
areas:
  city:
    name: Demo city
    code: "330108"
    children:
      riverside:
        name: Riverside
        code: "33010801"
        children:
          riverside-east: {name: Riverside East}
      old-town: {name: Old Town, code: "33010802"}
credentials:
  simulated: {username: admin, password_file: password.txt}
"""


def demo(
    cameras: Annotated[int, typer.Option(min=6, max=600, help="Virtual cameras.")] = 60,
    data_dir: Annotated[
        Path, typer.Option(help="Where the demo keeps its data; emptied at every start.")
    ] = Path(".demo"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[str, typer.Option(help="Port to listen on, 0 for any.")] = "8080",
    rtsp_port: Annotated[int, typer.Option(min=0, max=65535, help="RTSP port of the cameras.")] = 8554,
    onvif_port: Annotated[int, typer.Option(min=1, max=65535, help="ONVIF port of the cameras.")] = 8899,
    seed: Annotated[int, typer.Option(help="Another number, another city.")] = 1,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
) -> None:
    """Run the service on a simulated city: cameras of three tiers, some of them faulty.

    They are found over ONVIF on loopback addresses and checked like any others. Ctrl-C ends it.
    """
    from rich.console import Console
    from rich.progress import Progress

    from sharpeyes.app import run, until_signalled
    from sharpeyes.cli.logs import set_up_logs
    from sharpeyes.config import Settings, load
    from sharpeyes.simulator.fleet import SIMULATED, Addressing, city
    from sharpeyes.simulator.simulator import Simulator

    set_up_logs(log_level)
    console = Console()
    fleet, networks = _settle(city(cameras, seed=seed), onvif_port)
    faults = {device.id: device.fault for device in fleet.devices if device.fault is not None}
    # A camera that is down from the beginning is never found: faults come once all are enrolled.
    fleet = replace(fleet, devices=tuple(replace(device, fault=None) for device in fleet.devices))
    _make_empty(data_dir)
    (data_dir / "password.txt").write_text(SIMULATED.password.reveal(), encoding="utf-8")
    (data_dir / "password.txt").chmod(0o600)
    file = data_dir / "cameras.yaml"
    file.write_text(HEADER + networks, encoding="utf-8")
    settings = Settings.read({}, config=file, data_dir=data_dir / "data", host=host, port=port)
    config = load(file)

    async def main(stop: asyncio.Event) -> None:
        place = Addressing(rtsp_port=rtsp_port, onvif_port=onvif_port, discovery_port=None)
        simulator = Simulator(fleet, addressing=place)
        with Progress(console=console, transient=True) as bar:
            drawing = bar.add_task("Drawing the city's pictures, once", total=None)
            await simulator.start(lambda done, total: bar.update(drawing, completed=done, total=total))
        watching: list[asyncio.Task[None]] = []

        async def story(service: Service) -> None:
            await service.enrolment.searched.wait()
            for device, fault in faults.items():
                await simulator.set_fault(device, fault)

        def greet(started: Started) -> None:
            _greet(console, started)
            watching.append(asyncio.create_task(story(started.service), name="demo-story"))
            watching.append(asyncio.create_task(_watch(console, started.service), name="demo-table"))

        try:
            await run(settings, config, stop=stop, started=greet)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            await simulator.stop()

    until_signalled(main)
    console.print("The demo has ended.")


def _settle(fleet: Fleet, onvif_port: int) -> tuple[Fleet, str]:
    """Give every device an address in its owner's network; also the networks as YAML."""
    groups: dict[Owner, list[int]] = defaultdict(list)
    for number, device in enumerate(fleet.devices):
        owners = [owner for owner in OWNERS if owner.tier == device.tier]
        groups[owners[number % len(owners)]].append(number)
    devices = list(fleet.devices)
    departments = (f'  {one.department}: {{name: {one.name}, industry: "{one.industry}"}}' for one in OWNERS)
    lines = ["departments:", *departments, "networks:"]
    for third, owner in enumerate(OWNERS, 11):
        for host, number in enumerate(groups[owner], 1):
            devices[number] = replace(devices[number], address=f"127.0.{third}.{host}")
        # The smallest network that holds them, its own address and its broadcast address left out.
        prefix = 32 - max(2, (len(groups[owner]) + 1).bit_length())
        lines.append(
            f"  - {{cidr: 127.0.{third}.0/{prefix}, tier: {owner.tier}, department: {owner.department},"
            f" area: {owner.area}, zone: {owner.zone}, credential: simulated, ports: [{onvif_port}],"
            f' methods: [sweep], camera_name: "{{channel}}"}}'
        )
    return replace(fleet, devices=tuple(devices)), "\n".join(lines) + "\n"


def _make_empty(folder: Path) -> None:
    """The demo begins anew each time: yesterday's virtual outages are nobody's history."""
    marker = folder / ".sharpeyes-demo"
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise typer.BadParameter(f"{folder} is in use for something else", param_hint="--data-dir")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    marker.touch()


def _greet(console: Console, started: Started) -> None:
    assert started.token is not None  # the data directory was empty
    url, token = started.url, started.token.reveal()
    console.print(f"[bold]SharpEyes listens on {url}[/bold]  (Ctrl-C ends the demo)\n")
    console.print(f"  console  {url}/  (sign in with the token)", soft_wrap=True, highlight=False)
    console.print(f"  token    {token}", soft_wrap=True, highlight=False)
    console.print(f"  metrics  {url}/metrics", soft_wrap=True, highlight=False)
    for path in ("rates?by=tier", "cameras?state=offline", "discovery"):
        line = f"  try      curl -H 'Authorization: Bearer {token}' '{url}/api/v1/{path}'"
        console.print(line, soft_wrap=True, highlight=False)
    console.print()


async def _watch(console: Console, service: Service) -> None:
    """The online rate, live in a terminal; elsewhere a line whenever it changes."""
    from rich.live import Live

    if console.is_terminal:
        with Live(_table(service), console=console, refresh_per_second=2) as live:
            while True:
                await asyncio.sleep(0.5)
                live.update(_table(service))
    said = ""
    while True:
        await asyncio.sleep(1)
        if (line := _line(service)) != said:
            console.print(line, highlight=False)
            said = line


def _table(service: Service) -> Table:
    from rich.table import Table

    from sharpeyes.domain.health import State
    from sharpeyes.domain.organisation import Tier

    tally = service.board.tally()
    table = Table(title=_line(service), title_justify="left", title_style="none")
    table.add_column("tier")
    for title in ("cameras", *(state.value for state in State), "online rate", "target"):
        table.add_column(title, justify="right")
    policies = {policy.tier: policy for policy in service.config.declared.tiers}
    for tier in Tier:
        counts = {state: tally.by_tier.get((tier, state), 0) for state in State}
        seen = counts[State.ONLINE] + counts[State.DEGRADED] + counts[State.OFFLINE]
        rate = (counts[State.ONLINE] + counts[State.DEGRADED]) / seen if seen else None
        target = policies[tier].target
        shown = "collecting" if rate is None else f"[{'green' if rate >= target else 'red'}]{rate:.1%}[/]"
        table.add_row(
            tier.value,
            str(sum(counts.values())),
            *(str(counts[state]) for state in State),
            shown,
            f"{target:.0%}",
        )
    return table


def _line(service: Service) -> str:
    """What is going on, in a line."""
    from sharpeyes.domain.health import State

    run = service.enrolment.last
    if run is None or (run.ended is None and not len(service.board)):
        return f"searching: {run.step or 'begin'} {run.done}/{run.total}" if run else "searching"
    states = service.board.tally().by_state
    counts = ", ".join(f"{states[state]} {state}" for state in State if states.get(state))
    return f"{run.found} devices found, {len(service.board)} cameras enrolled: {counts or 'none yet'}"
