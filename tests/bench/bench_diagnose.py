"""What a diagnosis costs, decode apart: python tests/bench/bench_diagnose.py [--runs 60] [--set DIR]

Own made pictures, one thread, CPU time (the best and the median of many runs, as other work on the machine
only ever adds). "Amortised" is a camera of a healthy fleet: every keyframe is screened, and the full checks
run where the screening is not plain and on every twelfth keyframe anyway. ``--set``: of how many pictures of
a set the cheap look says that there is nothing in them, and in how many of these the checks find something.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "diagnose"))

from made_scene import pair, picture, scene, with_traffic

from sharpeyes.health.diagnose.clip import read_clip
from sharpeyes.health.diagnose.dataset import read_samples
from sharpeyes.health.diagnose.diagnosis import diagnose
from sharpeyes.health.diagnose.reference import learn
from sharpeyes.health.diagnose.screen import Glance, is_unremarkable, screen
from sharpeyes.health.diagnose.still import marked_still

EVERY = 12


def cpu_ms(work: Callable[[], object], runs: int) -> tuple[float, float]:
    work()
    took = []
    for _ in range(runs):
        start = time.process_time()
        work()
        took.append((time.process_time() - start) * 1000)
    return min(took), float(np.median(took))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--set", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    day = scene()
    pictures = [picture(with_traffic(day * g, s), s) for s, g in enumerate(np.linspace(0.94, 1.06, 8))]
    reference = learn(pictures, "day")
    references = {"day": reference}
    before, after = pair(with_traffic(day, 50))
    moved_before, moved_after = pair(np.roll(day, 60, axis=1))
    glance = Glance.at(before)

    print(f"machine: {platform.machine()}, Python {platform.python_version()}, OpenCV {cv2.__version__}")
    rows = {
        "screening a keyframe": lambda: screen(glance, glance.sample, Glance.at(after)),
        "full checks, normal pair": lambda: diagnose(after, before, references, mode="day"),
        "full checks, moved view": lambda: diagnose(moved_after, moved_before, references, mode="day"),
        "full checks, no reference": lambda: diagnose(after, before, None, mode="day"),
        "full checks, one, no ref.": lambda: diagnose(after, None, None, mode="day"),
        "cheap look, nothing known": lambda: is_unremarkable(after),
        "learning a mode of 8": lambda: learn(pictures, "day"),
        "reference to bytes": reference.to_bytes,
        "marked-up still": lambda: marked_still(after, diagnose(after, None, None, mode="day")),
    }
    best = {}
    for name, work in rows.items():
        best[name], middle = cpu_ms(work, max(5, arguments.runs // (10 if "learning" in name else 1)))
        print(f"{name:28s} {best[name]:7.2f} ms best {middle:7.2f} ms median")

    views = [day * g for g in np.linspace(0.95, 1.05, 20)]
    plain, passed = 0, glance
    for seed, view in enumerate(views):
        one, two = (Glance.at(picture(with_traffic(view, seed * 2 + n), seed * 2 + n)) for n in (100, 101))
        if screen(passed, one.sample, two).plain:
            plain += 1
        else:
            passed = two
    share = plain / len(views)
    full = (1 - share) + share / EVERY
    amortised = best["screening a keyframe"] + full * best["full checks, normal pair"]
    print(f"plainly normal: {share:.0%} of made normal pairs; amortised {amortised:.2f} ms a camera")
    print(f"remembered of a camera: {(len(glance.to_bytes()) + glance.sample.nbytes) / 1000:.0f} kB")
    print(f"reference: {len(reference.to_bytes()) / 1000:.0f} kB")
    if arguments.set is not None:
        overlooked(arguments.set)


def overlooked(directory: Path) -> None:
    """How the cheap look, where nothing is known of a camera, agrees with the checks."""
    seen = [one for sample in read_samples(directory) for one in read_clip(sample.file, most=2)]
    dull = [one for one in seen if is_unremarkable(one)]
    faulty = sum(bool(diagnose(one, None, None).faults) for one in dull)
    print(
        f"{len(dull)} of {len(seen)} pictures look unremarkable; the checks find a fault in {faulty} of these"
    )


if __name__ == "__main__":
    main()
