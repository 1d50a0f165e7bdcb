"""``sharpeyes report``: a day, a week or a month as a file with a signed manifest; or the check of one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sharpeyes.config import Settings


def report(
    day: Annotated[str | None, typer.Option(help="A day, as 2026-10-05.")] = None,
    week: Annotated[str | None, typer.Option(help="A week from Monday, as 2026-W41.")] = None,
    month: Annotated[str | None, typer.Option(help="A month, as 2026-10.")] = None,
    by: Annotated[str, typer.Option(help="tier, department, area, zone, camera or all.")] = "tier",
    department: Annotated[
        str | None, typer.Option(help="On this department alone, by department or camera; its id.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="xlsx, pdf, csv or json.")] = "xlsx",
    lang: Annotated[str, typer.Option(help="zh or en.")] = "zh",
    out: Annotated[Path | None, typer.Option(help="File to write; its manifest goes beside it.")] = None,
    check: Annotated[Path | None, typer.Option(help="Check this copy of a report instead.")] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Manifest for --check; default: beside the file, then the database.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Public key for --check; default: this installation's.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="The city's configuration.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the database and the keys live.")] = None,
) -> None:
    """Write a report on the online rate, or check one. Exit codes of --check: 0 genuine, 1 not."""
    from sharpeyes.config import Settings
    from sharpeyes.domain.errors import InvalidInputError

    settings = Settings.read(config=config, data_dir=data_dir)
    if check is not None:
        if day or week or month:
            raise InvalidInputError("--check: takes no period")
        _check(settings, check, manifest, key)
        return
    given = [(name, label) for name, label in (("day", day), ("week", week), ("month", month)) if label]
    if len(given) != 1:
        raise InvalidInputError("a report is on one of --day, --week and --month", mend="--month 2026-10")
    _write(settings, *given[0], by, department, form, lang, out)


def _write(
    settings: Settings,
    every: str,
    label: str,
    by: str,
    department: str | None,
    form: str,
    lang: str,
    out: Path | None,
) -> None:
    from typing import cast, get_args
    from zoneinfo import ZoneInfo

    from sharpeyes.config import load
    from sharpeyes.domain.errors import InvalidInputError
    from sharpeyes.net.own_clock import wall_clock
    from sharpeyes.rates.report.files import file_name, write_report
    from sharpeyes.rates.report.manifest import KEY_FILE, Signer
    from sharpeyes.rates.report.period import Period
    from sharpeyes.rates.report.render import Format, render
    from sharpeyes.rates.report.report import gather
    from sharpeyes.rates.report.words import Lang
    from sharpeyes.store.database import Database
    from sharpeyes.store.reports import put_manifest
    from sharpeyes.store.state_time import Dimension

    for option, value, known in (
        ("--by", by, get_args(Dimension)),
        ("--format", form, tuple(Format)),
        ("--lang", lang, tuple(Lang)),
    ):
        if value not in known:
            raise InvalidInputError(
                f"{option}: {value[:40]!r} is not known", mend=f"One of: {', '.join(known)}"
            )
    site = load(settings.config).site
    zone, now = ZoneInfo(site.timezone), wall_clock()
    dimension = cast(Dimension, by)
    period = Period.begun(label, zone, now)
    if period.every != every:
        raise InvalidInputError(f"--{every}: {label!r} is a {period.every}", mend=f"Write --{period.every}")
    with Database(settings.database) as database:
        database.upgrade()
        found = database.read(
            lambda c: gather(
                c,
                period,
                dimension,
                department,
                site=site.name,
                timezone=site.timezone,
                zone=zone,
                now=now,
            )
        )
        data = render(found, Format(form), Lang(lang))
        told = Signer(settings.data_dir / KEY_FILE).manifest(found, Format(form), Lang(lang), data)
        database.write(lambda c: put_manifest(c, told, now=now))
    file = out or Path(file_name(label, by, Lang(lang), Format(form), department))
    write_report(file, data, told)
    typer.echo(f"{file} ({len(data)} bytes, SHA-256 {told['sha256']})")


def _check(settings: Settings, file: Path, manifest: Path | None, key: str | None) -> None:
    from hashlib import sha256

    from sharpeyes.domain.errors import InvalidInputError, NotFoundError
    from sharpeyes.rates.report.manifest import KEY_FILE, SUFFIX, NotGenuineError, Signer, parse
    from sharpeyes.rates.report.manifest import check as check_copy
    from sharpeyes.store.database import Database
    from sharpeyes.store.reports import get_manifest

    try:
        data = file.read_bytes()
        beside = manifest or file.with_name(file.name + SUFFIX)
        text = beside.read_text(encoding="utf-8") if manifest or beside.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"--check: {error}") from None
    own = settings.data_dir / KEY_FILE
    if key is None and own.exists():
        key = Signer(own).public
    if text is not None:
        told = parse(text)
    else:
        with Database(settings.database) as database:
            database.upgrade()
            try:
                told = database.read(lambda c: get_manifest(c, sha256(data).hexdigest()))
            except NotFoundError as error:
                _no(str(error))
    try:
        check_copy(data, told, key=key)
    except NotGenuineError as error:
        _no(str(error))
    about = told.get("report", {})
    typer.echo(f"genuine: {about.get('every')} {about.get('period')} by {about.get('by')}, key {told['key']}")
    if key is None:
        sys.stderr.write(
            "The key is the manifest's own: compare it with the one that you know, or give --key.\n"
        )


def _no(reason: str) -> None:
    sys.stderr.write(f"not genuine: {reason}\n")
    raise typer.Exit(1)
