"""The picture as every check sees it: 640x360, planar YUV 4:2:0, eight bits."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Flag
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.plane import VideoPlane

WIDTH, HEIGHT = 640, 360
GRID_WIDTH = 768
"""Pixels across, of the widest stream whose macroblocks can be seen at this size."""
MOST_PIXELS = 1 << 26
"""Of a picture that is read: more than any camera has. OpenCV keeps to the same by sharpeyes/__init__.py."""

Plane = NDArray[np.uint8]


class _Scaler(threading.local):
    """One a thread: a scaler made for a frame costs more than the scaling."""

    def __init__(self) -> None:
        self.scaler = VideoReformatter()


_scalers = _Scaler()


def _pixels(plane: VideoPlane, form: str) -> NDArray[Any]:
    depth = np.dtype(form)
    lines = np.frombuffer(memoryview(plane), depth).reshape(-1, plane.line_size // depth.itemsize)
    return lines[: plane.height, : plane.width]


def _rounded(plane: VideoPlane) -> Plane:
    """Sixteen bits to eight."""
    deep = _pixels(plane, "<u2")
    return np.asarray((np.minimum(deep, 0xFF7F) + 0x80) >> 8, np.uint8)


class DecoderError(Flag):
    """What the decoder complained about; evidence of damage, never an exception."""

    NONE = 0
    MARKED = 1
    """The frame is marked as damaged: missing slices or concealed macroblocks."""
    REFUSED = 2
    """The bitstream was refused; the picture, if any, is what could be saved of it."""


class UnreadablePictureError(ValueError):
    """A file or frame from which no picture can be made, and the mend."""

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(f"{reason}. {mend}")
        self.reason = reason
        self.mend = mend


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a camera at the size at which everything is measured.

    y is (360, 640) uint8, u and v are (180, 320) uint8 in video range (ITU-R BT.601: luma 16-235, chroma
    centred on 128). `time_ms` is the wall time of the picture in milliseconds since the epoch, or a
    position in a clip: only differences matter. `source_size` is (width, height) of the stream: the
    macroblock grid is looked for at that scale.
    """

    y: Plane
    u: Plane
    v: Plane
    time_ms: int = 0
    errors: DecoderError = DecoderError.NONE
    source_size: tuple[int, int] = (WIDTH, HEIGHT)

    def __post_init__(self) -> None:
        for name, plane, shape in (
            ("y", self.y, (HEIGHT, WIDTH)),
            ("u", self.u, (HEIGHT // 2, WIDTH // 2)),
            ("v", self.v, (HEIGHT // 2, WIDTH // 2)),
        ):
            if plane.shape != shape or plane.dtype != np.uint8:
                raise ValueError(f"plane {name} must be uint8 {shape}, not {plane.dtype} {plane.shape}")

    @classmethod
    def from_frame(
        cls, frame: VideoFrame, *, time_ms: int = 0, errors: DecoderError = DecoderError.NONE
    ) -> Picture:
        """Scale a decoded frame (any size and pixel format) with the area filter; 0.4 ms for 1080p.

        Raises UnreadablePictureError if the scaler knows no way from the frame's pixel format.
        """
        deep = any(component.bits > 8 for component in frame.format.components)
        # the scaler dithers what it makes eight bits of, and that is noise
        form = "yuv420p16le" if deep else "yuv420p"
        try:
            small = _scalers.scaler.reformat(frame, WIDTH, HEIGHT, form, interpolation=Interpolation.AREA)
        except (ValueError, OSError) as error:
            raise UnreadablePictureError(
                f"pixel format {frame.format.name} cannot be scaled: {error}",
                "Record it as 4:2:0, eight bits",
            ) from error
        y, u, v = (_rounded(plane) if deep else _pixels(plane, "u1").copy() for plane in small.planes[:3])
        if frame.is_corrupt:
            errors |= DecoderError.MARKED
        return cls(y, u, v, time_ms, errors, (frame.width, frame.height))

    @classmethod
    def from_bgr(cls, image: NDArray[np.uint8], *, time_ms: int = 0) -> Picture:
        """From a BGR (h, w, 3) or grey (h, w) array, as OpenCV reads files."""
        if image.ndim == 2:
            image = np.repeat(image[:, :, None], 3, axis=2)
        height, width = image.shape[:2]
        shrink = width >= WIDTH and height >= HEIGHT
        small = cv2.resize(
            image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
        )
        planes = cv2.cvtColor(small, cv2.COLOR_BGR2YUV_I420)
        quarter = HEIGHT // 4
        return cls(
            np.ascontiguousarray(planes[:HEIGHT]),
            np.asarray(planes, np.uint8)[HEIGHT : HEIGHT + quarter].reshape(HEIGHT // 2, WIDTH // 2).copy(),
            np.asarray(planes, np.uint8)[HEIGHT + quarter :].reshape(HEIGHT // 2, WIDTH // 2).copy(),
            time_ms,
            source_size=(width, height),
        )

    @cached_property
    def bgr(self) -> NDArray[np.uint8]:
        """(360, 640, 3) uint8, for evidence only."""
        half = HEIGHT // 4
        stacked = np.vstack([self.y, self.u.reshape(half, WIDTH), self.v.reshape(half, WIDTH)])
        return np.asarray(cv2.cvtColor(stacked, cv2.COLOR_YUV2BGR_I420), np.uint8)
