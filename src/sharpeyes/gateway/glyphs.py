"""Characters as small pictures, for watermarks: Chinese too, on machines without fonts.

Outlines come from the font that a package brings (Noto Sans CJK, as reports use it) and are filled here: no
other part of this product can write Chinese into a picture. A character that was drawn once is kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

HEIGHT = 48
"""Rows of a glyph's picture, from ascent to descent."""
DIGITS = "0123456789-: "
_SIMPLIFIED_CHINESE = 2
_WEIGHT = 500
_KEPT = 4096
_STEPS = 6
"""Straight lines for one curve; at 48 rows nobody can tell."""
_SHIFT = 4

Glyph = npt.NDArray[np.uint8]
"""``(HEIGHT, width)``, 0 where the paper shows, 255 where there is ink."""

_drawn: OrderedDict[str, Glyph] = OrderedDict()
_lock = Lock()


def glyphs_of(text: Iterable[str]) -> dict[str, Glyph]:
    """Each character's picture; one that the font lacks is a question mark. Reading the font takes most of a
    second, so call this in a thread."""
    wanted = set(text)
    with _lock:
        if missing := wanted - _drawn.keys():
            _drawn.update(_draw(missing | set(DIGITS) | {"?"}))
        found = {character: _drawn[character] for character in wanted}
        for character in wanted:
            _drawn.move_to_end(character)
        while len(_drawn) > _KEPT:
            _drawn.popitem(last=False)
    return found


def line_of(text: str, glyphs: Mapping[str, Glyph]) -> Glyph:
    """One line of text; characters without a picture are left out."""
    return np.hstack([glyphs[character] for character in text if character in glyphs])


def _draw(characters: Iterable[str]) -> dict[str, Glyph]:
    import manimgx_fonts_cjk  # type: ignore[import-untyped]
    from fontTools.pens.recordingPen import DecomposingRecordingPen  # type: ignore[import-untyped]
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    (collection,) = Path(manimgx_fonts_cjk.__file__).parent.glob("*.ttc")
    made = {}
    with TTFont(collection, fontNumber=_SIMPLIFIED_CHINESE, lazy=True) as font:
        outlines, names = font.getGlyphSet(location={"wght": _WEIGHT}), font.getBestCmap()
        line = font["hhea"]
        for character in characters:
            name = names.get(ord(character)) or names[ord("?")]
            pen = DecomposingRecordingPen(outlines)
            outlines[name].draw(pen)
            made[character] = _filled(
                _contours(pen.value), outlines[name].width, line.ascent, line.ascent - line.descent
            )
    return made


def _contours(strokes: Sequence[tuple[str, tuple[Any, ...]]]) -> list[npt.NDArray[np.float64]]:
    """Closed polygons, in the font's units."""
    contours: list[list[tuple[float, float]]] = []
    for stroke, points in strokes:
        if stroke == "moveTo":
            contours.append([points[0]])
        elif stroke == "lineTo":
            contours[-1].append(points[0])
        elif stroke == "curveTo":
            (x0, y0), ((x1, y1), (x2, y2), (x3, y3)) = contours[-1][-1], points
            for step in range(1, _STEPS + 1):
                t = step / _STEPS
                a, b, c, d = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t * t, t**3
                contours[-1].append((a * x0 + b * x1 + c * x2 + d * x3, a * y0 + b * y1 + c * y2 + d * y3))
    return [np.array(contour) for contour in contours if len(contour) > 2]


def _filled(contours: Sequence[npt.NDArray[np.float64]], width: float, ascent: int, height: int) -> Glyph:
    """Inside is where the outlines wind around a point (variable fonts let outlines overlap)."""
    scale = HEIGHT / height
    wound = np.zeros((HEIGHT, max(1, round(width * scale))), np.float32)
    for contour in contours:
        x, y = contour[:, 0], contour[:, 1]
        turns = np.sign(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
        pixels = np.stack([x * scale, (ascent - y) * scale], axis=1)
        one = np.zeros_like(wound)
        cv2.fillPoly(one, [np.round(pixels * 2**_SHIFT).astype(np.int32)], 255.0, cv2.LINE_AA, shift=_SHIFT)
        wound += turns * one
    return np.clip(np.abs(wound), 0, 255).astype(np.uint8)
