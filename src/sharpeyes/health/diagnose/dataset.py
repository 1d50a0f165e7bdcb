"""A set of samples to predictions: labels.json with `samples`, each of two pictures and references by mode.

Of a sample only `id`, `file`, `refs` and `mode` are read: never its labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sharpeyes.health.diagnose.clip import read_clip
from sharpeyes.health.diagnose.diagnosis import Diagnosis, diagnose
from sharpeyes.health.diagnose.picture import Picture, UnreadablePictureError
from sharpeyes.health.diagnose.reading import Outcome
from sharpeyes.health.diagnose.reference import ModeReference, learn


class UnreadableSetError(ValueError):
    """The directory is no set; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a camera would give: two pictures and references; no labels."""

    id: str
    file: Path
    references: tuple[tuple[str, Path], ...]
    mode: str | None


def read_samples(directory: Path) -> list[Sample]:
    """Raises UnreadableSetError."""
    labels = directory / "labels.json"
    try:
        plain = json.loads(labels.read_text(encoding="utf-8"))
        return [
            Sample(
                str(each["id"]),
                directory / each["file"],
                tuple(
                    (str(mode), directory / file) for mode, file in sorted((each.get("refs") or {}).items())
                ),
                each.get("mode"),
            )
            for each in plain["samples"]
        ]
    except OSError as error:
        raise UnreadableSetError(
            f"{labels}: {error.strerror or error}; --set wants a directory with labels.json"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableSetError(
            f'{labels}: not a set: wanted {{"samples": [{{"id", "file", "refs", "mode"}}]}} ({error!r})'
        ) from error


class References:
    """References are learned once a file."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Path], ModeReference | None] = {}

    def of(self, sample: Sample) -> dict[str, ModeReference]:
        out: dict[str, ModeReference] = {}
        for mode, file in sample.references:
            if (mode, file) not in self._kept:
                self._kept[mode, file] = _learn(mode, file)
            reference = self._kept[mode, file]
            if reference is not None:
                out[mode] = reference
        return out


def _learn(mode: str, file: Path) -> ModeReference | None:
    try:
        return learn(read_clip(file), mode)
    except UnreadablePictureError:
        return None


def read_pair(sample: Sample) -> tuple[Picture | None, Picture]:
    """(before or None, after). Raises UnreadablePictureError."""
    pictures = read_clip(sample.file)
    return (pictures[0] if len(pictures) > 1 else None), pictures[-1]


def diagnose_set(
    samples: list[Sample], *, on_unreadable: Callable[[UnreadablePictureError], None]
) -> Iterator[tuple[Sample, Diagnosis | None]]:
    """Each sample's diagnosis, None (after telling) for one that cannot be read."""
    references = References()
    for sample in samples:
        try:
            before, after = read_pair(sample)
        except UnreadablePictureError as error:
            on_unreadable(error)
            yield sample, None
            continue
        yield sample, diagnose(after, before, references.of(sample), mode=sample.mode)


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
