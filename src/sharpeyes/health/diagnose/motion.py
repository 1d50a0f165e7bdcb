"""Whether the pictures right behind a keyframe show what moves: then it does not stand still.

The frozen check wants two pictures seconds apart. Most cameras show within a fifth of a second that they
live, and a coded picture that depends on the one before costs a tenth of a keyframe to decode. What is seen
here can only clear a camera, never accuse it: who shows nothing that moves may watch a quiet street.

Two things change in a picture that stands still. Encoders *refine* it: a keyframe that was coded coarsely
for want of bits gets sharper with each picture behind it. That is detail, up to a whole tree's; the mean of a
block hardly changes, for it is what is coded first and best, and by how much is bounded by the quantiser,
which is the coarser the fewer bits the keyframe has (ITU-T H.264 8.5: the step doubles every six QP). So it
is means that are compared. And a burned-in clock runs on, in the upper or lower margin.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from av.video.frame import VideoFrame

from sharpeyes.health.diagnose.picture import HEIGHT, WIDTH, Plane

_COLUMNS, _ROWS = 40, 24
"""Blocks, of 16x15 pixels of 640x360."""
_BLOCKS = 6
"""So many of them must differ: a digit that changes somewhere is less."""
_LEAST = 6.0
"""Steps of luma by which the mean of each must differ, however fine the keyframe is."""
_REFINED = 36.0
"""The same for a keyframe of ``_FINE`` bytes, and the less the more bytes it has. Refinement stays an eighth
below it, whatever the picture and the control of the bit rate (tests/bench/bench_motion.py)."""
_FALLS = 0.75
"""By this power of the bytes."""
_FINE = 5760
"""Bytes of a keyframe of 640x360. A larger one needs more, by the root of its area, as it is scaled down; a
smaller one as many, as its blocks are means of fewer pixels."""
_COARSEST = 0.8
"""Share of ``_FINE`` below which nothing is said."""
_MARGIN = 2
"""Rows of blocks at the top and at the bottom that are left out: burned-in text."""


def limit_of(size: int, width: int, height: int) -> float | None:
    """By how much blocks must differ behind a keyframe of ``size`` bytes, None if it is too coarse."""
    fineness = size / (_FINE * math.sqrt(max(1.0, width * height / (WIDTH * HEIGHT))))
    return max(_LEAST, _REFINED / fineness**_FALLS) if fineness >= _COARSEST else None


def luma_of(frame: VideoFrame) -> Plane | None:
    """(24, 40) uint8, means of the nearest pixels. None unless luma has eight bits and a plane of its own."""
    if not frame.format.name.startswith(("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "nv12", "gray")):
        return None
    if any(component.bits != 8 for component in frame.format.components):
        return None
    plane = frame.planes[0]
    pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    whole = pixels[: plane.height, : plane.width]
    near = cv2.resize(whole, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(near, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA), np.uint8)


def difference(first: Plane, later: Plane) -> int:
    """What the most changed blocks differ by, in steps of luma; both pictures as of :func:`luma_of`."""
    blocks = cv2.absdiff(first, later)[_MARGIN:-_MARGIN]
    rank = blocks.size - _BLOCKS
    return int(np.partition(blocks, rank, axis=None)[rank])
