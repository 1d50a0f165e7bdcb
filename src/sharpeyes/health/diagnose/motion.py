"""Whether the pictures right behind a keyframe show what moves: then it does not stand still.

The frozen check wants two pictures seconds apart. Most cameras show within a fifth of a second that they
live, and a coded picture that depends on the one before costs a tenth of a keyframe to decode. What is seen
here can only clear a camera, never accuse it: who shows nothing that moves may watch a quiet street.

Two things change in a picture that stands still. Encoders *refine* it: a keyframe that was coded coarsely
for want of bits gets sharper with each picture behind it. That changes the mean of a block the more, the
more detail the block has; what moves changes it by more than its detail explains. And a burned-in clock runs
on, in the upper or lower margin.
"""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from sharpeyes.health.diagnose.picture import HEIGHT, WIDTH, Plane

Blocks = NDArray[np.float32]
"""(20, 40): a value for each block."""

_SIZE = (WIDTH // 2, HEIGHT // 2)
_COLUMNS, _ROWS = 40, 20
"""Blocks, of 8x9 pixels at half size."""
_MARGIN = 2
"""Rows of blocks at the top and at the bottom that are left out: burned-in text."""
Codec = Literal["h264", "h265"]

_FINE: dict[Codec, int] = {"h264": 11_520, "h265": 23_040}
"""Bytes of a keyframe of 640x360 for which the limits are given; of H.265 twice as many, as it refines in
larger blocks and the loop filters that are skipped here do more. A larger one needs more, by the root of its
area, as it is scaled down; a smaller one as many, as its blocks are means of fewer pixels."""
_COARSEST: dict[Codec, float] = {"h264": 0.8, "h265": 1.0}
"""Share of these bytes below which refinement changes means without limit."""
_HEAD = 4096
"""Bytes of a JPEG in which its first table is looked for."""
_CHANGED = 6
"""So many blocks must change, ..."""
_REFINED, _LEAST = 24.0, 6.0
"""... their mean by so many steps of luma behind a keyframe of these bytes, fewer behind a finer; or"""
_BEYOND = 5
"""so many, ..."""
_IN_ROW = 3
"""no more than so many of them in one row, ..."""
_EXPLAINED, _REST = 0.35, 4.5
"""... by so many steps beyond this part of the deviation within the block. Refinement stays below both,
whatever the picture and the control of the bit rate (tests/bench/bench_motion.py); but where an encoder runs
out of bits in the middle of a keyframe, flat parts of a row of macroblocks get a wrong mean, each from the
one before, until the next picture puts it right."""


def fineness_of(size: int, width: int, height: int, codec: Codec = "h264") -> float:
    """Bytes of a keyframe, as a share of those for which the limits are given."""
    return size / (_FINE[codec] * math.sqrt(max(1.0, width * height / (WIDTH * HEIGHT))))


def limit_of(fineness: float, codec: Codec = "h264") -> float | None:
    """By how much means may change behind a keyframe, None if it is too coarse to tell."""
    return max(_LEAST, _REFINED / fineness**0.75) if fineness >= _COARSEST[codec] else None


def luma_of(frame: VideoFrame) -> Plane | None:
    """(180, 320) uint8. None unless luma has eight bits and a plane of its own."""
    if not frame.format.name.startswith(("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "nv12", "gray")):
        return None
    if any(component.bits != 8 for component in frame.format.components):
        return None
    plane = frame.planes[0]
    pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    whole = pixels[: plane.height, : plane.width]
    # The nearest pixels stand for a block well; not of upright pictures, of whose lines one in three or more
    # would be looked at.
    way = cv2.INTER_NEAREST if plane.width > plane.height else cv2.INTER_AREA
    return np.asarray(cv2.resize(whole, _SIZE, interpolation=way), np.uint8)


def means_of(plane: Plane) -> Blocks:
    """Of its blocks; the plane as of :func:`luma_of`."""
    return _means(plane.astype(np.float32))


def difference(before: Blocks, later: Plane, limit: float) -> float:
    """How much differs, as a share of what refinement may change: above 1, something moved, and no more is
    asked.

    ``before`` as of :func:`means_of`, ``later`` as of :func:`luma_of`, ``limit`` as of :func:`limit_of`.
    """
    after = later.astype(np.float32)
    mean = _means(after)
    change = np.abs(mean - before)
    changed = _largest(change, _CHANGED) / limit
    if changed > 1 or _largest(change, _BEYOND) / _REST <= changed:  # detail only takes away
        return changed
    detail = np.sqrt(np.maximum(_means(after * after) - mean * mean, 0))
    unexplained = np.partition(change - _EXPLAINED * detail, -_IN_ROW, axis=1)[:, -_IN_ROW:]
    return max(changed, _largest(unexplained, _BEYOND) / _REST)


def is_another(before: Plane, later: Plane, step: float) -> bool:
    """Whether something moved between two pictures of which none depends on the other (Motion JPEG).

    Both (360, 640), ``step`` as of :func:`dc_step`. Nothing is refined there; but where a quantiser follows
    the bit rate, flat parts of the same picture may be told one step apart.
    """
    means = [_means(plane.astype(np.float32)) for plane in (before, later)]
    return _largest(np.abs(means[1] - means[0]), _CHANGED) > _LEAST + step


def dc_step(jpeg: bytes) -> float:
    """How finely the means of a JPEG's blocks are told, in steps of luma: an eighth of the first value of its
    first quantisation table (ITU-T T.81, A.3.4). As coarsely as can be if no table is where one should be."""
    at = jpeg.find(b"\xff\xdb", 0, _HEAD)
    if at < 0 or at + 5 >= len(jpeg) or jpeg[at + 4] & 0xF0:
        return 255 / 8
    return jpeg[at + 5] / 8


def _largest(blocks: Blocks, rank: int) -> float:
    """The last of so many that are largest, outside the margins."""
    return float(np.partition(blocks[_MARGIN:-_MARGIN], -rank, axis=None)[-rank])


def _means(plane: NDArray[np.float32]) -> Blocks:
    return np.asarray(cv2.resize(plane, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA), np.float32)
