"""A set of samples to predictions: labels.json with `samples`, each of two pictures and references by mode.

Of a sample only `id`, `file`, `refs` and `mode` are read: never its labels.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sharpeyes.health.diagnose.clip import read_clip
from sharpeyes.health.diagnose.diagnosis import Diagnosis, diagnose
from sharpeyes.health.diagnose.picture import Picture, UnreadablePictureError
from sharpeyes.health.diagnose.reading import Outcome
from sharpeyes.health.diagnose.reference import MODES, ModeReference, learn

Tell = Callable[[str], None]
"""What is wrong with one sample or reference, with the mend; the others are read all the same."""


class UnreadableSetError(ValueError):
    """The directory is no set, or a sample of it is none; the message says which and what is missing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a camera would give: two pictures and references; no labels."""

    id: str
    file: Path
    references: tuple[tuple[str, Path], ...]
    mode: str | None


def read_samples(directory: Path, tell: Tell | None = None) -> list[Sample]:
    """Those of labels.json. Raises UnreadableSetError; with `tell`, samples that are none are told and left
    out."""
    labels = directory / "labels.json"
    try:
        document = json.loads(labels.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UnreadableSetError(
            f"{labels}: {error.strerror or error}; --set wants a directory with labels.json"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UnreadableSetError(f"{labels}: this is no JSON: {error}; write the file again") from error
    plain = document.get("samples") if isinstance(document, dict) else None
    if not isinstance(plain, list):
        raise UnreadableSetError(
            f"{labels}: samples: there is no such list;"
            ' wanted {"samples": [{"id", "file", "refs", "mode"}]}'
        )
    found: dict[str, Sample] = {}
    for number, each in enumerate(plain):
        try:
            sample = _sample(directory, each)
            if sample.id in found:
                raise UnreadableSetError(f"id: {sample.id!r} is taken by an earlier one; give each its own")
        except UnreadableSetError as error:
            named = UnreadableSetError(f"{labels}: samples[{number}].{error}")
            if tell is None:
                raise named from error
            tell(str(named))
            continue
        found[sample.id] = sample
    return list(found.values())


def _sample(directory: Path, plain: Any) -> Sample:
    if not isinstance(plain, dict):
        raise UnreadableSetError('id: there is none; a sample is {"id", "file", "refs", "mode"}')
    name = plain.get("id")
    if not isinstance(name, str | int) or name == "" or not _is_text(str(name)):
        raise UnreadableSetError("id: wanted a name, as text")
    references = plain.get("refs") or {}
    if not isinstance(references, dict):
        raise UnreadableSetError("refs: wanted a file for each mode, as {mode: file}")
    mode = plain.get("mode")
    if mode not in [*MODES, *references]:
        mode = None  # the picture decides
    return Sample(
        str(name),
        _inside(directory, "file", plain.get("file")),
        tuple(
            (each, _inside(directory, f"refs.{each}", file))
            for each, file in sorted(references.items())
            if file is not None
        ),
        mode,
    )


def _inside(directory: Path, field: str, name: Any) -> Path:
    """A file of the set: what labels.json names is not read from elsewhere."""
    if not isinstance(name, str) or not name or "\0" in name or not _is_text(name):
        raise UnreadableSetError(f"{field}: wanted the name of a file")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UnreadableSetError(f"{field}: {name!r} is outside the set; put the file beside labels.json")
    return directory / name


def _is_text(name: str) -> bool:
    """JSON can say half a character, which no file can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class References:
    """References are learned once a file; one that cannot be read is told once, and done without."""

    def __init__(self, tell: Tell | None = None) -> None:
        self._tell = tell
        self._kept: dict[tuple[str, Path], ModeReference | None] = {}

    def of(self, sample: Sample) -> dict[str, ModeReference]:
        out: dict[str, ModeReference] = {}
        for mode, file in sample.references:
            if (mode, file) not in self._kept:
                self._kept[mode, file] = self._learn(mode, file)
            reference = self._kept[mode, file]
            if reference is not None:
                out[mode] = reference
        return out

    def _learn(self, mode: str, file: Path) -> ModeReference | None:
        try:
            return learn(read_clip(file), mode)
        except UnreadablePictureError as error:
            if self._tell is not None:
                self._tell(f"refs.{mode}: {error}")
            return None


def read_pair(sample: Sample) -> tuple[Picture | None, Picture]:
    """(before or None, after). Raises UnreadablePictureError."""
    pictures = read_clip(sample.file)
    return (pictures[0] if len(pictures) > 1 else None), pictures[-1]


def diagnose_set(samples: list[Sample], tell: Tell) -> Iterator[tuple[Sample, dict[str, Any] | None]]:
    """Each sample's :func:`prediction`; None, after telling, where there is no file to judge by."""
    references = References(tell)
    for sample in samples:
        try:
            if sample.file.exists() and not sample.file.is_file():  # a pipe would be waited for
                raise UnreadablePictureError(f"{sample.file}: this is no file", "Put the clip there")
            before, after = read_pair(sample)
        except UnreadablePictureError as error:
            tell(f"{sample.id}: {error}")
            there = sample.file.is_file() and os.access(sample.file, os.R_OK)
            yield sample, prediction(None) if there else None
            continue
        yield sample, prediction(diagnose(after, before, references.of(sample), mode=sample.mode))


def prediction(diagnosis: Diagnosis | None) -> dict[str, Any]:
    """{"faults": [kind], "scores": {kind: 0..1}}; a clip of which nothing decodes is corrupt."""
    if diagnosis is None:
        return {"faults": ["corrupt"], "scores": {"corrupt": 1.0}}
    return {
        "faults": [str(reading.kind) for reading in diagnosis.faults],
        "scores": {
            str(reading.kind): round(reading.score, 5)
            for reading in diagnosis.readings
            if reading.outcome is not Outcome.NOT_ASSESSABLE
        },
    }
