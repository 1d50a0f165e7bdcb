"""What is drawn into a picture before it leaves: privacy masks, and who is looking.

Works on the planes of one YUV 4:2:0 frame, which must be nobody else's: a decoder still predicts from the
frames that it gave out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import av
import cv2
import numpy as np
import numpy.typing as npt

from sharpeyes.domain.errors import UnavailableError
from sharpeyes.domain.masks import SCALE, Mask
from sharpeyes.gateway.glyphs import DIGITS, HEIGHT, Glyph, glyphs_of, line_of

Plane = npt.NDArray[np.uint8]
_PAINT, _GREY = 40, 128
_INK, _PAPER = 0.8, 0.6
_LINES_A_PICTURE = 28
"""Lines of text that would fill a picture: the size of the watermark's one."""
_SMALLEST = 12
_STILL_QUALITY = 85
_WIDEST, _HIGHEST = 1920, 1088


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A watermark: to whom this picture was given, by what right."""

    name: str
    unit: str
    grant: str | None
    zone: tzinfo = UTC
    """Time zone of the clock in it."""

    @property
    def text(self) -> str:
        """All of it but the time."""
        return "  ".join(part[:40] for part in (self.name, self.unit, self.grant or "") if part) + "  "

    @property
    def zone_name(self) -> str:
        return self.zone.key if isinstance(self.zone, ZoneInfo) else "UTC"

    def glyphs(self) -> dict[str, Glyph]:
        """What it takes to draw it. Takes up to a second, so call this in a thread."""
        return glyphs_of(self.text + DIGITS)


class Painter:
    """Draws the same masks and the same name into every frame that it is given."""

    def __init__(
        self,
        masks: Sequence[Mask],
        *,
        text: str = "",
        zone: tzinfo = UTC,
        glyphs: Mapping[str, Glyph] | None = None,
    ) -> None:
        self._masks = masks
        self._text = text
        self._zone = zone
        self._glyphs = glyphs or {}
        self._size = (0, 0)
        self._covered: list[tuple[slice, slice, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]] = []
        self._second = -1
        self._strip: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None = None

    def paint(self, frame: av.VideoFrame, now_s: float) -> None:
        """``frame``: yuv420p, writable. ``now_s``: POSIX time that the watermark says."""
        y, u, v = (_plane(plane) for plane in frame.planes)
        if y.shape != self._size:
            self._size = y.shape
            self._covered = list(_covered(self._masks, *y.shape))
            self._second = -1
        for rows, columns, luma, chroma in self._covered:
            y[rows, columns][luma] = _PAINT
            halved = tuple(
                slice(part.start // 2, part.start // 2 + size)
                for part, size in zip((rows, columns), chroma.shape, strict=True)
            )
            for plane in (u, v):
                plane[halved][chroma] = _GREY
        if self._text:
            self.sign(y, now_s)

    def sign(self, y: Plane, now_s: float) -> None:
        """The watermark alone, into one plane of full size."""
        if int(now_s) != self._second:
            self._second = int(now_s)
            said = datetime.fromtimestamp(self._second, self._zone).strftime("%Y-%m-%d %H:%M:%S")
            self._strip = _strip(line_of(self._text + said, self._glyphs), *y.shape)
        assert self._strip is not None
        keep, add = self._strip
        (height, width), (rows, columns) = keep.shape, y.shape
        for top, left in (
            (rows // 40, columns - width - columns // 40),
            ((rows - height) // 2, (columns - width) // 2),
            (rows - height - rows // 40, columns // 40),
        ):
            place = y[max(0, top) : max(0, top) + height, max(0, left) : max(0, left) + width]
            fit = np.s_[: place.shape[0], : place.shape[1]]
            place[:] = place * keep[fit] + add[fit]


def own(frame: av.VideoFrame) -> av.VideoFrame:
    """A frame that may be painted on, in the form that browsers show, no larger than 1080p."""
    shrunk = max(1.0, frame.width / _WIDEST, frame.height / _HIGHEST)
    if shrunk > 1 or frame.format.name != "yuv420p" or frame.width % 2 or frame.height % 2:
        width, height = (int(size / shrunk) & ~1 for size in (frame.width, frame.height))
        return frame.reformat(width=width, height=height, format="yuv420p")
    frame.make_writable()
    return frame


def _plane(plane: av.video.plane.VideoPlane) -> Plane:
    whole: Plane = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
    return whole[: plane.height, : plane.width]


def _covered(
    masks: Sequence[Mask], rows: int, columns: int
) -> Iterator[tuple[slice, slice, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    """What each mask covers, cut to its bounds, in luma and in chroma: a pixel more on every side, whatever
    half a pixel may show, and what an outline that crosses itself encloses."""
    for mask in masks:
        whole = covered(mask, rows, columns)
        left, top, width, height = cv2.boundingRect(whole)
        right, bottom = left + width, top + height
        left, top = left & ~1, top & ~1
        luma = whole[top:bottom, left:right] > 0
        even = np.pad(luma, ((0, luma.shape[0] & 1), (0, luma.shape[1] & 1)))
        chroma = even[::2, ::2] | even[1::2, ::2] | even[::2, 1::2] | even[1::2, 1::2]
        yield slice(top, bottom), slice(left, right), luma, chroma


def covered(mask: Mask, rows: int, columns: int) -> Plane:
    """1 where the mask covers, else 0."""
    made = np.zeros((rows, columns), np.uint8)
    outline = np.array(mask.points, np.float64) / SCALE * (columns - 1, rows - 1)
    cv2.fillPoly(made, [np.round(outline).astype(np.int32)], 1)
    outside, _ = cv2.findContours(made, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(made, outside, -1, 1, cv2.FILLED)
    return np.asarray(cv2.dilate(made, np.ones((3, 3), np.uint8)), np.uint8)


def _strip(line: Glyph, rows: int, columns: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Factor and summand for the luma under one line of text."""
    height = max(_SMALLEST, rows // _LINES_A_PICTURE)
    width = round(line.shape[1] * height / HEIGHT)
    widest = columns - columns // 20
    if width > widest:
        height, width = max(1, height * widest // width), widest
    ink = cv2.resize(line, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) * np.float32(
        _INK / 255
    )
    return np.asarray((1 - ink) * _PAPER, np.float32), np.asarray(ink * 235, np.float32)


def mask_still(
    jpeg: bytes,
    masks: Sequence[Mask],
    mark: Mark | None = None,
    *,
    shape: tuple[int, int],
    now_s: float = 0.0,
) -> bytes:
    """A JPEG of which the upper part, of ``shape`` (rows, columns), is the camera's picture, with the masks
    painted over and who looks at ``now_s`` written in. UnavailableError if that cannot be done: then it must
    not be shown."""
    if not masks and mark is None:
        return jpeg
    try:
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None or picture.shape[0] < shape[0] or picture.shape[1] != shape[1]:
        raise UnavailableError("this still cannot be masked, so it is not shown")
    for mask in masks:
        picture[: shape[0]][covered(mask, *shape) > 0] = _PAINT
    if mark is not None:
        painter = Painter((), text=mark.text, zone=mark.zone, glyphs=mark.glyphs())
        for colour in range(picture.shape[2]):
            plane: Any = picture[: shape[0], :, colour]  # a view: what is painted is the picture
            painter.sign(plane, now_s)
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _STILL_QUALITY])
    if not done:  # pragma: no cover - imencode of a valid array
        raise UnavailableError("this still cannot be masked, so it is not shown")
    return data.tobytes()
