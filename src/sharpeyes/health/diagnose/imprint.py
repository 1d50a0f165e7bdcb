"""By what a picture that stood still is known again: parts of it that are the same to the last bit.

An encoder under control of its bit rate codes one picture now finer, now coarser, so two keyframes of a
frozen one often differ; but of so few ways that it soon comes back to one. The noise of a live sensor never
does (tests/bench/bench_frozen.py).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

from sharpeyes.health.diagnose.picture import HEIGHT, WIDTH, Picture

_MARGIN = 36
"""Lines at the top and at the bottom that are left out: burned-in text."""
_ROWS, _COLUMNS = 6, 8
_PLAIN = 2.0
"""A part that deviates by less from its mean is left out: darkness and sky are the same in many pictures."""
_TELLING = 8
"""So many parts that are not plain are wanted, ..."""
_SAME = 0.8
"""... and of them this share that is the same."""
_MOST = 8
"""Codings of a picture that are kept."""


def imprint(picture: Picture) -> bytes:
    """(48,) uint32: a hash of each part, 0 of one that is plain."""
    inner = picture.y[_MARGIN:-_MARGIN]
    height, width = (HEIGHT - 2 * _MARGIN) // _ROWS, WIDTH // _COLUMNS
    parts = inner.reshape(_ROWS, height, _COLUMNS, width).swapaxes(1, 2).reshape(_ROWS * _COLUMNS, -1)
    hashes = [0 if part.std() < _PLAIN else zlib.crc32(part.tobytes()) or 1 for part in parts]
    return np.array(hashes, np.uint32).tobytes()


def is_known(seen: bytes, earlier: Iterable[bytes]) -> bool:
    """Whether a picture of one of the earlier imprints is this one."""
    now = np.frombuffer(seen, np.uint32)
    for each in earlier:
        if len(each) != len(seen):
            continue  # of another version
        before = np.frombuffer(each, np.uint32)
        telling = (now > 0) | (before > 0)
        if telling.sum() >= _TELLING and (now == before)[telling].mean() >= _SAME:
            return True
    return False


def joined(earlier: Iterable[bytes], seen: Iterable[bytes]) -> tuple[bytes, ...]:
    """Of the codings of a picture that stands still those seen last, each once: a lamp that blinks does not
    make another one of it."""
    kept = list(earlier)
    for each in seen:
        kept = [one for one in kept if not is_known(one, (each,))] + [each]
    return tuple(kept[-_MOST:])
