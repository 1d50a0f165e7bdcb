"""``sharpeyes diagnose``: what is wrong with these pictures, and where."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharpeyes.cli.account import account
from sharpeyes.cli.tls import AnyHostOption, CaOption, FingerprintOption, trusted
from sharpeyes.domain.errors import InvalidInputError, SharpEyesError

if TYPE_CHECKING:
    from sharpeyes.domain.credentials import Credentials
    from sharpeyes.domain.health import FailureKind
    from sharpeyes.health.diagnose.diagnosis import Diagnosis
    from sharpeyes.health.diagnose.picture import Picture
    from sharpeyes.health.diagnose.reference import ModeReference
    from sharpeyes.health.probe import ProbeRequest
    from sharpeyes.net.tls import TlsPolicy

_IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


def diagnose(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE|VIDEO|URL...", help="Pictures, short clips or rtsp:// URLs, one camera each."
        ),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Normal pictures of the camera; give it again for more. Best eight or more."
        ),
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="day, ir, night or mono; else the picture decides.", show_default=False)
    ] = None,
    still_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a marked-up still of every file here.")
    ] = None,
    set_dir: Annotated[
        Path | None, typer.Option("--set", metavar="DIR", help="Diagnose a whole set: DIR holds labels.json.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="F", help="With --set: write the predictions to this JSON file.")
    ] = None,
    username: Annotated[str | None, typer.Option(help="Account on the cameras of URLs.")] = None,
    password_file: Annotated[
        str | None, typer.Option(metavar="F", help="File that holds its password; - for stdin.")
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=300,
            help="Seconds until a URL must give a keyframe; three times as many while other video comes.",
        ),
    ] = 10.0,
    tls_ca: CaOption = None,
    tls_any_host: AnyHostOption = False,
    tls_fingerprint: FingerprintOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is wrong with pictures, and where: dark, blurred, covered, turned, frozen, damaged and more.

    A clip is judged by its first and last picture (of a long one, the 64th), a stream by two keyframes
    seconds apart. What needs the camera's normal picture is "not assessable" without --reference.

    Exit code 0 if nothing is wrong, 1 if something is or a stream gives no picture, 2 for wrong use or where
    a file cannot be read: the others are judged all the same.
    """
    if set_dir is not None:
        if inputs or out is None or reference or still_dir or mode:
            raise InvalidInputError("--set DIR goes with --out FILE and nothing else but --json")
        raise typer.Exit(_whole_set(set_dir, out, as_json))
    if not inputs or out is not None:
        raise InvalidInputError("give pictures, clips or URLs to diagnose, or --set DIR --out FILE")
    credentials = account(username, password_file)
    tls = trusted([each for each in inputs if "://" in each], tls_ca, tls_any_host, tls_fingerprint)
    given = [_stream(each, credentials, timeout, tls) if "://" in each else Path(each) for each in inputs]
    if credentials is not None and all(isinstance(each, Path) for each in given):
        raise InvalidInputError("--username goes with rtsp:// URLs, and there is none")
    found = _files(given, reference or [], mode, still_dir)
    failed = [each for _, each in found if isinstance(each, NoPictureError)]
    faulty = sum(not isinstance(each, NoPictureError) and bool(each.faults) for _, each in found)
    if as_json:
        files = [{"file": str(file), **each.to_plain()} for file, each in found]
        sys.stdout.write(json.dumps({"files": files, "faulty": faulty, "failed": len(failed)}) + "\n")
    else:
        _print(found)
    if any(each.failure is None for each in failed):
        raise typer.Exit(2)
    raise typer.Exit(1 if faulty or failed else 0)


class NoPictureError(SharpEyesError):
    """There is nothing to judge. ``failure``: of a stream, why, as probes have it; None of a file."""

    kind = "unavailable"

    def __init__(self, failure: FailureKind | None, message: str, *, mend: str = "") -> None:
        from sharpeyes.cli.mends import MENDS

        if failure is None:
            super().__init__(message, mend=mend)
        else:
            super().__init__(f"no picture: {message} ({failure})", mend=MENDS[failure])
        self.failure = failure

    def to_plain(self) -> dict[str, Any]:
        """For JSON, in the place of a diagnosis."""
        kind = "unreadable" if self.failure is None else str(self.failure)
        return {"error": {"kind": kind, "message": self.message, "mend": self.mend}}


@dataclass(frozen=True, slots=True)
class _Stream:
    """A camera to take pictures from. Printed, it shows no account."""

    request: ProbeRequest
    shown: str

    def __str__(self) -> str:
        return self.shown

    @property
    def stem(self) -> str:
        """For the name of a file."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.shown.partition("://")[2]).strip("-")[:100] or "stream"


def _stream(url: str, credentials: Credentials | None, timeout: float, tls: TlsPolicy) -> _Stream:
    from sharpeyes.health.probe import ProbeRequest
    from sharpeyes.wire.rtsp.url import parse_url

    scheme = url.partition("://")[0].lower()
    if scheme not in ("rtsp", "rtsps"):
        raise InvalidInputError(
            f"{scheme[:20]}:// URLs are not fetched", mend="Save the picture and give the file"
        )
    target, from_url = parse_url(url)
    request = ProbeRequest(url=target.text, credentials=credentials or from_url, timeout_s=timeout, tls=tls)
    return _Stream(request, target.masked)


async def _watch(stream: _Stream) -> tuple[list[Picture], bool]:
    """Two keyframes seconds apart, decoded, and whether something moves right behind them.

    A server that begins every session with the last keyframe that it has is met again until another one
    comes; one that never has another shows the same picture twice.
    """
    from sharpeyes.domain.health import FailureKind
    from sharpeyes.health.examine import decoded
    from sharpeyes.health.probe import probe
    from sharpeyes.health.quality import FOLLOW, PAIR_S, REPEATS

    request = replace(stream.request, follow=FOLLOW)
    pictures: list[Picture] = []
    moves = False
    before = b""
    for turn, wait in enumerate((0.0, 1.0, *REPEATS)):
        await asyncio.sleep(PAIR_S * wait)
        result = await probe(request)
        if result.keyframe is None:
            failure = result.failure
            if failure is None:
                raise NoPictureError(FailureKind.NO_KEYFRAME, "no keyframe")
            raise NoPictureError(failure.kind, failure.message)
        data = result.keyframe.data
        if data == before and turn <= len(REPEATS):
            continue
        picture, in_motion = decoded(result.keyframe, result.at)
        if picture is None:
            raise NoPictureError(FailureKind.UNDECODABLE, "a keyframe came, and no picture comes out of it")
        pictures.append(picture)
        moves |= in_motion
        if before:
            break
        before = data
    return pictures, moves


def _read(path: Path | _Stream) -> tuple[list[Picture], bool]:
    """Its pictures, and whether something is known to move in them."""
    if isinstance(path, _Stream):
        return asyncio.run(_watch(path))
    from sharpeyes.health.diagnose.clip import read_clip
    from sharpeyes.health.diagnose.picture import Picture, UnreadablePictureError

    try:
        if path.suffix.lower() not in _IMAGES:
            return read_clip(path), False
        try:
            return [Picture.from_image_file(path)], False
        except UnreadablePictureError:
            with suppress(UnreadablePictureError):  # FFmpeg makes the best of a damaged one
                return read_clip(path), False
            raise
    except UnreadablePictureError as error:
        raise NoPictureError(None, error.reason, mend=error.mend) from error


def _references(files: Sequence[Path], mode: str | None) -> dict[str, ModeReference]:
    """Given pictures are sorted into modes by their look, unless the mode is given."""
    from sharpeyes.health.diagnose.reference import choose_mode, learn

    by_mode: dict[str, list[Picture]] = {}
    for file in files:
        try:
            pictures, _ = _read(file)
        except NoPictureError as error:
            raise InvalidInputError(f"--reference {error.message}", mend=error.mend) from error
        for picture in pictures:
            by_mode.setdefault(choose_mode(picture, {}, mode), []).append(picture)
    return {each: learn(pictures, each) for each, pictures in by_mode.items()}


def _files(
    files: Sequence[Path | _Stream], reference: Sequence[Path], mode: str | None, still_dir: Path | None
) -> list[tuple[Path | _Stream, Diagnosis | NoPictureError]]:
    from sharpeyes.health.diagnose.diagnosis import diagnose as judge
    from sharpeyes.health.diagnose.reference import MODES
    from sharpeyes.health.diagnose.still import marked_still

    if mode is not None and mode not in MODES:
        raise InvalidInputError(f"--mode {mode}: there are {', '.join(MODES)}")
    references = _references(reference, mode)
    found: list[tuple[Path | _Stream, Diagnosis | NoPictureError]] = []
    for file in files:
        try:
            pictures, moves = _read(file)
        except NoPictureError as error:  # said beside what the others show
            found.append((file, error))
            continue
        before = pictures[0] if len(pictures) > 1 else None
        diagnosis = judge(pictures[-1], before, references, mode=mode, moves=moves)
        found.append((file, diagnosis))
        if still_dir is not None:
            try:
                still_dir.mkdir(parents=True, exist_ok=True)
                (still_dir / f"{file.stem}.diagnosis.jpg").write_bytes(marked_still(pictures[-1], diagnosis))
            except OSError as error:
                raise InvalidInputError(
                    f"{still_dir}: {error.strerror or error}; give a directory that can be written"
                ) from error
    return found


def _print(found: Sequence[tuple[Path | _Stream, Diagnosis | NoPictureError]]) -> None:
    from rich.console import Console
    from rich.markup import escape

    from sharpeyes.health.diagnose.reading import Outcome

    console = Console(soft_wrap=True)  # a name of a file is not broken in two
    for file, diagnosis in found:
        if isinstance(diagnosis, NoPictureError):
            sys.stdout.flush()
            named = "" if diagnosis.failure is None else f"{file}: "  # of a file, the message names it
            sys.stderr.write(f"sharpeyes: {named}{diagnosis}\n")
            continue
        reference = f"reference {diagnosis.reference_mode}" if diagnosis.reference_mode else "no reference"
        word = "[red]faulty[/]" if diagnosis.faults else "[green]no fault seen[/]"
        console.print(f"{escape(str(file))}: {word} (mode {escape(diagnosis.mode)}, {reference})")
        for fault in diagnosis.faults:
            console.print(
                f"  {fault.kind}, severity {fault.severity}, score {fault.score:.2f}:"
                f" {fault.explanation.text('en')}"
            )
        unknown = [str(r.kind) for r in diagnosis.readings if r.outcome is Outcome.NOT_ASSESSABLE]
        if unknown:
            console.print(f"  not assessable: {', '.join(unknown)}")


def _whole_set(directory: Path, out: Path, as_json: bool) -> int:
    from rich.console import Console
    from rich.progress import track

    from sharpeyes.health.diagnose.dataset import UnreadableSetError, diagnose_set, read_samples

    stderr = Console(stderr=True, soft_wrap=True)

    def tell(message: str) -> None:
        stderr.print(f"sharpeyes: {message}", style="yellow", markup=False)

    predictions: dict[str, Any] = {}
    wrong: list[str] = []
    try:
        samples = read_samples(directory, wrong.append)
        for each in wrong:
            tell(each)
        with out.open("a", encoding="utf-8") as file:  # before the work, not behind it
            run = diagnose_set(samples, tell)
            quiet = not sys.stderr.isatty()
            for sample, found in track(run, "Diagnosing", len(samples), console=stderr, disable=quiet):
                if found is not None:
                    predictions[sample.id] = found
            file.truncate(0)
            file.write(json.dumps(predictions, indent=1) + "\n")
    except UnreadableSetError as error:
        raise InvalidInputError(str(error)) from error
    except OSError as error:
        raise InvalidInputError(
            f"--out {out}: {error.strerror or error}", mend="Give a file that can be written"
        ) from error
    faulty = sum(bool(each["faults"]) for each in predictions.values())
    unreadable = len(wrong) + len(samples) - len(predictions)
    counts = {"samples": len(predictions), "faulty": faulty, "unreadable": unreadable}
    if as_json:
        sys.stdout.write(json.dumps(counts | {"out": str(out)}) + "\n")
    else:
        Console().print(f"{len(predictions)} samples, {faulty} with a fault, {unreadable} unreadable: {out}")
    if unreadable:
        return 2
    return 1 if faulty else 0
