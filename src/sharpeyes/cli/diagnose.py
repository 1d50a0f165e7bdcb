"""``sharpeyes diagnose``: what is wrong with these pictures, and where."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from sharpeyes.cli.account import account
from sharpeyes.cli.tls import AnyHostOption, CaOption, FingerprintOption, trusted
from sharpeyes.domain.errors import InvalidInputError, SharpEyesError

if TYPE_CHECKING:
    from sharpeyes.domain.credentials import Credentials
    from sharpeyes.domain.health import FailureKind
    from sharpeyes.health.diagnose.dataset import Sample
    from sharpeyes.health.diagnose.diagnosis import Diagnosis
    from sharpeyes.health.diagnose.picture import Picture
    from sharpeyes.health.diagnose.reference import ModeReference
    from sharpeyes.health.probe import ProbeRequest
    from sharpeyes.net.tls import TlsPolicy

_OF_A_CLIP, _OF_A_MODE = 8, 32
"""Pictures that references are learnt from: neighbours teach little, and each takes eight megabytes."""
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
    files: list[dict[str, Any]] = []
    failed: list[NoPictureError] = []
    faulty = 0
    for file, each, still in _judged(given, reference or [], mode, still_dir):
        if isinstance(each, NoPictureError):
            failed.append(each)
        else:
            faulty += bool(each.faults)
        if as_json:
            files.append({"file": str(file), **each.to_plain()} | ({"still": str(still)} if still else {}))
        else:
            _print(file, each, still, "no reference of that mode" if reference else "no reference")
    if as_json:
        sys.stdout.write(json.dumps({"files": files, "faulty": faulty, "failed": len(failed)}) + "\n")
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
    from sharpeyes.wire.rtsp.url import mask, parse_url

    scheme = url.partition("://")[0].lower()
    if scheme not in ("rtsp", "rtsps"):
        raise InvalidInputError(
            f"{scheme[:20]}:// URLs are not fetched", mend="Save the picture and give the file"
        )
    try:
        target, from_url = parse_url(url)
    except InvalidInputError as error:
        raise InvalidInputError(f"{mask(url)}: {error.message}", mend=error.mend) from None
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
    from sharpeyes.health.diagnose.clip import read_clip, read_image
    from sharpeyes.health.diagnose.picture import UnreadablePictureError

    try:
        if path.suffix.lower() not in _IMAGES:
            return read_clip(path), False
        try:
            return [read_image(path)], False
        except UnreadablePictureError:
            with suppress(UnreadablePictureError):  # FFmpeg makes the best of a damaged one
                return read_clip(path), False
            raise
    except UnreadablePictureError as error:
        raise NoPictureError(None, error.reason, mend=error.mend) from error


def _references(files: Sequence[Path], mode: str | None) -> dict[str, ModeReference]:
    """Given pictures are sorted into modes by their look, unless the mode is given. Of a clip some are taken
    that lie far apart, and of many files no more than do."""
    from sharpeyes.health.diagnose.reference import choose_mode, learn

    by_mode: dict[str, list[Picture]] = {}
    for file in files:
        try:
            pictures, _ = _read(file)
        except NoPictureError as error:
            raise InvalidInputError(f"--reference {error.message}", mend=error.mend) from error
        for picture in _spread(pictures, _OF_A_CLIP):
            by_mode.setdefault(choose_mode(picture, {}, mode), []).append(picture)
    return {each: learn(_spread(pictures, _OF_A_MODE), each) for each, pictures in by_mode.items()}


def _spread(pictures: list[Picture], most: int) -> list[Picture]:
    """So many of them, evenly."""
    step = max(1.0, len(pictures) / most)
    return [pictures[int(n * step)] for n in range(min(most, len(pictures)))]


def _judged(
    files: Sequence[Path | _Stream], reference: Sequence[Path], mode: str | None, still_dir: Path | None
) -> Iterator[tuple[Path | _Stream, Diagnosis | NoPictureError, Path | None]]:
    """Each as soon as it is judged, with its marked-up still if one is wanted."""
    from sharpeyes.health.diagnose.diagnosis import diagnose as judge
    from sharpeyes.health.diagnose.reference import MODES
    from sharpeyes.health.diagnose.still import marked_still

    if mode is not None and mode not in MODES:
        raise InvalidInputError(f"--mode {mode}: there are {', '.join(MODES)}")
    with _writable(still_dir):  # before the work, not behind it
        if still_dir is not None:
            still_dir.mkdir(parents=True, exist_ok=True)
    references = _references(reference, mode)
    written: set[Path] = set()
    for file in files:
        try:
            pictures, moves = _read(file)
        except NoPictureError as error:  # said beside what the others show
            yield file, error, None
            continue
        before = pictures[0] if len(pictures) > 1 else None
        diagnosis = judge(pictures[-1], before, references, mode=mode, moves=moves)
        still = None
        if still_dir is not None:
            still = _free(still_dir / file.stem, written)
            with _writable(still_dir):
                still.write_bytes(marked_still(pictures[-1], diagnosis))
        yield file, diagnosis, still


@contextmanager
def _writable(directory: Path | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInputError(
            f"{directory}: {error.strerror or error}", mend="Give a directory that can be written"
        ) from error


def _free(stem: Path, written: set[Path]) -> Path:
    """A name for a still that no other one of this run has: files of two cameras may be called alike."""
    numbers = ("", *(f"-{n}" for n in range(2, len(written) + 2)))
    still = next(
        each
        for number in numbers
        if (each := stem.with_name(f"{stem.name}{number}.diagnosis.jpg")) not in written
    )
    written.add(still)
    return still


def _print(
    file: Path | _Stream, diagnosis: Diagnosis | NoPictureError, still: Path | None, without: str
) -> None:
    from rich.console import Console
    from rich.markup import escape

    from sharpeyes.health.diagnose.reading import Outcome

    console = Console(soft_wrap=True)  # a name of a file is not broken in two
    if isinstance(diagnosis, NoPictureError):
        sys.stdout.flush()
        named = "" if diagnosis.failure is None else f"{file}: "  # of a file, the message names it
        sys.stderr.write(f"sharpeyes: {named}{diagnosis}\n")
        return
    reference = f"reference {diagnosis.reference_mode}" if diagnosis.reference_mode else without
    word = "[red]faulty[/]" if diagnosis.faults else "[green]no fault seen[/]"
    console.print(f"{escape(str(file))}: {word} (mode {escape(diagnosis.mode)}, {reference})")
    for fault in diagnosis.faults:
        said = f"severity {fault.severity}, score {fault.score:.2f}: {fault.explanation.text('en')}"
        console.print(f"  {fault.kind}, {said}")
    unknown = [str(r.kind) for r in diagnosis.readings if r.outcome is Outcome.NOT_ASSESSABLE]
    if unknown:
        console.print(f"  not assessable: {', '.join(unknown)}")
    if still is not None:
        console.print(f"  still: {escape(str(still))}")


@contextmanager
def _predictions(out: Path, directory: Path, samples: Sequence[Sample]) -> Iterator[TextIO]:
    """A file to write to: in the place of ``out`` when it is whole, and what was there is kept until then."""
    own = {
        directory / "labels.json",
        *(s.file for s in samples),
        *(f for s in samples for _, f in s.references),
    }
    if out.exists() and any(each.exists() and each.samefile(out) for each in own):
        raise InvalidInputError(f"--out {out}: this is a file of the set", mend="Give another one")
    if out.exists() and not out.is_file():  # a pipe or a device
        with out.open("w", encoding="utf-8") as file:
            yield file
        return
    out = out.resolve()
    with NamedTemporaryFile(
        "w", encoding="utf-8", dir=out.parent, prefix=f".{out.name}.", delete=False
    ) as file:
        try:
            yield file  # type: ignore[misc]  # it is one, but for its class
            file.close()
            if out.exists():
                shutil.copymode(out, file.name)
            else:
                Path(file.name).chmod(0o666 & ~_umask())
            Path(file.name).replace(out)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


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
        with _predictions(out, directory, samples) as file:  # before the work, not behind it
            run = diagnose_set(samples, tell)
            quiet = not sys.stderr.isatty()
            for sample, found in track(run, "Diagnosing", len(samples), console=stderr, disable=quiet):
                if found is not None:
                    predictions[sample.id] = found
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
