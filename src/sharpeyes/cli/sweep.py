"""``sharpeyes sweep``: every camera once, and what came of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharpeyes.domain.organisation import Tier

if TYPE_CHECKING:
    from sharpeyes.config import Config, Settings
    from sharpeyes.domain.health import Defect
    from sharpeyes.health.board import Entry
    from sharpeyes.health.fleet import Target
    from sharpeyes.health.sweep import Swept
    from sharpeyes.registry.trust import Trust
    from sharpeyes.store.database import Database


def sweep(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="What to watch.  [default: configs/cameras.yaml]")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Take the cameras, accounts and references of the registry there as well."
            " Which certificates are trusted says the file of SHARPEYES_CONFIG or --config."
        ),
    ] = None,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Decode the keyframes and check the pictures.")
    ] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="With --diagnose: one picture a camera, in half the time; frozen ones are not found.",
        ),
    ] = False,
    tier: Annotated[Tier | None, typer.Option(help="Only cameras of this tier.")] = None,
    in_flight: Annotated[int, typer.Option(min=1, max=20_000, help="Probes under way at once.")] = 400,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check every camera once, within the limits of its device, and count what was found.

    Nothing is stored. Exit code 0 if all deliver, 1 if some do not, 2 for wrong use.
    """
    import contextlib

    import uvloop

    from sharpeyes.config import Settings, load
    from sharpeyes.registry.trust import Trust

    settings = Settings.read(config=config, data_dir=data_dir)
    with contextlib.ExitStack() as stack:
        found: dict[str, Target] = {}
        database = None
        registry_alone = config is None and data_dir is not None
        trust = Trust()
        if not registry_alone or settings.config.is_file():
            read = load(settings.config)
            trust = read.trust
            if not registry_alone:
                found = _declared(read)
        if data_dir is not None:
            database = stack.enter_context(_registry(settings))
            found |= _registered(database, settings, trust)
        targets = [target for target in found.values() if tier is None or target.camera.tier is tier]
        swept = uvloop.run(_sweep(targets, database, diagnose=diagnose, quick=quick, in_flight=in_flight))
    if as_json:
        sys.stdout.write(json.dumps(_document(swept)) + "\n")
    else:
        _print(swept)
    delivering = swept.by_state["online"] + swept.by_state["degraded"] + swept.by_state["maintenance"]
    raise typer.Exit(0 if delivering == len(swept.entries) else 1)


def _declared(config: Config) -> dict[str, Target]:
    from sharpeyes.domain.credentials import Credentials
    from sharpeyes.health.targets import targets_of

    declared = config.declared
    accounts = {
        one.id: Credentials(one.username, one.password, allow_basic=one.allow_basic)
        for one in declared.credentials
        if one.password is not None
    }
    policies = {policy.tier: policy for policy in declared.tiers}
    targets = targets_of(declared.cameras, {}, accounts, {}, policies, config.trust)
    return {target.camera.id: target for target in targets}


def _registry(settings: Settings) -> Database:
    from sharpeyes.domain.errors import InvalidInputError
    from sharpeyes.store.database import Database

    name = settings.database.database
    if settings.database_url is None and not (name and Path(name).is_file()):
        raise InvalidInputError(
            f"--data-dir: there is no registry in {settings.data_dir}",
            mend="Run 'sharpeyes serve' there first",
        )
    return Database(settings.database)


def _registered(database: Database, settings: Settings, trust: Trust) -> dict[str, Target]:
    from sharpeyes.health.targets import read_targets
    from sharpeyes.store.vault import Vault

    targets, _ = database.read(
        lambda connection: read_targets(connection, Vault.at(settings.key_file), trust)
    )
    return {target.camera.id: target for target in targets}


async def _sweep(
    targets: list[Target], database: Database | None, *, diagnose: bool, quick: bool, in_flight: int
) -> Swept:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from sharpeyes.health.fleet import Limits
    from sharpeyes.health.probe import probe
    from sharpeyes.health.sweep import PLACES
    from sharpeyes.health.sweep import sweep as look_at_all
    from sharpeyes.net.own_clock import wall_clock
    from sharpeyes.net.process import calm_collector, give_back_memory, raise_file_limit

    quality = None
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bars:
        bar = bars.add_task("Cameras", total=len(targets))
        if diagnose:
            from sharpeyes.health.decoders import Processes
            from sharpeyes.health.quality import Quality

            quality = Quality(
                Processes(),
                clock=wall_clock,
                database=database,
                patient=True,
                quick=quick,
                places=PLACES,
            )
        give_back_memory()
        calm_collector()
        try:
            return await look_at_all(
                targets,
                probe,
                clock=wall_clock,
                limits=Limits(in_flight=in_flight, zone_in_flight=in_flight).within(raise_file_limit()),
                quality=quality,
                progress=lambda done: bars.update(bar, completed=done),
            )
        finally:
            if quality is not None:
                await quality.stop()


def _document(swept: Swept) -> dict[str, Any]:
    return {
        "cameras": len(swept.entries),
        "by_state": dict(swept.by_state),
        "by_rung": dict(swept.by_rung),
        "by_fault": {kind.value: number for kind, number in swept.by_fault.items()},
        "wall_seconds": round(swept.wall_s, 3),
        "cpu_seconds": round(swept.cpu_s, 3),
        "max_rss_bytes": swept.max_rss_bytes,
        "findings": [
            {
                "camera": entry.camera.id,
                "state": entry.standing.state.value,
                "cause": entry.standing.cause,
                "faults": [{"kind": each.kind.value, "severity": each.severity} for each in defects],
            }
            for entry, defects in _findings(swept)
        ],
    }


def _findings(swept: Swept) -> list[tuple[Entry, Sequence[Defect]]]:
    """Cameras of which there is something to be said, and the faults of their pictures."""
    found = [(entry, entry.sight.defects if entry.sight is not None else ()) for entry in swept.entries]
    told = [each for each in found if each[0].standing.cause is not None or each[1]]
    return sorted(told, key=lambda each: each[0].camera.id)


def _print(swept: Swept) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    for name, counts in (("state", swept.by_state), ("rung", swept.by_rung)):
        console.print(f"by {name}: " + (", ".join(f"{key} {n}" for key, n in counts.most_common()) or "none"))
    if swept.by_fault:
        console.print("faults: " + ", ".join(f"{kind} {n}" for kind, n in swept.by_fault.most_common()))
    for entry, defects in _findings(swept):
        said = {entry.standing.cause: ""} if entry.standing.cause is not None else {}
        said |= {each.kind.value: f" (severity {each.severity})" for each in defects}
        words = ", ".join(f"{kind}{more}" for kind, more in said.items())
        console.print(f"  {escape(entry.camera.id)}: {entry.standing.state}, {escape(words)}")
    console.print(
        f"{len(swept.entries)} cameras in {swept.wall_s:.2f} s,"
        f" {swept.cpu_s:.2f} s of CPU, at most {swept.max_rss_bytes / 1e6:.0f} MB"
    )
