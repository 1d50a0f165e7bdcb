"""``sharpeyes check-config``: is the description of the city right, and what does it say?"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sharpeyes.config import Config
    from sharpeyes.domain.errors import ConfigError


def check_config(
    file: Annotated[Path, typer.Argument(help="The file to check.")] = Path("configs/cameras.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check a description of cameras and say what it declares. Exit code 2 if it has mistakes."""
    from sharpeyes.config import ConfigErrors, load

    try:
        config = load(file)
    except ConfigErrors as wrong:
        if as_json:
            typer.echo(json.dumps({"ok": False, "errors": _documents(wrong.errors)}, ensure_ascii=False))
        else:
            sys.stderr.writelines(f"{error}\n" for error in wrong.errors)
            count = len(wrong.errors)
            sys.stderr.write(f"{file}: {count} mistake{'s' if count > 1 else ''}\n")
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps({"ok": True, "errors": []} | _summary(config), ensure_ascii=False))
        return
    sys.stderr.writelines(f"{warning} (warning)\n" for warning in config.warnings)
    summary = _summary(config)
    typer.echo(f"{file}: ok, {config.site.name} ({config.site.timezone})")
    for name in ("tiers", "departments"):
        counts = ", ".join(f"{key} {count}" for key, count in summary["cameras_by"][name].items())
        typer.echo(f"  {summary['cameras']} cameras by {name[:-1]}: {counts or 'none'}")
    typer.echo(f"  {summary['networks']} networks with {summary['addresses']:,} addresses to look at")
    typer.echo("  " + ", ".join(f"{summary[name]} {name}" for name in ("departments", "areas", "zones")))
    without = summary["credentials_without_password"]
    typer.echo(f"  {summary['credentials']} credentials, {without} of them without a password here")


def _summary(config: Config) -> dict[str, Any]:
    declared = config.declared
    return {
        "site": config.site.name,
        "timezone": config.site.timezone,
        "cameras": len(declared.cameras),
        "cameras_by": {
            "tiers": dict(Counter(camera.tier.value for camera in declared.cameras)),
            "departments": dict(Counter(camera.department for camera in declared.cameras)),
        },
        "networks": len(config.networks),
        "addresses": config.addresses,
        "departments": len(declared.departments),
        "areas": len(declared.areas),
        "zones": len(declared.zones),
        "credentials": len(declared.credentials),
        "credentials_without_password": sum(account.password is None for account in declared.credentials),
        "warnings": _documents(config.warnings),
    }


def _documents(errors: Iterable[ConfigError]) -> list[dict[str, object]]:
    return [
        {"file": error.file, "line": error.line, "message": error.message, "mend": error.mend}
        for error in errors
    ]
