"""``sharpeyes demo``: the service on a simulated city."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharpeyes.cli.demo_names import Language, spoken

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sharpeyes.app import Service, Started
    from sharpeyes.cli.demo_town import Town
    from sharpeyes.config import Config
    from sharpeyes.domain.credentials import Secret
    from sharpeyes.simulator.simulator import Simulator

MARKER = ".sharpeyes-demo"
"""A directory with it is a demo's, and may be emptied."""


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
    pace: Annotated[
        float, typer.Option(min=0.1, max=20, help="How many times as fast faults come and go.")
    ] = 1.0,
    language: Annotated[
        Language | None, typer.Option(help="Of the city's names; your own (LANG) if not given.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
) -> None:
    """Run the service on a simulated city: cameras of three tiers, some of them faulty.

    They are found over ONVIF on loopback addresses and checked like any others. Ctrl-C ends it.
    """
    from rich.console import Console

    from sharpeyes.app import listening, run, until_signalled
    from sharpeyes.cli.demo_town import cameras_yaml, settle
    from sharpeyes.cli.logs import set_up_logs
    from sharpeyes.config import Settings, load
    from sharpeyes.simulator.fleet import SIMULATED, Addressing, city
    from sharpeyes.simulator.simulator import Simulator

    set_up_logs(log_level)
    console = Console()
    town = settle(city(cameras, seed=seed), seed=seed, language=language or spoken(os.environ))
    file = data_dir / "cameras.yaml"
    settings = Settings.read({}, config=file, data_dir=data_dir / "data", host=host, port=port)

    async def main(stop: asyncio.Event) -> None:
        place = Addressing(rtsp_port=rtsp_port, onvif_port=onvif_port, discovery_port=None)
        simulator = Simulator(town.fleet, addressing=place)
        shown: list[asyncio.Task[None]] = []

        def begin(started: Started) -> None:
            shown.append(asyncio.create_task(_show(console, started, simulator, town, pace), name="demo"))
            shown[0].add_done_callback(lambda _: stop.set())

        try:
            if not await _drawn(console, simulator, stop):
                return
            file.write_text(cameras_yaml(town, simulator.endpoints, onvif_port, "password.txt"), "utf-8")
            await run(settings, _hasty(load(file)), stop=stop, started=begin)
        finally:
            for task in shown:
                task.cancel()
            ends = await asyncio.gather(*shown, return_exceptions=True)
            await simulator.stop()
        for end in ends:
            if isinstance(end, Exception):
                raise end

    # Whoever waits for the drawing shall not learn only then that a port is taken.
    _check_ports(town, rtsp_port, onvif_port)
    with listening(settings.host, settings.port):
        pass
    with _emptied(data_dir):
        (data_dir / "password.txt").write_text(SIMULATED.password.reveal(), encoding="utf-8")
        (data_dir / "password.txt").chmod(0o600)
        until_signalled(main)
    console.print("The demo has ended.")


async def _show(console: Console, started: Started, simulator: Simulator, town: Town, pace: float) -> None:
    """Everything that a visitor sees: the greeting, then the city as it comes to life."""
    from sharpeyes.app import context_of
    from sharpeyes.cli import demo_story as story
    from sharpeyes.store.cameras import list_cameras

    service, access = started.service, context_of(started.service).access
    passwords = story.draw_passwords()
    people = await story.employ(access, passwords, town.language)
    _greet(console, started, passwords, town.language)

    def say(what: str) -> None:
        console.print(f"{_time(service)}  {what}", highlight=False, soft_wrap=True)

    watching = asyncio.create_task(_watch(console, service), name="demo-table")
    try:
        await service.enrolment.searched.wait()
        dossiers = service.settings.data_dir.parent / "dossiers.csv"
        came = await story.import_dossiers(service, town, dossiers)
        say(f"Dossiers imported from {dossiers}: {came}")
        await story.fill_in(access, await service.database.aread(list_cameras), people, town.language)
        await story.play(simulator, town, say, pace)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _drawn(console: Console, simulator: Simulator, stop: asyncio.Event) -> bool:
    """Start the simulator; False if somebody had enough before its pictures were drawn."""
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bar:
        drawing = bar.add_task("Drawing the city's pictures, once", total=None)
        starting = asyncio.create_task(
            simulator.start(lambda done, total: bar.update(drawing, completed=done, total=total))
        )
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if stop.is_set():
            starting.cancel()
        await asyncio.gather(starting, return_exceptions=stop.is_set())
    return not stop.is_set()


def _hasty(config: Config) -> Config:
    """Tickets sooner than a city wants them: a fault of this one lasts minutes."""
    from sharpeyes.domain.faults import Severity
    from sharpeyes.faults.policy import DAY, HOUR, MINUTE, SECOND, FaultPolicy, Times

    times = {
        Severity.CRITICAL: Times(raise_after=20 * SECOND, acknowledge=15 * MINUTE, resolve=4 * HOUR),
        Severity.MAJOR: Times(raise_after=45 * SECOND, acknowledge=HOUR, resolve=DAY),
        Severity.MINOR: Times(raise_after=60 * SECOND, acknowledge=8 * HOUR, resolve=3 * DAY),
    }
    policy = FaultPolicy(times=times, settle_ms=30 * SECOND)
    return replace(config, faults=replace(config.faults, policy=policy))


def _check_ports(town: Town, rtsp_port: int, onvif_port: int) -> None:
    """UnavailableError that names the option, if another program (or demo) has a port of the cameras."""
    from sharpeyes.domain.errors import UnavailableError
    from sharpeyes.simulator.device import listener

    for device in town.fleet.devices:  # all: a camera of another demo may just be off
        with contextlib.ExitStack() as stack:
            for option, port in (("--rtsp-port", rtsp_port), ("--onvif-port", onvif_port)):
                try:
                    stack.enter_context(contextlib.closing(listener(device.address or "", port, 1)))
                except UnavailableError as error:
                    mend = f"Stop what listens there, or choose another with {option}"
                    raise UnavailableError(f"{option}: {error.message}", mend=mend) from None


@contextlib.contextmanager
def _emptied(folder: Path) -> Iterator[None]:
    """The demo begins anew each time: yesterday's virtual outages are nobody's history. One demo a folder."""
    from sharpeyes.app import sole_user

    marker = folder / MARKER
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise typer.BadParameter(f"{folder} is in use for something else", param_hint="--data-dir")
    folder.mkdir(parents=True, exist_ok=True)
    marker.touch()
    with sole_user(folder):
        for child in folder.iterdir():
            if child.is_dir():
                shutil.rmtree(child)
            elif child.name not in (MARKER, "lock"):
                child.unlink()
        yield


def _greet(console: Console, started: Started, passwords: Mapping[str, Secret], language: Language) -> None:
    assert started.token is not None  # the data directory was empty
    url, token = started.url, started.token.reveal()

    def tell(line: str) -> None:
        console.print(line, soft_wrap=True, highlight=False)

    tell(f"[bold]SharpEyes listens on {url}[/bold]  (Ctrl-C ends the demo)\n")
    tell(f"  console  {url}/  (sign in as one of these, or with the token)")
    tell(f"  token    {token}  (an administrator's: sees everything but pictures)")
    tell(f"  metrics  {url}/metrics")
    tell(f"  try      curl -H 'Authorization: Bearer {token}' '{url}/api/v1/rates?by=tier'\n")
    console.print(_accounts(passwords, language))
    tell(
        "\n  A request of the school waits: traffic-chief and traffic-deputy approve it, school watches,"
        "\n  traffic-chief revokes, auditor reads the register. Operators watch their own cameras at once."
        "\n  Faults come and go in ten minutes; tickets are raised sooner than in a city. From minute 7 on"
        "\n  the monitor tests itself with faults of its own cameras (canaries).\n"
    )


def _accounts(passwords: Mapping[str, Secret], language: Language) -> Table:
    """Shown now or never; others at every start."""
    from rich.table import Table

    from sharpeyes.cli.demo_town import ACCOUNTS, OWNERS, SUPERVISION

    names = dict([SUPERVISION, *((owner.department, owner.name) for owner in OWNERS)])
    table = Table(box=None, padding=(0, 2))
    for title in ("user", "password", "role", "department"):
        table.add_column(title, no_wrap=True)
    for account in ACCOUNTS:
        password = passwords[account.username].reveal()
        table.add_row(account.username, password, account.role.value, language.say(names[account.department]))
    return table


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
            console.print(line, highlight=False, soft_wrap=True)
            said = line


def _table(service: Service) -> Table:
    from rich.table import Table

    from sharpeyes.domain.health import State
    from sharpeyes.domain.organisation import Tier

    tally = service.board.tally()
    table = Table(title=_line(service), title_justify="left", title_style="none", box=None, padding=(0, 1))
    table.add_column("tier", no_wrap=True)
    for title in ("cameras", *(state.value for state in State), "rate", "target"):
        table.add_column(title, justify="right", no_wrap=True)
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


def _time(service: Service) -> str:
    """The wall clock of the city, as the console shows it."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(service.config.site.timezone)
    return f"{datetime.fromtimestamp(service.clock() / 1000, zone):%H:%M:%S}"


def _line(service: Service) -> str:
    """What is going on, in a line."""
    from sharpeyes.domain.health import State

    run = service.enrolment.last
    if run is None or not service.enrolment.searched.is_set():
        return f"searching: {run.step or 'begin'} {run.done}/{run.total}" if run else "searching"
    states = service.board.tally().by_state
    counts = ", ".join(f"{states[state]} {state}" for state in State if states.get(state))
    return f"{run.found} devices found, {len(service.board)} cameras enrolled: {counts or 'none yet'}"
