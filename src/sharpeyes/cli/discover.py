"""``sharpeyes discover``: find ONVIF devices and ask each what it is."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sharpeyes.cli.account import account

if TYPE_CHECKING:
    from sharpeyes.discovery.discover import Step
    from sharpeyes.discovery.found import FoundDevice


def discover(
    interface: Annotated[
        list[str] | None,
        typer.Option(
            metavar="I",
            help="Send multicast probes on this interface (name or IPv4 address); repeatable. "
            "Without any of --interface, --cidr and --xaddr: on all but loopback.",
        ),
    ] = None,
    cidr: Annotated[
        list[str] | None,
        typer.Option(metavar="C", help="Look at every address of this network; repeatable."),
    ] = None,
    xaddr: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Ask this device service as well; repeatable."),
    ] = None,
    username: Annotated[str | None, typer.Option(metavar="U", help="Account on the devices.")] = None,
    password_file: Annotated[
        str | None,
        typer.Option(metavar="F", help="File with its password on the first line; - for standard input."),
    ] = None,
    port: Annotated[
        list[int] | None,
        typer.Option(
            min=1, max=65535, help="Port to look behind with --cidr; repeatable. Default: six usual ones."
        ),
    ] = None,
    large: Annotated[bool, typer.Option("--large", help="Confirm networks of more than a /16.")] = False,
    verify_tls: Annotated[
        bool,
        typer.Option("--verify-tls", help="Accept only certificates that this system's authorities signed."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array, one object a device.")] = False,
) -> None:
    """Find ONVIF devices and ask each what it is: identity, clock, channels, streams.

    Exit codes: 0 if the search was done, whatever it found, 2 for wrong use. A device that cannot be enrolled
    is listed with its error.
    """
    from rich.console import Console
    from rich.progress import Progress

    from sharpeyes.discovery.discover import Search
    from sharpeyes.discovery.discover import discover as search_for
    from sharpeyes.discovery.found import document
    from sharpeyes.discovery.sweep import PORTS, networks
    from sharpeyes.net.tls import SYSTEM, TlsPolicy
    from sharpeyes.net.ws_discovery import interfaces
    from sharpeyes.registry.trust import Trust

    multicast = bool(interface) or not (cidr or xaddr)
    search = Search(
        interfaces=interfaces(interface or ()) if multicast else (),
        networks=networks(cidr or (), large=large),
        xaddrs=xaddr or (),
        credentials=account(username, password_file),
        ports=tuple(port) if port else PORTS,
        trust=Trust(otherwise=TlsPolicy(authorities=SYSTEM) if verify_tls else None),
    )
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bars:
        tasks = {}

        def show(step: Step, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step.value, total=total or None)
            bars.update(tasks[step], completed=done, total=total or None)

        found = asyncio.run(search_for(search, show))
    if as_json:
        sys.stdout.write(
            json.dumps([document(device) for device in found], ensure_ascii=False, indent=2) + "\n"
        )
    else:
        _print_table(found)


def _print_table(found: list[FoundDevice]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not found:
        console.print("No device found.")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("address", "MAC", "maker", "model", "clock", "channels", "streams"):
        table.add_column(title, overflow="fold")
    for device in found:
        identity = device.identity
        profiles = [profile for channel in device.channels for profile in channel.profiles]
        streams = ", ".join(
            f"{profile.codec or '?'} {profile.width or '?'}x{profile.height or '?'}"
            for profile in profiles[:4]
        )
        offset = device.clock_offset_seconds
        cells = (
            device.address,
            identity.mac or "",
            identity.manufacturer or "",
            identity.model or "",
            "" if offset is None else f"{offset:+.0f} s",
            str(len(device.channels)),
            streams + (", ..." if len(profiles) > 4 else ""),
        )
        table.add_row(*map(escape, cells))
    console.print(table)
    for device in found:
        if device.error is not None:
            console.print(
                f"[red]{escape(device.address)}[/red]: {escape(device.error.message)}", highlight=False
            )
    enrolled = sum(bool(device.channels) for device in found)
    console.print(f"{len(found)} devices found, {enrolled} enrolled.", highlight=False)
