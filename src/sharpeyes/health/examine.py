"""The checks of pictures as the fleet uses them: a keyframe's bytes in, findings out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sharpeyes.domain.health import Keyframe, PictureFault
from sharpeyes.domain.time import Ms
from sharpeyes.health.diagnose.diagnosis import diagnose
from sharpeyes.health.diagnose.keyframe import Codec, decode_keyframe
from sharpeyes.health.diagnose.picture import Picture
from sharpeyes.health.diagnose.reading import Outcome
from sharpeyes.health.diagnose.reference import ModeReference, learn
from sharpeyes.health.diagnose.still import marked_still
from sharpeyes.health.quality import Checked, Opened
from sharpeyes.health.sight import Finding


class PictureExaminer:
    """What :mod:`sharpeyes.health.diagnose` says of a camera's pictures."""

    def open(self, keyframe: Keyframe, at: Ms, normal: Any) -> Opened:  # noqa: ARG002 (nothing is screened yet)
        picture = _decoded(keyframe, at)
        if picture is None:
            return Opened(picture=None)
        return Opened(picture=picture, mode=None, plain=False, normal=None)

    def check(
        self, before: Picture | None, picture: Picture, references: Mapping[str, ModeReference]
    ) -> Checked:
        diagnosis = diagnose(picture, before, references)
        findings = tuple(
            Finding(
                kind=PictureFault(reading.kind.value),
                severity=reading.severity,
                score=reading.score,
                explanation=reading.explanation.english,
            )
            for reading in diagnosis.faults
        )
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
            normal=None,
        )

    def learn(self, keyframes: Sequence[Keyframe], mode: str, at: Ms) -> bytes | None:
        pictures = [picture for each in keyframes if (picture := _decoded(each, at)) is not None]
        return learn(pictures, mode, learned_ms=at).to_bytes() if pictures else None

    def load(self, data: bytes) -> ModeReference:
        return ModeReference.from_bytes(data)


def _decoded(keyframe: Keyframe, at: Ms) -> Picture | None:
    if keyframe.codec == "jpeg":
        return _jpeg(keyframe.data, at)
    codec: Codec = "h265" if keyframe.codec == "h265" else "h264"
    return decode_keyframe(keyframe.data, codec, time_ms=at).picture


def _jpeg(data: bytes, at: Ms) -> Picture | None:
    import cv2
    import numpy as np

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else Picture.from_bgr(np.asarray(image, np.uint8), time_ms=at)
