"""Reports as files of one folder, each with its manifest beside it, and not more of them than there is room.

A file is whole or not there, and its manifest is there first.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from sharpeyes.domain.errors import NotFoundError, UnavailableError
from sharpeyes.domain.time import Ms
from sharpeyes.rates.report.manifest import SUFFIX, NotGenuineError
from sharpeyes.rates.report.render import Format
from sharpeyes.rates.report.words import Lang
from sharpeyes.store.reports import File, Made, ReportStage

FOLDER = "reports"
MAILED = ".mailed"
"""Behind the name of a report's first file, before there was a list: who got it by e-mail, an id a line."""
MOST_LEFT = 2000
MEND = "Make room there, and give the user that runs SharpEyes the right to write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the folder holds at most. The oldest go first: those of people before those of schedules."""

    reports: int = 2000
    each: int = 50
    """That one person, or token, asked for."""
    bytes: int = 2_000_000_000
    rows: int = 5000
    """On the list, with those of schedules whose files are gone."""


def surplus(made: Iterable[Made], room: Room) -> list[Made]:
    """Those that must go, of all that are there, newest first. The newest stays, however large."""
    gone: list[Made] = []
    kept: list[Made] = []
    asked: dict[str, int] = {}
    for one in made:
        if one.author is not None:
            asked[one.author] = asked.get(one.author, 0) + 1
        (gone if one.author is not None and asked[one.author] > room.each else kept).append(one)
    size = sum(one.bytes for one in kept)
    number = len(kept)
    for one in sorted(kept[1:], key=lambda one: (one.author is None, one.asked)):
        if number <= room.reports and size <= room.bytes:
            break
        gone.append(one)
        number, size = number - 1, size - one.bytes
    return gone


def file_name(
    label: str, by: str, lang: Lang, form: Format, department: str | None = None, whose: str | None = None
) -> str:
    """``whose``: id of the report, if somebody asked for it; None: it is a schedule's."""
    scope = by if department is None else f"{by}@{department}"
    of = "" if lang is Lang.ZH else f"-{lang}"
    return f"sharpeyes-{label}-{scope}{of}{'' if whose is None else f'-{whose}'}.{form}"


def files_left(folder: Path, known: Container[str]) -> list[Made]:
    """Reports of schedules whose files are in the folder, but for files that are ``known``: from before there
    was a list, or of a process that died before it was told."""
    found: dict[tuple[str, str, str, str | None], Made] = {}
    for place in sorted(folder.glob(f"*{SUFFIX}"))[:MOST_LEFT]:
        file = place.with_name(place.name.removesuffix(SUFFIX))
        if file.name in known or not file.exists():
            continue
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # no manifest of ours
            told = json.loads(place.read_text("utf-8"))
            about, lang, form = told["report"], Lang(told["lang"]), Format(told["format"])
            unit = None if about.get("department") is None else str(about["department"])
            key = label, by, _, _ = str(about["period"]), str(about["by"]), lang.value, unit
            if file.name != file_name(label, by, lang, form, unit):
                continue
            sha256, at = str(told["sha256"]), Ms(int(about["made_ms"]))
            row: File = {"form": form.value, "name": file.name, "bytes": int(told["bytes"]), "sha256": sha256}
            note = file.with_name(file.name + MAILED)
            mailed = note.read_text("utf-8").split() if note.exists() else []
            made = found.get(key) or Made(
                id=sha256[:16],
                label=label,
                every=str(about["every"]),
                by=by,
                lang=lang.value,
                author=None,
                asked=at,
                made=at,
                stage=ReportStage.MADE,
                formats=[],
                files=[],
                mailed=[],
                problem=None,
                department=unit,
            )
            found[key] = made._replace(
                formats=[*made.formats, form.value],
                files=[*made.files, row],
                mailed=[*made.mailed, *mailed],
            )
    return list(found.values())


def write_report(file: Path, data: bytes, manifest: Mapping[str, Any]) -> None:
    """The manifest, then the report: each whole, or as it was before. UnavailableError if that fails."""
    _replace(file.with_name(file.name + SUFFIX), json.dumps(manifest, ensure_ascii=False, indent=1).encode())
    _replace(file, data)


def read_report(folder: Path, file: File) -> bytes:
    """NotFoundError if it is gone, NotGenuineError if it is not what was written."""
    try:
        data = (folder / Path(file["name"]).name).read_bytes()
    except FileNotFoundError:
        raise NotFoundError("the file of this report is gone", mend="Have it made again") from None
    except OSError as error:
        raise UnavailableError(f"the report cannot be read: {error.strerror}", mend=MEND) from None
    if sha256(data).hexdigest() != file["sha256"]:
        raise NotGenuineError("the file is not the one that was signed: its digest differs")
    return data


def remove_report(folder: Path, file: File) -> None:
    """With its manifest; UnavailableError if that fails."""
    place = folder / Path(file["name"]).name
    try:
        place.unlink(missing_ok=True)
        place.with_name(place.name + SUFFIX).unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(f"{place} cannot be removed: {error.strerror}", mend=MEND) from None


def _replace(file: Path, data: bytes) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with draft.open("wb") as target:
            target.write(data)
            target.flush()
            os.fsync(target.fileno())
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UnavailableError(f"{file} cannot be written: {error.strerror}", mend=MEND) from None
