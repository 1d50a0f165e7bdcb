"""``sharpeyes serve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sharpeyes.app import Started


def serve(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="What to watch.  [default: configs/cameras.yaml]")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the database and the key file live.  [default: data]")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[str | None, typer.Option(help="Port to listen on, 0 for any.  [default: 8080]")] = None,
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning or error.  [default: info]")
    ] = None,
) -> None:
    """Run the service: enrol, watch, and answer the API.

    Every option is also a variable, SHARPEYES_CONFIG and so on; the option wins. The first start prints an
    administrator's token, once. SIGTERM or Ctrl-C ends it: what is under way is finished and written.
    """
    from sharpeyes.app import run, until_signalled
    from sharpeyes.cli.logs import set_up_logs
    from sharpeyes.config import Settings, load

    settings = Settings.read(config=config, data_dir=data_dir, host=host, port=port, log_level=log_level)
    set_up_logs(settings.log_level)
    city = load(settings.config)
    until_signalled(lambda stop: run(settings, city, stop=stop, started=_greet))


def _greet(started: Started) -> None:
    typer.echo(f"SharpEyes listens on {started.url}")
    if started.token is not None:
        typer.echo(f"Administrator's API token, shown this once: {started.token.reveal()}")
