"""``sharpeyes probe``: one look at one stream, with all that was seen on the way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharpeyes.cli.account import account
from sharpeyes.cli.tls import AnyHostOption, CaOption, FingerprintOption, trusted
from sharpeyes.domain.camera import Transport
from sharpeyes.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from sharpeyes.domain.health import ProbeResult


def probe(
    url: Annotated[str, typer.Argument(metavar="URL", help="rtsp:// or rtsps:// URL of the stream.")],
    username: Annotated[str | None, typer.Option(help="Account on the camera.")] = None,
    password_file: Annotated[
        str | None, typer.Option(metavar="F", help="File that holds the password; - for stdin.")
    ] = None,
    transport: Annotated[Transport, typer.Option(help="How the media shall travel.")] = Transport.TCP,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=300,
            help="Seconds until there must be a keyframe; three times as many while other video comes.",
        ),
    ] = 10.0,
    observe: Annotated[
        float,
        typer.Option(min=0, max=60, help="Seconds to go on, to measure frame rate, bit rate and loss."),
    ] = 2.0,
    allow_basic: Annotated[
        bool, typer.Option("--allow-basic", help="Send the password as it is, if the camera asks for that.")
    ] = False,
    tls_ca: CaOption = None,
    tls_any_host: AnyHostOption = False,
    tls_fingerprint: FingerprintOption = None,
    keyframe: Annotated[
        Path | None, typer.Option(metavar="F", help="Write the keyframe to this file (Annex B or JPEG).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the dialogue.")] = False,
) -> None:
    """Look at one stream: how far up the ladder does it come, and what stops it?

    Exit code 0 if a whole keyframe arrived, 1 if not, 2 for wrong use.
    """
    import asyncio

    from sharpeyes.health.probe import ProbeRequest
    from sharpeyes.health.probe import probe as look
    from sharpeyes.wire.rtsp.url import parse_url

    target, from_url = parse_url(url)
    credentials = account(username, password_file) or from_url
    request = ProbeRequest(
        url=target.text,
        credentials=credentials,
        transport=transport,
        timeout_s=timeout,
        observe_s=observe,
        allow_basic=allow_basic,
        tls=trusted([target.text], tls_ca, tls_any_host, tls_fingerprint),
    )
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(f"Looking at {target.masked}"):
            result = asyncio.run(look(request))
    else:
        result = asyncio.run(look(request))
    if keyframe is not None and result.keyframe is not None:
        try:
            keyframe.write_bytes(result.keyframe.data)
        except OSError as error:
            raise InvalidInputError(f"--keyframe: {keyframe} cannot be written: {error.strerror}") from error
    if as_json:
        import json

        sys.stdout.write(json.dumps(_document(result)) + "\n")
        if verbose:
            sys.stderr.write("\n".join(result.transcript) + "\n")
    else:
        _draw(result, target.masked, verbose=verbose)
    raise typer.Exit(0 if result.ok else 1)


def _document(result: ProbeResult) -> dict[str, Any]:
    failure = result.failure
    return {
        "rung": result.rung.label,
        "ok": result.ok,
        "codec": result.codec,
        "width": result.width,
        "height": result.height,
        "fps": None if result.fps is None else round(result.fps, 3),
        "bitrate_bps": result.bitrate_bps,
        "packets": result.packets,
        "lost": result.lost,
        "connect_ms": _rounded(result.timings.connect_ms),
        "first_packet_ms": _rounded(result.timings.first_packet_ms),
        "keyframe_ms": _rounded(result.timings.keyframe_ms),
        "error": None
        if failure is None
        else {"phase": str(failure.phase), "kind": str(failure.kind), "message": failure.message},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _draw(result: ProbeResult, url: str, *, verbose: bool) -> None:
    """The ladder from the bottom, each rung with when it was reached."""
    from rich.console import Console
    from rich.markup import escape

    from sharpeyes.cli.mends import MENDS
    from sharpeyes.domain.health import Blame, Rung

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(url)}[/]")
    timings = result.timings
    reached_ms = {
        Rung.REACHABLE: timings.connect_ms,
        Rung.AUTHENTICATED: timings.describe_ms,
        Rung.MEDIA: timings.first_packet_ms,
        Rung.KEYFRAME: timings.keyframe_ms,
    }
    for rung in (Rung.REACHABLE, Rung.RTSP, Rung.AUTHENTICATED, Rung.MEDIA, Rung.KEYFRAME):
        at = reached_ms.get(rung)
        when = "" if at is None else f"{at:9.1f} ms"
        if rung <= result.rung:
            console.print(f"  [green]✓[/] {rung.label:<14}{when}")
        else:
            console.print(f"  [red]✗[/] [dim]{rung.label}[/]")
    facts = [
        result.codec,
        f"{result.width}x{result.height}" if result.width else None,
        f"{result.fps:.4g} fps" if result.fps else None,
        f"{result.bitrate_bps / 1000:.0f} kbit/s" if result.bitrate_bps else None,
        f"{result.packets} packets, {result.lost} lost" if result.packets else None,
    ]
    if any(facts):
        console.print("  " + escape(", ".join(fact for fact in facts if fact)))
    failure = result.failure
    if failure is not None:
        side = "the camera's side" if failure.blame is Blame.CAMERA else "this prober's side"
        console.print(f"  [red]{failure.kind}[/] in {failure.phase}, on {side}: {escape(failure.message)}")
        console.print(f"  {escape(MENDS[failure.kind])}.")
    if verbose:
        for line in result.transcript:
            console.print(f"    [dim]{escape(line)}[/]")
