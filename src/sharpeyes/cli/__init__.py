"""The ``sharpeyes`` command: one module a subcommand, each a thin layer over a room.

A command's module imports the room that it needs inside the command, so that ``probe`` does not pay for the
service's imports and ``--help`` is instant.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Annotated

import typer

from sharpeyes import __version__
from sharpeyes.cli.audit import audit
from sharpeyes.cli.check_config import check_config
from sharpeyes.cli.demo import demo
from sharpeyes.cli.diagnose import diagnose
from sharpeyes.cli.discover import discover
from sharpeyes.cli.dossiers import export_dossiers, import_dossiers
from sharpeyes.cli.keys import keys
from sharpeyes.cli.probe import probe
from sharpeyes.cli.report import report
from sharpeyes.cli.retain import retain
from sharpeyes.cli.serve import serve
from sharpeyes.cli.simulate import simulate
from sharpeyes.cli.sweep import sweep
from sharpeyes.cli.user import user
from sharpeyes.domain.errors import SharpEyesError

app = typer.Typer(
    name="sharpeyes",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (serve, demo, discover, probe, check_config, sweep, diagnose, report, retain, simulate):
    app.command()(command)
app.command("import")(import_dossiers)
app.command("export")(export_dossiers)
for group in (audit, keys, user):
    app.add_typer(group)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"sharpeyes {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Finds a city's cameras, checks what each one delivers, and publishes the online rate."""


def main() -> None:
    """Entry point. Exit codes: 0 done, 1 the answer is no, 2 wrong use or input, 130 interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that a terminal cannot show are no failure
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left goes nowhere, without another word
        sys.stderr.write(f"sharpeyes: cannot write: {error.strerror}. Make room there\n")
        sys.exit(2)
    except SharpEyesError as error:
        sys.stderr.write(f"sharpeyes: {error}\n")
        sys.exit(2)
