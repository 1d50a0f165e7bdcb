"""The checks of pictures as the fleet uses them: a keyframe's bytes in, findings out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.domain.health import Keyframe, PictureFault
from sharpeyes.domain.time import Ms
from sharpeyes.health.diagnose.checks import CHECKS
from sharpeyes.health.diagnose.diagnosis import diagnose
from sharpeyes.health.diagnose.imprint import imprint, is_known, joined
from sharpeyes.health.diagnose.keyframe import decode_jpeg, decode_keyframe
from sharpeyes.health.diagnose.motion import Codec, dc_step, is_another
from sharpeyes.health.diagnose.picture import Picture
from sharpeyes.health.diagnose.reading import Outcome
from sharpeyes.health.diagnose.reference import ModeReference, choose_mode, learn
from sharpeyes.health.diagnose.screen import Glance, is_unremarkable, screen
from sharpeyes.health.diagnose.still import marked_still
from sharpeyes.health.examiner import Checked, Opened
from sharpeyes.health.sight import Finding

_STILL = 1.0
"""Steps of brightness by which pixels of two pictures differ on average, from which nobody need ask whether
they are the same one: noise and light do as much."""

_NEEDING = frozenset(check.kind for check in CHECKS if check.needs_two or check.needs_reference)
"""What a single picture without a reference says nothing about."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What the next screening of a camera compares with: under 20 KB."""

    mode: str
    passed: bytes
    """The glance at the last picture that passed the full checks, packed."""
    sample: NDArray[np.uint8]
    """Of the last keyframe."""


class PictureExaminer:
    """What :mod:`sharpeyes.health.diagnose` says of a camera's pictures."""

    def __init__(self) -> None:
        # Several pictures are looked at side by side: threads within one would only be in each other's way.
        cv2.setNumThreads(1)

    def open(self, keyframe: Keyframe, at: Ms, normal: Any) -> Opened:
        picture, moves = decoded(keyframe, at)
        if picture is None:
            return Opened(picture=None)
        kept: Kept | None = normal
        if kept is None:
            return Opened(picture=picture, moves=moves)
        mode = "mono" if kept.mode == "mono" else choose_mode(picture, {})
        if mode != kept.mode:
            return Opened(picture=picture, mode=mode)
        glance = Glance.at(picture)
        screening = screen(Glance.from_bytes(kept.passed), kept.sample, glance)
        return Opened(
            picture=picture,
            mode=mode,
            plain=screening.plain,
            normal=replace(kept, sample=glance.sample),
        )

    def check(
        self,
        before: Picture | None,
        picture: Picture,
        references: Mapping[str, ModeReference],
        *,
        moves: bool = False,
        stood: Sequence[bytes] = (),
    ) -> Checked:
        if before is None and not references and is_unremarkable(picture):
            # nothing to hold it against, and nothing in it that stands out: the checks would say no more
            mode = choose_mode(picture, {})
            unassessed = _NEEDING - {PictureFault.FROZEN} if moves else _NEEDING
            document = {"mode": mode, "unremarkable": True, "moves": moves}
            return Checked(mode=mode, findings=(), unassessed=unassessed, document=document)
        again = before is not None and bool(stood) and is_known(imprint(picture), stood)
        diagnosis = diagnose(picture, before, references, moves=moves, again=again)
        reference = references.get(diagnosis.mode)
        findings = tuple(
            Finding(
                kind=PictureFault(reading.kind.value),
                severity=reading.severity,
                score=reading.score,
                explanation=reading.explanation.text("en"),
                explanation_zh=reading.explanation.text("zh"),
            )
            for reading in diagnosis.faults
        )
        still = any(finding.kind is PictureFault.FROZEN for finding in findings)
        return Checked(
            mode=diagnosis.mode,
            findings=findings,
            unassessed=frozenset(
                PictureFault(reading.kind.value)
                for reading in diagnosis.readings
                if reading.outcome is Outcome.NOT_ASSESSABLE
            ),
            document=diagnosis.to_plain(),
            still=marked_still(picture, diagnosis) if findings else None,
            normal=None if reference is None or findings else _kept(diagnosis.mode, picture),
            stood=joined(stood, map(imprint, (before, picture))) if still and before is not None else (),
        )

    def trace(self, picture: Picture) -> NDArray[np.uint8]:
        """Every eighth pixel of every eighth line: 3.6 KB."""
        return picture.y[4::8, 4::8].copy()

    def moved(self, trace: NDArray[np.uint8], picture: Picture) -> bool:
        return float(np.abs(trace.astype(np.int16) - picture.y[4::8, 4::8]).mean()) > _STILL

    def learn(self, keyframes: Sequence[Keyframe], mode: str, at: Ms) -> bytes | None:
        pictures = [picture for each in keyframes if (picture := picture_of(each, at)) is not None]
        return learn(pictures, mode, learned_ms=at).to_bytes() if pictures else None

    def load(self, data: bytes) -> ModeReference:
        return ModeReference.from_bytes(data)


def _kept(mode: str, picture: Picture) -> Kept:
    glance = Glance.at(picture)
    return Kept(mode, glance.to_bytes(), glance.sample)


def picture_of(keyframe: Keyframe, at: Ms) -> Picture | None:
    """A keyframe decoded, None if no picture comes out of it. Blocks."""
    return decoded(keyframe, at)[0]


def decoded(keyframe: Keyframe, at: Ms) -> tuple[Picture | None, bool]:
    """The same, and whether something moves in the pictures behind it. Blocks."""
    if keyframe.codec == "jpeg":
        picture = decode_jpeg(keyframe.data, time_ms=at)
        behind = keyframe.following[-1] if picture is not None and keyframe.following else None
        later = decode_jpeg(behind, time_ms=at) if behind is not None else None
        if picture is None or behind is None or later is None:
            return picture, False
        return picture, is_another(picture.y, later.y, max(dc_step(keyframe.data), dc_step(behind)))
    codec: Codec = "h265" if keyframe.codec == "h265" else "h264"
    found = decode_keyframe(keyframe.data, codec, time_ms=at, following=keyframe.following)
    return found.picture, found.moves
