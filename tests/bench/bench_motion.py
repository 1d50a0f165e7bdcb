"""What moves, and what only gets sharper: python tests/bench/bench_motion.py [--size 360] [--more]

Pictures that stand still and pictures that live are encoded under many ways of controlling the bit rate,
packed into RTP, and judged by the product's own code. By the fineness of the keyframe (its bytes as a share
of what the limit is given for, in half octaves) it prints the greatest difference of all streams that stand
still beside the limit, and what it was seen in; then which share of the living ones is cleared after 1, 2, 4
and 8 pictures, and CPU time a picture. Exits 1 if a stream that stands still is cleared.

The pictures are hard ones on purpose: leaves and grain of high contrast, of which a keyframe that is short of
bits shows next to nothing and the pictures behind it all. ``--more`` adds other sizes, 10 bit, 4:2:2, grey,
intra refresh, temporal layers, loss, and what blinks in the middle.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from rtp_media import fragment
from sharpeyes.health.diagnose import keyframe as decoding
from sharpeyes.health.diagnose.keyframe import decode_keyframe
from sharpeyes.health.diagnose.motion import Codec, difference, fineness_of, limit_of, luma_of, means_of
from sharpeyes.simulator.fault import Picture
from sharpeyes.simulator.scene import Scene
from sharpeyes.wire.h264 import H264Depacketiser
from sharpeyes.wire.h265 import H265Depacketiser

FPS = 25
FRAMES = 36
PICTURES = 8
Frame = np.ndarray[Any, np.dtype[np.uint8]]
Show = Callable[[int], Frame]


# -- what is shown


def textured(random: np.random.Generator, width: int, height: int, contrast: float, grain: float) -> Frame:
    """A grey picture of blotches ``grain`` pixels wide that differ by ``contrast`` steps of luma."""
    made = random.normal(0, 1, (height, width)).astype(np.float32)
    if grain:
        made = np.asarray(cv2.GaussianBlur(made, (0, 0), grain), np.float32)
    luma = (made / made.std() * contrast + 120).clip(16, 235).astype(np.uint8)
    return np.concatenate([luma, np.full((height // 2, width), 128, np.uint8)])


def grainy(random: np.random.Generator, frame: Frame, sigma: float) -> Frame:
    noise = np.round(random.normal(0, sigma, frame.shape)).astype(np.int16)
    return (frame.astype(np.int16) + noise).clip(0, 255).astype(np.uint8)


def with_clock(scene: Scene, frame: Frame) -> Show:
    """The picture stands still, the burned-in clock in its margin runs."""
    upper = scene.height // 10

    def show(number: int) -> Frame:
        made = frame.copy()
        made[:upper] = scene.frame(number)[:upper]
        return made

    return show


def still_shows(width: int, height: int) -> dict[str, Show]:
    random = np.random.default_rng(5)
    scene = Scene(8, width, height, FPS)
    plain, other = scene.frame(7), Scene(11, width, height, FPS).frame(7)
    leaves = textured(random, width, height, 40, 1.5 * width / 640)
    half = textured(random, width, height, 50, 0.7)
    half[:, width // 2 :] = plain[:, width // 2 :]
    frames = {
        "street": plain,
        "street, noise": grainy(random, other, 4),
        "night, noise": grainy(random, Scene(3, width, height, FPS, Picture.DARK).frame(7), 6),
        "leaves": leaves,
        "fine grain": textured(random, width, height, 40, 0.7),
        "coarse grain": textured(random, width, height, 60, 0.9 * width / 640),
        "noise alone": textured(random, width, height, 26, 0),
        "half grain": half,
    }
    shows: dict[str, Show] = {name: (lambda _, frame=frame: frame) for name, frame in frames.items()}
    return shows | {"street, clock": with_clock(scene, plain)}


def living_shows(width: int, height: int) -> dict[str, Show]:
    random = np.random.default_rng(6)
    shows: dict[str, Show] = {}
    for seed in (0, 3, 5, 8):
        shows[f"street {seed}"] = Scene(seed, width, height, FPS).frame
    night = Scene(11, width, height, FPS, Picture.DARK)
    shows["night, noise"] = lambda number: grainy(random, night.frame(number), 6)
    empty = Scene(5, width, height, FPS).frame(7)
    shows["nothing but noise"] = lambda _: grainy(random, empty, 4)
    return shows


# -- how it is coded


def controls(codec: Codec, bps: int) -> dict[str, tuple[dict[str, str], int | None]]:
    """Ways to control the bit rate: options of the encoder, and the rate it is given."""
    k = bps // 1000
    if codec == "h264":
        closed = "scenecut=0:bframes=0"
        live = {"preset": "veryfast", "tune": "zerolatency"}

        def made(params: str, **options: str) -> tuple[dict[str, str], int | None]:
            return ({**live, **options, "x264-params": f"{closed}:{params}"}, bps)

        return {
            "as the simulator": made(
                f"keyint=25:min-keyint=25:rc-lookahead=0:vbv-maxrate={k}:vbv-bufsize={k}:sliced-threads=0",
                preset="superfast",
                tune="film",
            ),
            "CBR": made(f"nal-hrd=cbr:vbv-maxrate={k}:vbv-bufsize={k // 2}"),
            "tight buffer": made(f"vbv-maxrate={k}:vbv-bufsize={k // 8}"),
            "ABR": made("rc-lookahead=0", tune="film"),
            "no adaptive quantiser": made(
                f"aq-mode=0:vbv-maxrate={k}:vbv-bufsize={k // 4}", preset="ultrafast"
            ),
            "fierce adaptive quantiser": made(
                f"aq-mode=2:aq-strength=3:vbv-maxrate={k}:vbv-bufsize={k // 4}"
            ),
            "coarse keyframes": made(f"ipratio=0.6:vbv-maxrate={k}:vbv-bufsize={k // 4}"),
            "out of order": made(f"bframes=3:b-adapt=0:vbv-maxrate={k}:vbv-bufsize={k // 4}"),
            "out of order, ABR": made("bframes=2:b-adapt=0", tune="film"),
        }
    quiet = "log-level=none:info=0:repeat-headers=1:keyint=25:min-keyint=25:scenecut=0:bframes=0"

    def hevc(params: str) -> tuple[dict[str, str], int | None]:
        return ({"preset": "ultrafast", "tune": "zerolatency", "x265-params": f"{quiet}:{params}"}, bps)

    return {
        "as the simulator": hevc(f"rc-lookahead=0:vbv-maxrate={k}:vbv-bufsize={k}:vbv-init=0.9"),
        "CBR": hevc(f"strict-cbr=1:hrd=1:vbv-maxrate={k}:vbv-bufsize={k // 2}"),
        "tight buffer": hevc(f"vbv-maxrate={k}:vbv-bufsize={k // 8}"),
    }


def constant(codec: Codec, factor: int) -> tuple[dict[str, str], int | None]:
    """Constant quality."""
    if codec == "h264":
        return {"preset": "veryfast", "crf": str(factor), "bf": "0"}, None
    quiet = "log-level=none:info=0:repeat-headers=1:keyint=25:scenecut=0:bframes=0"
    return {"preset": "ultrafast", "crf": str(factor), "x265-params": quiet}, None


@dataclass(frozen=True)
class Coded:
    """Coded pictures in coding order, each a list of NAL units."""

    codec: Codec
    pictures: list[list[bytes]]
    keys: list[int]


def encode(
    show: Show,
    codec: Codec,
    options: dict[str, str],
    bps: int | None,
    *,
    frames: int = FRAMES,
    gop: int = 25,
    pixels: str = "yuv420p",
) -> Coded:
    context = av.CodecContext.create("libx264" if codec == "h264" else "libx265", "w")
    assert isinstance(context, av.VideoCodecContext)
    pictures: list[list[bytes]] = []
    keys: list[int] = []
    for number in range(frames + 1):
        frame = None
        if number < frames:
            frame = av.VideoFrame.from_ndarray(show(number), format="yuv420p")
            if pixels != "yuv420p":
                frame = frame.reformat(format=pixels)
            frame.pts = number
            if not number:
                context.width, context.height, context.pix_fmt = frame.width, frame.height, pixels
                context.framerate, context.time_base = Fraction(FPS), Fraction(1, FPS)
                context.gop_size, context.options = gop, options
                if bps is not None:
                    context.bit_rate = bps
        for packet in context.encode(frame):
            keys += [len(pictures)] if packet.is_keyframe else []
            pictures.append([unit for unit in re.split(rb"\x00*\x00\x00\x01", bytes(packet)) if unit])
    return Coded(codec, pictures, keys)


def received(
    coded: Coded, at: int, lost: Callable[[int], bool] = lambda _: False
) -> tuple[bytes, list[bytes]] | None:
    """What is kept, by way of RTP, of keyframe ``at``, if it is one, and behind it, but ``lost(number)``."""
    depacketiser = H264Depacketiser() if coded.codec == "h264" else H265Depacketiser()
    depacketiser.follow(PICTURES)
    number = 0
    for time_stamp, units in enumerate(coded.pictures[at : at + 2 * PICTURES], 1):
        payloads = [payload for unit in units for payload in fragment(coded.codec, unit)]
        for index, payload in enumerate(payloads):
            number += time_stamp > 1
            if time_stamp > 1 and lost(number):
                depacketiser.gap()
            else:
                depacketiser.payload(payload, 0, len(payload), time_stamp, index == len(payloads) - 1)
    if depacketiser.keyframe is None:
        return None
    return depacketiser.keyframe, depacketiser.following


# -- what is made of it


@dataclass
class Judged:
    """One keyframe and the pictures behind it."""

    what: str
    fineness: float
    limit: float | None
    differences: list[float]
    """Shares of what refinement may change; above 1, the product clears."""
    cleared: bool
    """By the product."""


@dataclass
class Cost:
    decode_s: float = 0.0
    judge_s: float = 0.0
    pictures: int = 0


@dataclass
class Bench:
    still: list[Judged] = field(default_factory=list)
    living: list[Judged] = field(default_factory=list)
    overlaid: list[Judged] = field(default_factory=list)
    """They stand still but for a large word in the middle: told, not counted."""
    cost: dict[tuple[int, Codec], Cost] = field(default_factory=lambda: defaultdict(Cost))

    def judge(self, what: str, codec: Codec, key: bytes, following: list[bytes]) -> Judged | None:
        """None if the decoder of H.265 holds the first picture back: then nothing is judged."""
        decoding._contexts.kept = None  # what one stream reorders shall not hold back the next one's
        cleared = decode_keyframe(key, codec, following=following).moves
        context = decoding._context(key, codec)
        differences: list[float] = []
        try:
            frames = context.decode(av.Packet(key))
            if not frames:
                if codec == "h265":
                    assert not cleared
                    return None
                frames = context.decode(None)
                context.flush_buffers()
                following = [key, *following]
            first = frames[0]
            before = luma_of(first)
            fineness = fineness_of(len(key), first.width, first.height, codec)
            limit = limit_of(fineness, codec) if before is not None else None
            cost = self.cost[first.height, codec]
            for each in following if before is not None and limit is not None else ():
                begun = time.process_time()
                decoded = context.decode(av.Packet(each))
                between = time.process_time()
                for frame in decoded:
                    after = luma_of(frame)
                    assert after is not None
                    differences.append(difference(means_of(before), after, limit))
                cost.decode_s += between - begun
                cost.judge_s += time.process_time() - between
                cost.pictures += 1
        except av.FFmpegError:
            pass  # the product ends there, too
        finally:
            context.flush_buffers()
        return Judged(what, fineness, limit, differences, cleared)

    def take(self, what: str, coded: Coded, into: list[Judged]) -> None:
        for at in coded.keys:
            if at + PICTURES < len(coded.pictures) and (found := received(coded, at)):
                judged = self.judge(what, coded.codec, *found)
                into += [judged] if judged is not None else []


def octave(fineness: float) -> float:
    return round(math.log2(fineness) * 2) / 2


def report(bench: Bench) -> int:
    rows: dict[float, list[Judged]] = defaultdict(list)
    for each in bench.still:
        if each.differences:
            rows[octave(each.fineness)].append(each)
    print(
        "\nstanding still: the greatest difference as a share of the limit, by the fineness of the keyframe"
    )
    print("fineness  streams   share  in")
    for step, found in sorted(rows.items()):
        worst = max(found, key=lambda each: max(each.differences))
        print(f"{2**step:8.2f} {len(found):8d}  {100 * max(worst.differences):4.0f} %  {worst.what}")
    coarse = sum(each.limit is None for each in bench.still)
    print(f"{coarse} keyframes were too coarse to be judged")
    if bench.living:
        print("\nliving: cleared after so many pictures")
    names = sorted({each.what.split(":")[0] for each in bench.living})
    for name in [*names, ""] if names else []:
        found = [each for each in bench.living if not name or each.what.startswith(f"{name}:")]
        cells = [sum(max(each.differences[:n], default=0) > 1 for each in found) for n in (1, 2, 4, PICTURES)]
        fractions = "  ".join(f"{100 * cell / len(found):3.0f} %" for cell in cells)
        print(f"  {name or 'all of them':30s}{fractions}")
    print("\nCPU a picture behind the keyframe")
    for (height, codec), cost in sorted(bench.cost.items()):
        if cost.pictures:
            decode, judge = (1000 * each / cost.pictures for each in (cost.decode_s, cost.judge_s))
            print(f"  {codec} {height:4d} lines  decode {decode:5.2f} ms, judge {judge:5.3f} ms")
    wrong = Counter(each.what for each in bench.still if each.cleared)
    for what, count in wrong.items():
        print(f"CLEARED though it stands still, {count} times: {what}")
    if bench.overlaid:
        blinks = sum(each.cleared for each in bench.overlaid)
        print(f"a word blinks in the middle: {blinks} of {len(bench.overlaid)} are cleared")
    print(f"\n{sum(wrong.values())} of {len(bench.still)} that stand still are cleared")
    return 1 if wrong else 0


# -- the runs


def usual(bench: Bench, width: int, height: int, codec: Codec, rates: list[int]) -> None:
    for living, shows in ((False, still_shows(width, height)), (True, living_shows(width, height))):
        for name, show in shows.items():
            kept = [show(number) for number in range(FRAMES)]
            ways = [(f"{r // 1000} kbit/s", w, *o) for r in rates for w, o in controls(codec, r).items()]
            ways += [("", f"CRF {factor}", *constant(codec, factor)) for factor in (23, 34)]
            for rate, way, options, bps in ways:
                coded = encode(kept.__getitem__, codec, dict(options), bps)
                bench.take(
                    f"{name}: {codec} {width}x{height} {way} {rate}",
                    coded,
                    bench.living if living else bench.still,
                )
        print(f"{codec} {width}x{height} {'living' if living else 'still'}: done", file=sys.stderr)


def blinking(frame: Frame, width: int, height: int) -> Show:
    """A word in the middle of a still picture blinks, twice a second."""

    def show(number: int) -> Frame:
        made = frame.copy()
        if number // 6 % 2:
            size = height / 360
            at = (int(width * 0.45), int(height * 0.52))
            cv2.putText(
                made[:height], "REC", at, cv2.FONT_HERSHEY_SIMPLEX, 0.7 * size, 240, max(1, int(2 * size))
            )
        return made

    return show


def odd(bench: Bench) -> None:
    """What cameras do besides."""

    def scaled(rate: int, width: int, height: int) -> int:
        return int(rate * math.sqrt(width * height / (640 * 360)))

    for width, height in (
        (320, 240),
        (176, 144),
        (360, 640),
        (480, 640),
        (704, 576),
        (1280, 720),
        (3840, 2160),
    ):
        shows = still_shows(width, height)
        for name in ("street, noise", "coarse grain") if width < 3840 else ("leaves",):
            for rate in (200_000, 800_000) if width < 3840 else (400_000,):
                bps = scaled(rate, width, height)
                for way, (options, given) in controls("h264", bps).items():
                    coded = encode(shows[name], "h264", options, given)
                    bench.take(
                        f"{name}: h264 {width}x{height} {way} {bps // 1000} kbit/s", coded, bench.still
                    )
        print(f"{width}x{height}: done", file=sys.stderr)
    width, height = 640, 360
    shows = still_shows(width, height)
    for rate in (200_000, 600_000, 1_500_000):
        k = rate // 1000
        buffered = f"vbv-maxrate={k}:vbv-bufsize={k // 4}"
        ways = {
            "intra refresh": (f"intra-refresh=1:vbv-maxrate={k}:vbv-bufsize={k // 8}", "yuv420p"),
            "long group": (f"keyint=250:{buffered}", "yuv420p"),
            "interlaced": (f"tff=1:{buffered}", "yuv420p"),
            "many slices": (f"slices=8:{buffered}", "yuv420p"),
            "4:2:2": (buffered, "yuv422p"),
            "4:4:4": (buffered, "yuv444p"),
            "10 bit": (buffered, "yuv420p10le"),
            "grey": (buffered, "gray"),
            "B-frames": (f"bframes=3:{buffered}", "yuv420p"),
            "open group": (f"open-gop=1:bframes=3:{buffered}", "yuv420p"),
        }
        for name in ("street", "leaves", "coarse grain"):
            for way, (params, pixels) in ways.items():
                options = {"preset": "veryfast", "x264-params": params}
                if "bframes" not in params:
                    options["tune"] = "zerolatency"
                coded = encode(shows[name], "h264", options, rate, pixels=pixels)
                bench.take(f"{name}: h264 {way} {k} kbit/s", coded, bench.still)
            hevc = f"log-level=none:info=0:repeat-headers=1:keyint=25:vbv-maxrate={k}:vbv-bufsize={k // 2}"
            for way, params in {
                "open group": "open-gop=1:bframes=3",
                "temporal layers": "temporal-layers=3:bframes=3",
            }.items():
                options = {"preset": "ultrafast", "x265-params": f"{hevc}:{params}"}
                bench.take(
                    f"{name}: h265 {way} {k} kbit/s", encode(shows[name], "h265", options, rate), bench.still
                )
            coded = encode(shows[name], "h264", *controls("h264", rate)["tight buffer"])
            for share in (3, 7, 20):
                found = received(coded, coded.keys[1], lambda number, share=share: number % share == 0)
                if found is not None:
                    judged = bench.judge(f"{name}: h264 one packet of {share} lost", "h264", *found)
                    bench.still += [judged] if judged is not None else []
        show = blinking(shows["street"](0), width, height)
        for way, (options, given) in controls("h264", rate).items():
            bench.take(
                f"blinking word: h264 {way} {k} kbit/s", encode(show, "h264", options, given), bench.overlaid
            )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=("360", "1080"), help="only this one")
    parser.add_argument("--codec", choices=("h264", "h265"), help="only this one")
    parser.add_argument("--more", action="store_true", help="only what cameras do besides")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    av.logging.set_level(av.logging.PANIC)
    bench = Bench()
    if arguments.more:
        odd(bench)
        return report(bench)
    rates: dict[tuple[str, Codec], list[int]] = {
        ("360", "h264"): [150_000, 400_000, 1_200_000],
        ("360", "h265"): [100_000, 500_000],
        ("1080", "h264"): [800_000, 3_000_000],
        ("1080", "h265"): [1_000_000],
    }
    for (size, codec), given in rates.items():
        if arguments.size in (None, size) and arguments.codec in (None, codec):
            usual(bench, *((640, 360) if size == "360" else (1920, 1080)), codec, given)
    return report(bench)


if __name__ == "__main__":
    sys.exit(main())
