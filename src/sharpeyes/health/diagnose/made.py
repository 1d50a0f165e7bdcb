"""Faults made from normal pictures, and cameras made from cameras: material to train on (development only).

A set has few places. Its normal pictures are seen through other lenses (cut, mirrored, turned, softer,
noisier, in another tone), each such camera with references of its own, and faults are put on them at three
severities and encoded again at surveillance rates. Damage is real: packets of a stream are lost or changed,
and what a decoder makes of it is the picture. The same seed gives the same pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Plane = NDArray[np.float32]
Rng = np.random.Generator
Faulty = tuple[list[Image], int, list[str]]
"""The pair, the severity, and the kinds that are neither right nor wrong there."""

_ALL_LOST = ["blurred", "color_cast", "color_loss", "occluded", "over_exposed", "under_exposed"]
_SMALL = 486
"""Width of a picture at which sizes below are meant."""


# --- streams --------------------------------------------------------------------------------------------


def encode(images: Sequence[Image], *, qp: int, gop: int = 1, slices: int = 1) -> list[bytes]:
    """Access units of H.264, in order, at one quality: a rate control would starve the second keyframe."""
    height, width = images[0].shape[:2]
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.thread_count = Fraction(1, 25), 1
    encoder.options = {
        "qp": str(qp),
        "preset": "veryfast",
        "tune": "zerolatency",
        "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:slices={slices}:threads=1"
        ":sliced-threads=0:repeat-headers=1:bframes=0:log-level=none",
    }
    units: list[bytes] = []
    for index, image in enumerate(images):
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), "bgr24").reformat(format="yuv420p")
        frame.pts = index
        units += [bytes(packet) for packet in encoder.encode(frame)]
    return units + [bytes(packet) for packet in encoder.encode(None)]


def decode(units: Sequence[bytes], concealment: str | None = None) -> list[VideoFrame]:
    """What a decoder makes of them; damage raises nothing."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    if concealment is not None:
        decoder.options = {"ec": concealment, "flags": "+output_corrupt+low_delay"}
    frames: list[VideoFrame] = []
    for unit in (*units, None):
        try:
            frames += decoder.decode(av.Packet(unit) if unit else None)
        except av.FFmpegError:
            continue
    return frames


def _bgr(frame: VideoFrame) -> Image:
    return np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def _units(data: bytes) -> list[bytes]:
    """The NAL units of an access unit in Annex B form."""
    parts = data.split(b"\0\0\1")[1:]
    return [part.rstrip(b"\0") if i + 1 < len(parts) else part for i, part in enumerate(parts)]


# --- faults ---------------------------------------------------------------------------------------------


def clipped(image: NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def cloud(rng: Rng, height: int, width: int, size: float) -> Plane:
    """Smooth random relief with features of about `size` pixels."""
    shape = (max(2, int(height / size + 2)), max(2, int(width / size + 2)))
    coarse = rng.normal(0, 1, shape).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _disk(radius: float) -> Plane:
    size = int(np.ceil(radius)) * 2 + 1
    y, x = np.mgrid[:size, :size] - size // 2
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _streak(radius: float, angle: float) -> Plane:
    size = max(int(np.ceil(radius * 2)) | 1, 3)
    kernel = np.zeros((size, size), np.float32)
    reach = np.array([np.cos(angle), np.sin(angle)]) * radius
    first, last = ((size // 2 + sign * reach) * 16 for sign in (-1, 1))
    ends = (int(first[0]), int(first[1])), (int(last[0]), int(last[1]))
    cv2.line(kernel, *ends, (1.0,), 1, cv2.LINE_8, 4)
    kernel = cv2.GaussianBlur(kernel, (3, 3), 0.5).astype(np.float32)
    return np.asarray(kernel / kernel.sum(), np.float32)


def blurred(rng: Rng, pair: Sequence[Image]) -> Faulty:
    severity = int(rng.integers(1, 4))
    low, high = ((1.3, 3.0), (2.6, 6.0), (5.5, 15.0))[severity - 1]
    radius = float(np.exp(rng.uniform(np.log(low), np.log(high)))) * pair[0].shape[1] / _SMALL
    way = rng.choice(3, p=[0.5, 0.3, 0.2])
    if way == 2:
        out = [cv2.GaussianBlur(image, (0, 0), radius * 0.55) for image in pair]
    else:
        kernel = _disk(radius) if way == 0 else _streak(radius, float(rng.uniform(0, np.pi)))
        out = [cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT) for image in pair]
    return [np.asarray(o, np.uint8) for o in out], severity, ["occluded", "scene_shift"] * (severity == 3)


_TINTS = (
    (0.3, -0.5, 0.5),
    (1, -0.1, -0.6),
    (-1, 0.3, 0.3),
    (-0.4, 0.8, -0.5),
    (0.6, -0.6, 0.3),
    (0.5, 0.3, -0.8),
)


def tinted(rng: Rng, pair: Sequence[Image]) -> Faulty:
    severity = int(rng.integers(1, 4))
    amount = rng.uniform(*((0.1, 0.2), (0.2, 0.35), (0.35, 0.6))[severity - 1])
    tint = amount * np.array(_TINTS[int(rng.integers(len(_TINTS)))], np.float32)
    gain, offset = ((1.0, 0.0), (0.0, 120.0), (0.5, 60.0))[int(rng.integers(3))]
    return (
        [clipped(image * (1 + gain * tint) + offset * tint) for image in pair],
        severity,
        ["over_exposed"] * (severity > 1),
    )


def lit(rng: Rng, pair: Sequence[Image]) -> Faulty:
    """Too bright or too dark: what other kinds must not take for themselves."""
    bright = rng.random() < 0.5
    gain = rng.uniform(1.7, 5) if bright else rng.uniform(0.04, 0.22)
    return [clipped(image * gain) for image in pair], 2, list(_ALL_LOST)


def grey(rng: Rng, pair: Sequence[Image]) -> Faulty:
    share = float(rng.choice([1.0, rng.uniform(0.78, 1)]))
    out = []
    for image in pair:
        flat = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        out.append(np.asarray(cv2.addWeighted(flat, share, image, 1 - share, 0), np.uint8))
    return out, 1 + int(share > 0.88) + int(share > 0.97), []


def noisy(rng: Rng, pair: Sequence[Image]) -> Faulty:
    severity, way = int(rng.integers(1, 4)), int(rng.integers(4))
    height, width = pair[0].shape[:2]
    sigma = rng.uniform(*((9, 16), (16, 30), (30, 60))[severity - 1])
    share = rng.uniform(*((0.006, 0.015), (0.015, 0.05), (0.05, 0.15))[severity - 1])
    length = int(rng.integers(1, 6))
    out = []
    for image in pair:
        noisy_image = image.astype(np.float32)
        if way == 0:
            noisy_image += rng.normal(0, sigma, (height, width))[..., None]
        elif way == 1:
            noisy_image += rng.normal(0, sigma * 1.3, (height, width, 3))
        elif way == 2:
            chance = rng.random((height, width))
            noisy_image[chance < share / 2] = 5
            noisy_image[chance > 1 - share / 2] = 250
        else:
            specks = (rng.random((height, width)) < share).astype(np.uint8)
            noisy_image[cv2.dilate(specks, np.ones((1, length), np.uint8)) > 0] = rng.uniform(150, 255)
        out.append(clipped(noisy_image))
    tolerated = ["color_cast", "color_loss"] + ["corrupt", "occluded", "scene_shift", "stripes"] * (
        severity == 3
    )
    return out, severity, tolerated


def striped(rng: Rng, pair: Sequence[Image]) -> Faulty:
    severity = int(rng.integers(1, 4))
    amount = rng.uniform(*((13, 25), (25, 45), (45, 85))[severity - 1])
    way = rng.choice(
        ["hum", "bands", "vbars", "herring", "lines", "tear"], p=[0.22, 0.18, 0.18, 0.2, 0.12, 0.1]
    )
    height, width = pair[0].shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    period, phase, speed = rng.uniform(8, 40), rng.uniform(0, 6), rng.uniform(-3, 3)
    angle, fine = rng.uniform(0.2, 1.3) * rng.choice([-1, 1]), rng.uniform(3, 9)
    hum, square = rng.uniform(height / 5, height / 1.6), rng.random() < 0.6
    out = []
    for index, image in enumerate(pair):
        at = phase + index * speed
        torn = image.astype(np.float32)
        if way == "hum":
            wave = amount * np.sin(2 * np.pi * y / hum + at)
        elif way == "herring":
            wave = 0.6 * amount * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / fine + at)
        elif way in ("bands", "vbars"):
            wave = np.sin(
                2 * np.pi * (y if way == "bands" else x) / period + (at if way == "bands" else phase)
            )
            wave = 0.7 * amount * (np.sign(wave) if square else wave)
        else:
            wave = np.zeros((height, width))
            for _ in range(int(rng.integers(5, 25))):
                top = int(rng.integers(0, height))
                if way == "lines":
                    wave[top : top + int(rng.integers(1, 3))] = rng.choice([-1, 1]) * amount * 1.4
                else:
                    rows = np.s_[top : top + int(rng.integers(2, max(3, height // 10)))]
                    step = int(rng.normal(0, amount * 0.8)) + int(rng.choice([-6, 6]))
                    torn[rows] = np.roll(torn[rows], step, axis=1)
        out.append(clipped(torn + wave[..., None]))
    tolerated = ["corrupt", "noise"] + ["color_cast", "occluded", "scene_shift"] * (severity == 3)
    return out, severity, tolerated


def _cover(rng: Rng, way: str, share: float, height: int, width: int) -> Plane:
    """Where a cover lies, 0-1."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    diagonal, scale = float(np.hypot(height, width)), width / _SMALL
    if share >= 1:
        return np.ones((height, width), np.float32)
    if way in ("leaf", "web"):
        mask = np.zeros((height, width), np.uint8)
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        for _ in range(80 if way == "leaf" else 0):
            if mask.mean() >= share:
                break
            centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
            axes = (int(width * rng.uniform(0.05, 0.15)), int(width * rng.uniform(0.02, 0.06)))
            cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        if way == "web":
            spokes = np.sort(rng.uniform(0, 6.28, int(rng.integers(10, 22))))
            thick = max(1, int(scale * rng.choice([1, 2, 3, 4])))
            ends = np.stack([cx + diagonal * np.cos(spokes), cy + diagonal * np.sin(spokes)], 1).astype(int)
            for end in ends.tolist():
                cv2.line(mask, (int(cx), int(cy)), (end[0], end[1]), 1, thick)
            for r in np.arange(12, diagonal * rng.uniform(0.25, 0.8), diagonal * rng.uniform(0.02, 0.05)):
                wobble = r * rng.uniform(0.95, 1.02, (2, len(spokes)))
                ring = np.stack([cx + wobble[0] * np.cos(spokes), cy + wobble[1] * np.sin(spokes)], 1)
                cv2.polylines(mask, [ring.astype(np.int32)], True, 1, thick)
        soft = float(rng.uniform(0.8, 2.5)) * scale
        return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), soft), np.float32)
    if way in ("paint", "dirt"):
        relief = cloud(rng, height, width, diagonal / rng.uniform(2.5, 6 if way == "paint" else 9))
        soft = rng.uniform(1, 9 if way == "dirt" else 4)
    else:
        angle = rng.uniform(0, 2 * np.pi)
        relief = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
        if way == "hand":
            cx, cy = rng.uniform(0, width), rng.uniform(0, height)
            relief = -np.hypot((x - cx) * rng.uniform(0.6, 1.3), y - cy)
        rough = 0.03 if way == "card" else 0.06
        relief = relief + cloud(rng, height, width, diagonal / rng.uniform(1.5, 4)) * diagonal * rough
        soft = {"cloth": 6, "card": 2, "bag": 7, "hand": 12}[way] * rng.uniform(0.4, 1.6)
    mask_ = (relief > np.quantile(relief, 1 - share)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(mask_, (0, 0), float(soft) * scale), np.float32)


def covered(rng: Rng, pair: Sequence[Image], colourless: bool = False) -> Faulty:
    height, width = pair[0].shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ways = ["cloth", "paint", "leaf", "card", "bag", "hand", "dirt", "web"]
    way = str(rng.choice(ways, p=[0.2, 0.17, 0.15, 0.14, 0.12, 0.1, 0.08, 0.04]))
    shares = [rng.uniform(0.15, 0.3), rng.uniform(0.3, 0.55), rng.uniform(0.55, 0.95), 1.0]
    share = float(rng.choice(shares, p=[0.36, 0.3, 0.2, 0.14]))
    mask = _cover(rng, way, min(share, 0.7) if way == "web" else share, height, width)
    base = {
        "cloth": rng.uniform(20, 190, 3),
        "paint": rng.uniform(40, 200, 3),
        "leaf": np.array([30, rng.uniform(60, 120), 40]),
        "card": rng.uniform(20, 250, 3),
        "bag": rng.uniform(60, 220) + rng.normal(0, 6, 3),
        "hand": np.array([rng.uniform(70, 120), rng.uniform(100, 145), rng.uniform(150, 215)]),
        "dirt": np.array([rng.uniform(30, 70), rng.uniform(50, 90), rng.uniform(60, 105)]),
        "web": np.full(3, rng.uniform(170, 235)),
    }[way]
    if way in ("cloth", "paint") and rng.random() < 0.5:
        base = base.mean() + 0.35 * (base - base.mean())
    relief = cloud(rng, height, width, width / rng.uniform(2, 8)) * rng.uniform(2, 22)
    if way in ("paint", "dirt", "leaf", "cloth"):
        relief = relief + cloud(rng, height, width, rng.uniform(2, 12) * width / _SMALL) * rng.uniform(0, 10)
    if way == "cloth" and rng.random() < 0.4:
        weave = rng.uniform(3, 7)
        threads = np.sin(2 * np.pi * x / weave) * np.sin(2 * np.pi * y / weave)
        relief = relief + rng.uniform(2, 10) * np.sign(threads)
    if way == "bag":
        relief = relief + cloud(rng, height, width, width / rng.uniform(6, 20)) * rng.uniform(5, 30)
    light = np.clip(np.mean([image.mean() for image in pair]) / 110, 0.25, 1.3) * rng.uniform(0.8, 1.2)
    light = max(min(light, 1), 0.4) if way == "card" else min(light, 1)
    colour = (base + relief[..., None]) * light
    if colourless:
        colour = np.repeat(colour.mean(axis=2, keepdims=True), 3, axis=2)
    opaque = {"web": rng.uniform(0.75, 0.95), "dirt": rng.uniform(0.7, 1), "bag": rng.uniform(0.7, 1)}.get(
        way, 1.0
    )
    sway = rng.normal(0, 0.4) if way in ("cloth", "leaf", "hand") else 0.0
    out = []
    for index, image in enumerate(pair):
        moved = np.array([[1, 0, sway * index], [0, 1, 0]], np.float32)
        there = cv2.warpAffine(mask * opaque, moved, (width, height), borderMode=cv2.BORDER_REPLICATE)[
            ..., None
        ]
        grain = rng.normal(0, 1.2, (height, width))[..., None]
        out.append(clipped(image * (1 - there) + colour * there + grain))
    size = float((mask > 0.5).mean())
    severity = 1 + int(size >= 0.3) + int(size >= 0.55)
    return (
        out,
        severity,
        ["blurred"] * (severity > 1) + [*_ALL_LOST, "frozen", "scene_shift"] * (severity == 3),
    )


def turned(rng: Rng, pair: Sequence[Image], other: Sequence[Image]) -> Faulty:
    """`other`: a view from elsewhere."""
    height, width = pair[0].shape[:2]
    ways = ["pan", "tilt", "both", "roll", "zoom", "flip", "other"]
    way = rng.choice(ways, p=[0.23, 0.14, 0.15, 0.11, 0.09, 0.05, 0.23])
    severity = int(rng.integers(1, 3))
    amount = rng.uniform(*((0.033, 0.06), (0.06, 0.13))[severity - 1])
    if way == "other":
        return [_sized(image, width, height) for image in other], 3, list(_ALL_LOST)
    if way == "flip":
        code = int(rng.choice([-1, 1, 0], p=[0.6, 0.3, 0.1]))
        return [np.asarray(cv2.flip(image, code), np.uint8) for image in pair], 3, list(_ALL_LOST)
    dx, dy = (amount * float(rng.choice([-1, 1])) for _ in range(2))
    angle = float(rng.choice([-1, 1])) * amount * rng.uniform(80, 140) if way == "roll" else 0.0
    zoom = 1 + amount * rng.uniform(1, 2.5) if way == "zoom" else 1.0
    warp = cv2.getRotationMatrix2D((width / 2, height / 2), angle, zoom)
    warp[0, 2] += dx * width * (way in ("pan", "both"))
    warp[1, 2] += dy * height * (way in ("tilt", "both"))
    out = [cv2.warpAffine(i, warp, (width, height), borderMode=cv2.BORDER_REFLECT_101) for i in pair]
    return [np.asarray(o, np.uint8) for o in out], severity, ["occluded"] * (severity == 2)


def _sized(image: Image, width: int, height: int) -> Image:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def damaged(rng: Rng, pair: Sequence[Image], prior: Image) -> Faulty | None:
    """`prior`: what the camera showed before. None if the decoder hid the damage well."""
    for _ in range(4):
        way = rng.choice(["loss", "flip", "no idr"], p=[0.66, 0.2, 0.14])
        concealment = str(rng.choice(["0", "guess_mvs+deblock", "favor_inter"], p=[0.4, 0.35, 0.25]))
        stale, slices = rng.random() < 0.65, int(rng.integers(1, 5))
        shown = [prior, *[pair[0]] * int(rng.integers(1, 3)), pair[0], pair[1]]
        if way == "no idr":
            shown = [prior, pair[0], pair[0], pair[1]]
        gop = 2 if way == "no idr" else len(shown)
        stream = encode(shown, qp=int(rng.integers(24, 32)), gop=gop, slices=slices)
        good = [_bgr(frame) for frame in decode(stream)]
        units = [_units(each) for each in stream]
        hit = len(shown) - (2 if way == "no idr" else int(rng.choice([1, 2, 3], p=[0.2, 0.32, 0.48])))
        coded = [i for i, unit in enumerate(units[hit]) if unit and unit[0] & 31 in (1, 5)]
        if not coded:
            continue
        one = coded[int(rng.integers(len(coded)))]
        unit = units[hit][one]
        if way == "no idr":
            gone = set(coded) if rng.random() < 0.7 else {coded[0]}
            units[hit] = [each for i, each in enumerate(units[hit]) if i not in gone]
        elif way == "flip":
            wrong = bytearray(unit)
            for _ in range(int(rng.integers(1, 5)) if len(wrong) > 12 else 0):
                wrong[int(rng.integers(6, len(wrong)))] ^= 1 << int(rng.integers(8))
            units[hit][one] = bytes(wrong)
        elif len(coded) > 1 and rng.random() < 0.5:
            del units[hit][one]
        else:
            units[hit][one] = unit[: max(8, int(len(unit) * rng.uniform(0.1, 0.9)))]
        broken = [b"".join(b"\0\0\0\1" + unit for unit in each) for each in units]
        bad = [_bgr(frame) for frame in decode(broken, concealment)][-2:]
        if len(bad) < 2:
            continue
        for image in bad if concealment == "0" and stale else ():
            # a decoder that reuses its buffers shows what stood there before, not green
            b, g, r = cv2.split(image)
            green = ((g > 110) & (b < 25) & (r < 25) & (g < 150)).astype(np.uint8)
            hole = cv2.morphologyEx(green, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0
            image[hole] = prior[hole]
        changed = [
            float((cv2.absdiff(b, g).max(axis=2) > 18).mean()) for b, g in zip(bad, good[-2:], strict=True)
        ]
        worst = max(changed)
        if worst >= 0.06:
            return bad, 1 + int(worst >= 0.2) + int(worst >= 0.5), [*_ALL_LOST, *_WITH_DAMAGE]
    return None


_WITH_DAMAGE = ("frozen", "noise", "scene_shift", "signal_lost", "stripes")


# --- cameras --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MadeSample:
    """A pair of a made camera. `also` is another scene that is seen in it."""

    camera: int
    mode: str
    units: list[bytes]
    faults: list[str]
    severity: int
    tolerate: list[str]
    hard: str | None
    known: frozenset[str]
    """Modes whose references it may be held against."""
    also: str | None


def _camera(rng: Rng, height: int, width: int) -> Callable[[Image], Image]:
    """A lens, a sensor and a mount."""
    flip, zoom = rng.random() < 0.5, rng.uniform(0.62, 1.0)
    cut_h, cut_w = height * zoom, width * zoom
    top, left = rng.uniform(0, height - cut_h), rng.uniform(0, width - cut_w)
    angle = rng.uniform(-5, 5) * (zoom < 0.85)
    w = int(rng.choice([352, 486, 486, 640, 704]))
    h = int(w * height / width) // 2 * 2
    gamma, contrast, colour = rng.uniform(0.75, 1.3), rng.uniform(0.7, 1.1), rng.uniform(0.5, 1.25)
    soft = float(rng.choice([0, rng.uniform(0.3, 1.3)]))
    grain = float(rng.choice([0, rng.uniform(0.5, 3)]))
    tint = rng.normal(0, 0.03, 3)
    warp = cv2.getRotationMatrix2D((left + cut_w / 2, top + cut_h / 2), angle, w / cut_w)
    warp[0, 2] += w / 2 - left - cut_w / 2
    warp[1, 2] += h / 2 - top - cut_h / 2
    tone = np.clip(((np.arange(256) / 255) ** gamma - 0.5) * contrast + 0.5, 0, 1) * 255

    def see(image: Image) -> Image:
        way = cv2.INTER_AREA if w < cut_w else cv2.INTER_LINEAR
        seen = cv2.warpAffine(image, warp, (w, h), flags=way, borderMode=cv2.BORDER_REFLECT_101)
        toned = tone[seen[:, ::-1] if flip else seen]
        flat = toned.mean(axis=2, keepdims=True)
        coloured = np.abs(toned - flat).mean() > 2.5
        toned = (flat + (toned - flat) * colour) * ((1 + tint) if coloured else 1)
        if soft:
            toned = cv2.GaussianBlur(toned, (0, 0), soft)
        return clipped(toned + rng.normal(0, grain, (h, w))[..., None])

    return see


SHARES: dict[str, float] = {
    "blurred": 0.16,
    "lit": 0.05,
    "color_cast": 0.08,
    "color_loss": 0.04,
    "noise": 0.06,
    "stripes": 0.09,
    "occluded": 0.22,
    "scene_shift": 0.17,
    "corrupt": 0.13,
}
"""How often a fault is made. "lit" names no kind: it teaches the others what they are not."""
_SIMPLE = {
    "blurred": blurred,
    "lit": lit,
    "color_cast": tinted,
    "color_loss": grey,
    "noise": noisy,
    "stripes": striped,
}
_STARVED = 0.3
"""Of made normal pictures: encoded at so low a rate that blocks show. That is no damage."""
_WEATHER = frozenset({"fog", "fog_real", "rain", "snowfall", "glare", "static"})


@dataclass(frozen=True, slots=True)
class Scene:
    """A place: its normal pairs as (mode, kind of hard normal, two images), and references by mode."""

    name: str
    normals: Sequence[tuple[str, str | None, list[Image]]]
    references: Mapping[str, list[Image]]


def made_cameras(
    scene: Scene, others: Sequence[Scene], cameras: int, seed: int, *, known: bool = True
) -> Iterator[tuple[int, dict[str, list[bytes]], list[MadeSample]]]:
    """(number, references as streams by mode, samples) of each; number 0 is the scene as it is.

    `known`: the scene's own normal pairs are samples elsewhere, only faults are put on them here.
    """
    height, width = scene.normals[0][2][0].shape[:2]
    for number in range(cameras):
        rng = np.random.default_rng([seed, number])
        see = _camera(rng, height, width) if number else (lambda image: image)
        references = {
            mode: encode([see(image) for image in images], qp=int(rng.integers(24, 30)))
            for mode, images in scene.references.items()
        }
        samples = []
        for mode, hard, images in scene.normals:
            pair = [see(image) for image in images]
            for kind in _wanted(rng, mode, hard, made=number > 0 or not known):
                found = _faulty(rng, kind, pair, mode, scene, others, see)
                if found is None:
                    continue
                (shown, severity, tolerate), also = found
                learnt = set(references)
                chance = rng.random()
                if chance < 0.07:
                    learnt.clear()
                elif chance < 0.16:
                    learnt.discard(mode)
                qp = int(rng.integers(25, 34))
                label: str | None
                if kind is None and hard is None and rng.random() < _STARVED:
                    qp, label = int(rng.integers(37, 43)), "lowbitrate"
                else:
                    label = hard or ("lit" if kind == "lit" else None)
                samples.append(
                    MadeSample(
                        camera=number,
                        mode=mode,
                        units=encode(shown, qp=qp),
                        faults=[kind] if kind and kind != "lit" else [],
                        severity=severity,
                        tolerate=[
                            *tolerate,
                            *(["over_exposed", "under_exposed", "signal_lost"] * (kind == "lit")),
                        ],
                        hard=label,
                        known=frozenset(learnt),
                        also=also,
                    )
                )
        yield number, references, samples


def _wanted(rng: Rng, mode: str, hard: str | None, *, made: bool) -> list[str | None]:
    """Kinds of fault to put on a normal pair; None: the pair as it is, if the camera is a made one."""
    shares = dict(SHARES)
    if mode in ("ir", "mono"):
        shares["color_cast"] = 0
    if mode != "day":
        shares["color_loss"] = 0
    weights = np.array(list(shares.values()))
    count = 2 if hard in _WEATHER else 4
    chosen = rng.choice(list(shares), count, replace=False, p=weights / weights.sum())
    return [None] * made + [str(kind) for kind in chosen]


def _faulty(
    rng: Rng,
    kind: str | None,
    pair: list[Image],
    mode: str,
    scene: Scene,
    others: Sequence[Scene],
    see: Callable[[Image], Image],
) -> tuple[Faulty, str | None] | None:
    if kind is None:
        return (pair, 0, []), None
    colourless = mode in ("ir", "mono")
    if kind == "occluded":
        return covered(rng, pair, colourless), None
    if kind == "corrupt":
        same = [images for m, _, images in scene.normals if m == mode]
        prior = (
            see(same[int(rng.integers(len(same)))][0]) if rng.random() < 0.5 else pair[int(rng.integers(2))]
        )
        found = damaged(rng, pair, prior)
        return None if found is None else (found, None)
    if kind == "scene_shift":
        views: list[tuple[str, Any]] = [
            (each.name, images)
            for each in others
            for m, hard, images in each.normals
            if (m in ("ir", "mono")) == colourless and not hard
        ]
        name, view = views[int(rng.integers(len(views)))]
        out = turned(rng, pair, view)
        return out, name if out[1] == 3 else None
    return _SIMPLE[kind](rng, pair), None
