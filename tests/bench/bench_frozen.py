"""How soon a picture that stands still is found: python tests/bench/bench_frozen.py [--looks 15]

A frozen picture and living ones are encoded under many ways of controlling the bit rate and looked at as the
fleet looks: pairs of keyframes two seconds apart, N of M. For each control it prints the share of looks that
find the frozen picture from their pair alone, the same when pictures that stood still are known again, and
the share of time that the fault is confirmed; then how many keyframes of living streams, which show nothing
but a sensor's noise, are taken for an earlier one of theirs. Exits 1 if any is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from bench_motion import Coded, Frame, Show, constant, controls, encode, grainy

from sharpeyes.domain.health import PictureFault
from sharpeyes.domain.time import Ms
from sharpeyes.health import sight as sights
from sharpeyes.health.diagnose.imprint import imprint, is_known
from sharpeyes.health.diagnose.keyframe import decode_keyframe
from sharpeyes.health.diagnose.motion import Codec
from sharpeyes.health.diagnose.picture import Picture
from sharpeyes.health.examine import PictureExaminer
from sharpeyes.health.sight import Seen, Sight
from sharpeyes.simulator.scene import Scene

WIDTH, HEIGHT = 640, 360
APART = 2
"""Keyframes, one a second, between the two of a look."""
RATES = (256_000, 1_000_000)


def keyframes(coded: Coded) -> list[Picture]:
    found = []
    for at in coded.keys:
        data = b"".join(b"\0\0\0\1" + unit for unit in coded.pictures[at])
        picture = decode_keyframe(data, coded.codec, time_ms=1000 * len(found)).picture
        if picture is not None:
            found.append(picture)
    return found


def looks(pictures: list[Picture], *, remembered: bool) -> tuple[float, float]:
    """Shares of looks that find it frozen, and after which that is confirmed."""
    examiner = PictureExaminer()
    sight: Sight | None = None
    found, confirmed = [], []
    for first in range(0, len(pictures) - APART, APART + 1):
        stood = sight.stood if remembered and sight is not None else ()
        checked = examiner.check(pictures[first], pictures[first + APART], {}, stood=stood)
        kinds = {finding.kind for finding in checked.findings}
        seen = Seen(
            at=Ms(first),
            mode=checked.mode,
            findings=checked.findings,
            unassessed=checked.unassessed,
            stood=checked.stood,
        )
        sight = sights.after(sight, seen)
        found.append(PictureFault.FROZEN in kinds)
        confirmed.append(any(defect.kind is PictureFault.FROZEN for defect in sight.defects))
    return float(np.mean(found)), float(np.mean(confirmed))


def taken_for_another(pictures: list[Picture]) -> int:
    """How many are known again by one of all that came before."""
    earlier: list[bytes] = []
    known = 0
    for picture in pictures:
        print_ = imprint(picture)
        known += is_known(print_, earlier)
        earlier.append(print_)
    return known


def ways(codec: Codec) -> dict[str, tuple[dict[str, str], int | None]]:
    found = {f"constant {factor}": constant(codec, factor) for factor in (23, 33)}
    for bps in RATES:
        for name, way in controls(codec, bps).items():
            found[f"{name}, {bps // 1000} kbit/s"] = way
    return found


def noisy(frame: Frame, sigma: float) -> Show:
    random = np.random.default_rng(6)
    return lambda _: grainy(random, frame, sigma)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--looks", type=int, default=15, metavar="N", help="looks at each stream (15)")
    frames = 25 * (parser.parse_args().looks * (APART + 1) + 1)
    street = Scene(8, WIDTH, HEIGHT, 25).frame(7)
    frozen = grainy(np.random.default_rng(5), street, 3)
    seen, mistaken = 0, 0
    print(f"{'frozen, coded by':46} {'a pair':>7} {'known':>7} {'confirmed':>10} {'before':>7}")
    codecs: tuple[Codec, ...] = ("h264", "h265")
    for codec in codecs:
        for name, (options, bps) in ways(codec).items():
            pictures = keyframes(encode(lambda _: frozen, codec, options, bps, frames=frames))
            (alone, without), (known, confirmed) = (looks(pictures, remembered=r) for r in (False, True))
            line = f"{codec} {name}"
            print(f"{line:46} {alone:7.0%} {known:7.0%} {confirmed:10.0%} {without:7.0%}", flush=True)
            for sigma in (0.5, 2.0):
                living = keyframes(encode(noisy(street, sigma), codec, options, bps, frames=frames // 3))
                seen += len(living)
                mistaken += taken_for_another(living)
    print(f"of {seen} keyframes of living streams {mistaken} are taken for an earlier one")
    return mistaken > 0


if __name__ == "__main__":
    sys.exit(main())
