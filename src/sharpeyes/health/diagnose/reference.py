"""What is normal for a camera, learned from its own pictures, one reference per mode (day, ir, night).

A reference holds no picture: an orientation field, an 80x45 thumbnail, a few hundred marks and block
statistics. It is learned with medians, so that a vehicle in some of the pictures leaves no trace. When an
operator accepts a new view, learn again from pictures of the new view and replace it.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from tokenize import TokenError
from typing import Literal
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.health.diagnose.features import (
    Look,
    Map,
    block_means,
    halved,
    length,
    median,
    percentiles,
    product,
)
from sharpeyes.health.diagnose.marks import SCALES, choose
from sharpeyes.health.diagnose.picture import HEIGHT, WIDTH, Picture

Mode = Literal["day", "ir", "night", "mono"]
MODES: tuple[Mode, ...] = ("day", "ir", "night", "mono")

FORMAT = 5
"""Changes with what is kept, and with how pictures are decoded: what was learnt otherwise is learnt anew."""
_DAMAGED = (
    *(OSError, LookupError, EOFError, ValueError, TypeError, AttributeError),
    *(BadZipFile, zlib.error, SyntaxError, TokenError),
)
"""What reading raises where the bytes are of another version, or a disk has spoilt them."""
_LIKE_DAY, _LIKE_IR = 0.8, 0.015
"""Correlation with the place by day, and how much more that is than with the place under infrared light, from
which a grey picture is one of the day. Of 252 grey pictures of the public set none under infrared is, and all
23 that have lost their colour are."""
_EDGE_FLOOR = 0.05
"""Mean persistence below which a block has no edges worth asking for."""


@dataclass(frozen=True, eq=False)
class ModeReference:
    """The normal of one camera in one mode.

    field (180, 320, 2) float32: the mean orientation field; its length is the persistence 0-1.
    thumb (45, 80, 3) and thumb_spread: median and median deviation of the thumbnails.
    thumb_low, thumb_high (45, 80, 3): the range of the learned thumbnails, the luma as `change` has it.
    faint (90, 160, 2) float32: the mean field of weak, coarse structure.
    usual_agreement, agreement_spread (9, 16): leave-one-out agreement of the learned pictures with the field.
    usual_faint, faint_spread (9, 16): the same of the faint field.
    marks: (n, 3) of each of three scales: row, column and height of what stands out.
    values: name -> (median, spread) of single-picture measurements; the camera's normal range.
    profiles: name -> median array of larger single-picture measurements (spectrum, profiles, blocks).
    """

    mode: str
    learned_ms: int
    pictures: int
    field: Map
    faint: Map
    thumb: Map
    thumb_spread: Map
    thumb_low: Map
    thumb_high: Map
    usual_agreement: Map
    agreement_spread: Map
    usual_faint: Map
    faint_spread: Map
    marks: tuple[Map, ...]
    values: Mapping[str, tuple[float, float]]
    profiles: Mapping[str, NDArray[np.float32]]

    @cached_property
    def persistence(self) -> Map:
        return length(self.field)

    @cached_property
    def persistence_blocks(self) -> Map:
        return block_means(self.persistence)

    @cached_property
    def quarter_field(self) -> Map:
        return halved(self.field)

    @cached_property
    def edges(self) -> NDArray[np.bool_]:
        """(360, 640): the persistent edges at full size."""
        return np.asarray(
            cv2.resize(self.persistence, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST) > 0.4
        )

    def faint_agreement(self, faint: Map) -> Map:
        """(9, 16): cosine of a picture's faint field with the usual one."""
        return faint_agreement(faint, self.faint)

    def agreement(self, field: Map) -> Map:
        """(9, 16): how much of the persistent edges a picture's field shows; NaN where there are none."""
        return _agreement(field, self.field, self.persistence_blocks)

    def change(self, thumb: Map) -> Map:
        """A thumbnail less the normal one. Gain and offset of the luma are fitted robustly first."""
        return _change(thumb, self.thumb)

    def beyond(self, change: Map) -> tuple[Map, Map]:
        """(45, 80) each: how far a change goes beyond the learned pictures' range, luma and chroma."""
        out = np.maximum(change - (self.thumb_high - self.thumb), (self.thumb_low - self.thumb) - change)
        y, u, v = cv2.split(np.maximum(out, 0))
        return np.asarray(y, np.float32), np.asarray(np.sqrt(u * u + v * v), np.float32)

    def to_bytes(self) -> bytes:
        """Deflated npz, some 200 KB; the field is kept in eight bits."""
        names = sorted(self.values)
        arrays: dict[str, NDArray[np.generic]] = {
            "format": np.array(FORMAT),
            "mode": np.array(self.mode),
            "learned_ms": np.array(self.learned_ms),
            "pictures": np.array(self.pictures),
            "field": np.round(self.field * 127).astype(np.int8),
            "faint": np.round(self.faint * 127).astype(np.int8),
            "names": np.array(names),
            "values": np.array([self.values[name] for name in names], np.float64).reshape(-1, 2),
        }
        for scale, marks in enumerate(self.marks):
            arrays[f"marks_{scale}"] = marks.astype(np.float16)
        for name in _SIMPLE:
            arrays[name] = getattr(self, name).astype(np.float16)
        for name, profile in self.profiles.items():
            arrays[f"profile_{name}"] = profile.astype(np.float16)
        out = io.BytesIO()
        np.savez_compressed(out, allow_pickle=False, **arrays)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> ModeReference:
        """Raises ValueError when the bytes are no reference of this format."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as kept:
                if int(kept["format"]) != FORMAT:
                    raise ValueError(
                        f"reference of format {int(kept['format'])}; this version reads {FORMAT}"
                    )
                pairs = kept["values"]
                simple = {f.name: kept[f.name].astype(np.float32) for f in fields(cls) if f.name in _SIMPLE}
                return cls(
                    mode=str(kept["mode"]),
                    learned_ms=int(kept["learned_ms"]),
                    pictures=int(kept["pictures"]),
                    field=kept["field"].astype(np.float32) / 127,
                    faint=kept["faint"].astype(np.float32) / 127,
                    marks=tuple(kept[f"marks_{i}"].astype(np.float32) for i in range(len(SCALES))),
                    values={
                        str(n): (float(p[0]), float(p[1])) for n, p in zip(kept["names"], pairs, strict=True)
                    },
                    profiles={
                        name.removeprefix("profile_"): kept[name].astype(np.float32)
                        for name in kept.files
                        if name.startswith("profile_")
                    },
                    **simple,
                )
        except _DAMAGED as error:
            raise ValueError(f"not a camera reference: {error}") from error


_SIMPLE = (
    "thumb",
    "thumb_spread",
    "thumb_low",
    "thumb_high",
    "usual_agreement",
    "agreement_spread",
    "usual_faint",
    "faint_spread",
)


def _change(thumb: Map, usual: Map) -> Map:
    mine, theirs = thumb[..., 0].ravel(), usual[..., 0].ravel()
    low, high = percentiles(theirs, (20, 80))
    is_low, is_high = theirs <= low, theirs >= high
    dark, bright = float(median(mine[is_low])), float(median(mine[is_high]))
    usual_dark, usual_bright = float(median(theirs[is_low])), float(median(theirs[is_high]))
    gain = (bright - dark) / max(usual_bright - usual_dark, 8.0)
    gain = min(max(gain, 0.3), 2.0)
    offset = float(median(mine - gain * theirs))
    out = thumb - usual
    out[..., 0] = thumb[..., 0] - (gain * usual[..., 0] + offset)
    return np.asarray(out, np.float32)


def _agreement(field: Map, usual: Map, persistence_blocks: Map) -> Map:
    dot = block_means(product(field, usual))
    with np.errstate(divide="ignore", invalid="ignore"):
        out = dot / persistence_blocks
    out[persistence_blocks < _EDGE_FLOOR] = np.nan
    return np.asarray(out, np.float32)


def faint_agreement(one: Map, other: Map) -> Map:
    dot = block_means(product(one, other))
    sizes = block_means(product(one, one)) * block_means(product(other, other))
    return np.asarray(dot / np.sqrt(sizes + 1e-4), np.float32)


def robust(values: NDArray[np.floating]) -> tuple[float, float]:
    """Median and spread (1.48 median absolute deviations) of what is finite; (nan, nan) of nothing."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return float("nan"), float("nan")
    middle = float(median(finite))
    return middle, float(1.4826 * median(np.abs(finite - middle)))


def learn(pictures: Sequence[Picture], mode: str, *, learned_ms: int = 0) -> ModeReference:
    """Learn a mode's normal from three or more normal pictures, best eight or more at different hours.

    Fewer are accepted (an operator may give one); the normal range is then a guess from one picture.
    Raises ValueError for none.
    """
    if not pictures:
        raise ValueError("a reference needs at least one picture")
    looks = [Look(picture) for picture in pictures]
    stack = np.stack([look.field for look in looks])
    total = stack.sum(axis=0)
    field = total / len(looks)
    loo, cosines = [], []
    for each in stack:
        others = (total - each) / (len(looks) - 1) if len(looks) > 1 else field
        strength = block_means(np.asarray(np.hypot(others[..., 0], others[..., 1]), np.float32))
        sizes = np.hypot(each[..., 0], each[..., 1]) * np.hypot(others[..., 0], others[..., 1])
        cosines.append(float((each * others).sum() / (sizes.sum() + 1)))
        loo.append(_agreement(each, others, strength))
    agreements = np.stack(loo)
    faints = np.stack([look.faint for look in looks])
    all_faint = faints.sum(axis=0)
    lone = [
        faint_agreement(each, (all_faint - each) / (len(looks) - 1) if len(looks) > 1 else each)
        for each in faints
    ]
    usual_faint = np.median(lone, axis=0)
    thumbs = np.stack([look.thumb for look in looks])
    thumb = np.median(thumbs, axis=0)
    changes = np.stack([_change(each, np.asarray(thumb, np.float32)) for each in thumbs])
    shifts = np.median((thumbs - thumb)[:, 5:-5, :, 1:].reshape(len(looks), -1, 2), axis=1)
    wander = float(np.sort(np.hypot(shifts[:, 0], shifts[:, 1]))[-2:].mean())
    agreements = np.where(np.isfinite(agreements), agreements, 0)
    usual = np.median(agreements, axis=0)
    chosen = [choose([look.bands[scale] for look in looks], scale) for scale in range(len(SCALES))]
    measured = [look.measured for look in looks]
    profiles = [look.profiled for look in looks]
    return ModeReference(
        mode=mode,
        learned_ms=learned_ms,
        pictures=len(looks),
        field=np.asarray(field, np.float32),
        faint=np.asarray(all_faint / len(looks), np.float32),
        usual_faint=np.asarray(usual_faint, np.float32),
        faint_spread=np.asarray(1.4826 * np.median(np.abs(lone - usual_faint), axis=0), np.float32),
        thumb=np.asarray(thumb, np.float32),
        thumb_spread=np.asarray(1.4826 * np.median(np.abs(thumbs - thumb), axis=0), np.float32),
        thumb_low=np.asarray(thumb + changes.min(axis=0), np.float32),
        thumb_high=np.asarray(thumb + changes.max(axis=0), np.float32),
        usual_agreement=np.asarray(usual, np.float32),
        agreement_spread=np.asarray(1.4826 * np.median(np.abs(agreements - usual), axis=0), np.float32),
        marks=tuple(marks for marks, _ in chosen),
        values={name: robust(np.array([m[name] for m in measured])) for name in measured[0]}
        | {f"mark_{name}": robust(np.array(own)) for name, (_, own) in zip(SCALES, chosen, strict=True)}
        | {"field_cosine": robust(np.array(cosines)), "colour_wander": (wander, 0.0)},
        profiles={
            name: np.asarray(np.median(np.stack([p[name] for p in profiles]), axis=0), np.float32)
            for name in profiles[0]
        },
    )


def choose_mode(picture: Picture, references: Mapping[str, ModeReference], hint: str | None = None) -> str:
    """The mode of a picture: the hint (the hour, or what the camera says) if given, else by its look.

    A camera that only ever shows grey has one mode, `mono`. Grey is infrared light, unless the place is lit
    as it is by day: then the colour is gone, or there is none to see.
    """
    if hint is not None:
        return hint
    if set(references) == {"mono"}:
        return "mono"
    look = Look(picture)
    if look.is_grey:
        return "day" if _is_lit_as_by_day(look, references) else "ir"
    is_dark = cv2.mean(picture.y)[0] < 55 and float((picture.y < 45).mean()) >= 0.5
    return "night" if is_dark else "day"


def _is_lit_as_by_day(look: Look, references: Mapping[str, ModeReference]) -> bool:
    """The lamp at the camera leaves the sky black and what is far away dim: where both modes are known, the
    picture is more like one of them."""
    if not {"day", "ir"} <= references.keys():
        return False
    luma = look.thumb_planes[0]
    day, ir = (_likeness(luma, references[mode].thumb[..., 0]) for mode in ("day", "ir"))
    return day > _LIKE_DAY and day - ir > _LIKE_IR


def _likeness(luma: Map, usual: Map) -> float:
    """Correlation, -1 to 1."""
    return float(cv2.matchTemplate(luma, np.ascontiguousarray(usual), cv2.TM_CCOEFF_NORMED)[0, 0])
