"""A cheap look at a keyframe against the camera's own normal: plainly normal, or are full checks needed?

It never finds a fault, it only spares the full checks where they could find none. Each value is a
cheap relative of what a full check measures, and all must be well inside the camera's normal. Without a
reference of the mode nothing is plainly normal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.health.diagnose.features import QUARTER, Map
from sharpeyes.health.diagnose.picture import Picture

_STRIPS = tuple(slice(top, top + 12) for top in (60, 132, 204, 276))
_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_BLOCKS = (16, 9)

_OWN_SHARE = 0.8
"""How much of what the camera's own normal pictures differ by is allowed on top of a limit."""

LIMITS: dict[str, float] = {
    "shift": 31.3,
    "white": 0.1,
    "dark": 1.5,
    "local": 0.23,
    "colour": 1.4,
    "colour_local": 0.0066,
    "colour_loss": 0.265,
    "lost": 0.034,
    "lost_mean": 0.066,
    "noise": 0.27,
    "calm": 0.41,
    "rich": 1.08,
    "dull": 0.118,
    "soft": 0.99,
    "specks": 0.001,
    "rows": 7.6,
    "columns": 31.4,
    "green": 0.0,
    "same": 0.33,
    "drift": 0.0,
}
"""Set so that no sample of the development set in which the full checks find a fault is called
plainly normal, then tightened by 3 %."""
_FIXED = frozenset({"specks", "green", "same", "drift"})
"""Values that a camera's own habits do not excuse."""


@dataclass(frozen=True, eq=False)
class Glance:
    """The cheap values of one picture."""

    quarter: NDArray[np.uint8]
    chroma: NDArray[np.float32]
    field: Map
    strips: NDArray[np.uint8]
    noise: float
    detail: float
    specks: float

    @classmethod
    def at(cls, picture: Picture) -> Glance:
        quarter = np.asarray(cv2.resize(picture.y, QUARTER, interpolation=cv2.INTER_AREA), np.uint8)
        size = (40, 22)
        u = cv2.resize(picture.u, size, interpolation=cv2.INTER_AREA)
        v = cv2.resize(picture.v, size, interpolation=cv2.INTER_AREA)
        gx = cv2.Sobel(quarter, cv2.CV_32F, 1, 0, scale=1 / 8)
        gy = cv2.Sobel(quarter, cv2.CV_32F, 0, 1, scale=1 / 8)
        xx, yy = gx * gx, gy * gy
        weight = 1 / (xx + yy + 9.0)
        strips = np.concatenate([picture.y[rows] for rows in _STRIPS])
        fine = cv2.convertScaleAbs(cv2.filter2D(strips, cv2.CV_16S, _MASK))
        levels = np.sort(fine.reshape(-1, 32).mean(axis=1))
        return cls(
            quarter,
            np.asarray(cv2.merge([u, v]), np.float32) - 128,
            np.asarray(cv2.merge([(xx - yy) * weight, 2 * gx * gy * weight]), np.float32),
            strips,
            float(levels[len(levels) // 4]),
            float(cv2.absdiff(strips[:, 1:], strips[:, :-1]).mean()),
            float((cv2.absdiff(strips, cv2.medianBlur(strips, 3)) > 30).mean()),
        )


@dataclass(frozen=True, eq=False)
class Normal:
    """What a glance is held against; part of a reference, learned from the same pictures."""

    luma: Map
    luma_spread: Map
    chroma: Map
    field: Map
    agreement: Map
    strength: Map
    noise: float
    detail: float
    specks: float
    own: Mapping[str, float]
    """The second largest of each value over the learned pictures, each held against the others."""


def learn_normal(pictures: Sequence[Picture]) -> Normal:
    """From the pictures of a reference, or from the last hour's pictures that passed the full checks."""
    glances = [Glance.at(picture) for picture in pictures]
    normal = _normal(glances, {})
    if len(glances) < 3:
        return normal
    values = [cheap_values(None, g, _normal([o for o in glances if o is not g], {})) for g in glances]
    return replace(normal, own={name: sorted(v[name] for v in values)[-2] for name in values[0]})


def _normal(glances: Sequence[Glance], own: Mapping[str, float]) -> Normal:
    luma = np.stack([_small(g.quarter) for g in glances])
    fields = np.stack([g.field for g in glances])
    mean = fields.mean(axis=0)
    middle = np.median(luma, axis=0)
    usual = []
    for g in glances:
        others = (fields.sum(axis=0) - g.field) / max(len(glances) - 1, 1)
        usual.append(_agree(g.field, others))
    strength = _blocks(np.hypot(mean[..., 0], mean[..., 1]))
    return Normal(
        np.asarray(middle, np.float32),
        np.asarray(np.median(np.abs(luma - middle), axis=0) * 1.4826, np.float32),
        np.asarray(np.median(np.stack([g.chroma for g in glances]), axis=0), np.float32),
        np.asarray(mean, np.float32),
        np.asarray(np.median(np.stack(usual), axis=0), np.float32),
        strength,
        float(np.median([g.noise for g in glances])),
        float(np.median([g.detail for g in glances])),
        float(np.median([g.specks for g in glances])),
        own,
    )


def _small(quarter: NDArray[np.uint8]) -> Map:
    return np.asarray(cv2.resize(quarter, (40, 22), interpolation=cv2.INTER_AREA), np.float32)


def _blocks(plane: NDArray[np.floating]) -> Map:
    return np.asarray(
        cv2.resize(np.asarray(plane, np.float32), _BLOCKS, interpolation=cv2.INTER_AREA), np.float32
    )


def _agree(field: Map, usual: Map) -> Map:
    dot = _blocks(field[..., 0] * usual[..., 0] + field[..., 1] * usual[..., 1])
    return np.asarray(dot / (_blocks(np.hypot(usual[..., 0], usual[..., 1])) + 0.02), np.float32)


def cheap_values(before: Glance | None, after: Glance, normal: Normal) -> dict[str, float]:
    """How far a picture is from normal, each value 0 at best."""
    luma = _small(after.quarter)
    change = luma - normal.luma
    shift = float(np.median(change))
    local = np.abs(change - shift) / (2 * normal.luma_spread + 8)
    colour = after.chroma - normal.chroma
    loss = np.clip(normal.agreement - _agree(after.field, normal.field), 0, None) * (normal.strength > 0.05)
    size = np.hypot(colour[..., 0], colour[..., 1])
    usual_colour = float(np.hypot(normal.chroma[..., 0], normal.chroma[..., 1]).mean())
    out = {
        "shift": abs(shift),
        "white": float((luma > 200).mean() - (normal.luma > 200).mean()),
        "dark": 100 - float(np.sort(luma.ravel())[-40]),
        "local": float((local > 1).mean()),
        "colour": float(np.hypot(*np.median(colour.reshape(-1, 2), axis=0))),
        "colour_local": float((size > 8).mean()),
        "colour_loss": 1
        - (float(np.hypot(after.chroma[..., 0], after.chroma[..., 1]).mean()) + 1) / (usual_colour + 1),
        "lost": float((loss > 0.35).mean()),
        "lost_mean": float(loss.mean()),
        "noise": float(np.log((after.noise + 0.3) / (normal.noise + 0.3))),
        "calm": -float(np.log((after.noise + 0.3) / (normal.noise + 0.3))),
        "rich": float(np.log((after.detail + 0.3) / (normal.detail + 0.3))),
        "dull": -float(np.log((after.detail + 0.3) / (normal.detail + 0.3))),
        "soft": -float(
            np.log((after.noise + 0.3) / (after.detail + 0.3) * (normal.detail + 0.3) / (normal.noise + 0.3))
        ),
        "specks": after.specks - normal.specks,
        "rows": float(np.abs(np.median(change - cv2.blur(change, (1, 7)), axis=1)).max()),
        "columns": float(np.abs(np.median(change - cv2.blur(change, (7, 1)), axis=0)).max()),
        "green": float(((after.chroma[..., 0] < -28) & (after.chroma[..., 1] < -34)).sum()),
        "same": 1.0,
        "drift": 0.0,
    }
    if before is not None:
        difference = after.strips.astype(np.int16) - before.strips
        out["same"] = float((difference == 0).mean())
        out["drift"] = float(0.15 < -difference.mean() < 0.7)
    return out


@dataclass(frozen=True, slots=True)
class Screening:
    """`plain`: the full checks would find nothing. `beyond`: the values that say otherwise."""

    plain: bool
    beyond: tuple[str, ...]


def screen(before: Glance | None, after: Glance, normal: Normal | None) -> Screening:
    """Is a pair of keyframes plainly normal? Keep a keyframe's glance: it is `before` of the next.

    Without an earlier keyframe a frozen picture cannot be ruled out, so the answer is no.
    """
    if normal is None:
        return Screening(False, ("no reference",))
    if before is None:
        return Screening(False, ("no earlier keyframe",))
    values = cheap_values(before, after, normal)
    earlier = cheap_values(None, before, normal)
    beyond = []
    for name, limit in LIMITS.items():
        value = values[name] if name in ("same", "drift") else max(values[name], earlier[name])
        allowed = limit if name in _FIXED else limit + _OWN_SHARE * max(normal.own.get(name, 0.0), 0.0)
        if value > allowed:
            beyond.append(name)
    return Screening(not beyond, tuple(beyond))
