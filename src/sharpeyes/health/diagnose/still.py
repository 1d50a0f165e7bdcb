"""A marked-up still: the picture with what was seen and where.

It counts as footage: keep it no longer than footage is kept.
"""

from __future__ import annotations

import cv2
import numpy as np

from sharpeyes.health.diagnose.diagnosis import Diagnosis
from sharpeyes.health.diagnose.picture import HEIGHT, WIDTH, Picture

_COLOURS = {1: (0, 200, 255), 2: (0, 120, 255), 3: (40, 40, 230)}
"""BGR by severity: amber, orange, red."""
_LINE = 18


def marked_still(picture: Picture, diagnosis: Diagnosis, *, quality: int = 85) -> bytes:
    """JPEG of the 640x360 picture, regions outlined, with a caption strip below it: one line a
    fault, with score and severity. ASCII only, as OpenCV's font knows no more; the console shows the
    translated words."""
    faults = diagnosis.faults
    canvas = np.zeros((HEIGHT + _LINE * (len(faults) + 1) + 6, WIDTH, 3), np.uint8)
    canvas[:HEIGHT] = picture.bgr
    for fault in reversed(faults):
        colour = _COLOURS[max(fault.severity, 1)]
        for x, y, w, h in fault.region or ((0, 0, WIDTH, HEIGHT),):
            cv2.rectangle(canvas, (x + 1, y + 1), (x + w - 2, y + h - 2), colour, 2)
    reference = diagnosis.reference_mode or "none"
    lines = [((200, 200, 200), f"mode {diagnosis.mode}, reference {reference}, checks {diagnosis.version}")]
    lines += [
        (
            _COLOURS[max(fault.severity, 1)],
            f"{fault.kind}  score {fault.score:.2f}  severity {fault.severity}",
        )
        for fault in faults
    ]
    for row, (colour, text) in enumerate(lines):
        at = (6, HEIGHT + _LINE * (row + 1) - 3)
        cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    done, data = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:  # pragma: no cover - imencode of a valid array
        raise ValueError("the still could not be encoded")
    return data.tobytes()
