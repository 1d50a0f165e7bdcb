"""Places drawn by code, in all weathers: more kinds of place to train on than any set has (development only).

A bare road, a wall, a forest through the seasons, water, a staircase: where a camera sees little, or sees
something else every day, or a pattern of its own, checks go wrong first. Each place gives what a
:class:`~sharpeyes.health.diagnose.made.Scene` wants: normal pairs in three modes, among them fog, rain, snow,
glare, headlights, shadows, vehicles, wind and lamps switched on, and references. Same seed, same pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.health.diagnose.made import Image, Plane, Rng, Scene, clipped, cloud

DRAWN = "drawn-"
"""How the names of drawn places begin."""
WIDTH, HEIGHT = 486, 272
Colour = NDArray[np.float32]
"""(HEIGHT, WIDTH, 3) float32, BGR, 0-255."""

_Y, _X = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)


@dataclass
class Place:
    """`still` is what stands there. `restless` (0-1) is where leaves or water move; `leaf` colours it, one of
    them a season. `lanes`: (y, height of a mover) where something passes. `mono`: no colour, ever."""

    still: Colour
    restless: Plane
    leaf: list[Colour] = field(default_factory=list)
    lanes: list[tuple[float, float]] = field(default_factory=list)
    size: float = 4.0
    """Of what is restless, in pixels."""
    strength: float = 0.3
    mono: bool = False


# --- places ---------------------------------------------------------------------------------------------


def _even(*bgr: float) -> Colour:
    return np.broadcast_to(np.array(bgr, np.float32), (HEIGHT, WIDTH, 3)).copy()


def _grain(rng: Rng, first: float, last: float) -> Plane:
    """Relief of several sizes from `first` to `last` pixels, about -1..1."""
    out, size = np.zeros((HEIGHT, WIDTH), np.float32), first
    while size >= last:
        out += cloud(rng, HEIGHT, WIDTH, size) * np.float32(rng.uniform(0.5, 1.0))
        size /= 2.2
    return np.asarray(out / (np.abs(out).mean() * 2.5 + 1e-6), np.float32)


def _nothing() -> Plane:
    return np.zeros((HEIGHT, WIDTH), np.float32)


def _ground(rng: Rng) -> Colour:
    level = rng.uniform(55, 200)
    tone = level * (1 + rng.normal(0, 0.06, 3))
    relief = _grain(rng, 160, 1.5) * np.float32(rng.uniform(0.03, 0.14))
    slope = 1 + (_Y / HEIGHT - 0.5) * rng.uniform(-0.4, 0.4) + (_X / WIDTH - 0.5) * rng.uniform(-0.3, 0.3)
    return np.asarray(tone * (slope * (1 + relief))[..., None], np.float32)


def _corner(x: float, y: float) -> tuple[int, int]:
    return int(x), int(y)


def _bare(rng: Rng) -> Place:
    """Asphalt, sand, snow or a wall: hardly an edge."""
    still = _ground(rng)
    for _ in range(int(rng.integers(0, 5))):
        a, b = rng.uniform(0, WIDTH, 2), rng.uniform(0, HEIGHT, 2)
        tone = float(still.mean()) * rng.uniform(0.75, 1.3)
        cv2.line(
            still, _corner(a[0], b[0]), _corner(a[1], b[1]), (tone,) * 3, int(rng.integers(1, 4)), cv2.LINE_AA
        )
    for _ in range(int(rng.integers(0, 40))):
        at = _corner(rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT))
        tone = float(still.mean()) * rng.uniform(0.6, 1.6)
        cv2.circle(still, at, int(rng.integers(1, 3)), (tone,) * 3, -1, cv2.LINE_AA)
    still = cv2.GaussianBlur(still, (0, 0), rng.uniform(0.5, 1.6)).astype(np.float32)
    return Place(still, _nothing(), lanes=[(HEIGHT * rng.uniform(0.3, 0.8), HEIGHT * rng.uniform(0.3, 0.5))])


def _road(rng: Rng) -> Place:
    still = _ground(rng)
    vanish, horizon = rng.uniform(0.2, 0.8) * WIDTH, rng.uniform(-0.3, 0.35) * HEIGHT
    verge = np.array([rng.uniform(30, 90), rng.uniform(70, 130), rng.uniform(50, 110)], np.float32)
    half = rng.uniform(0.35, 0.8)
    reach = (_Y - horizon) / HEIGHT
    outside = np.abs(_X - vanish) > half * WIDTH * reach
    still[outside] = (verge * (1 + 0.35 * _grain(rng, 30, 1.5))[..., None])[outside]
    for lane in np.linspace(-half, half, int(rng.integers(3, 7))):
        dashed = rng.random() < 0.6 and abs(lane) < half * 0.9
        for k in range(0, 40, 2 if dashed else 1):
            ends = [horizon + (HEIGHT - horizon) * min((q / 40) ** 1.5, 1.0) for q in (k, k + 1.1)]
            points = [_corner(vanish + lane * WIDTH * (y - horizon) / HEIGHT, y) for y in ends]
            thick = max(1, int(5 * (ends[0] - horizon) / HEIGHT))
            cv2.line(still, points[0], points[1], (rng.uniform(185, 225),) * 3, thick, cv2.LINE_AA)
    if horizon > 0:
        still[horizon > _Y] = _sky(rng)[horizon > _Y]
    lanes = [(HEIGHT * q, HEIGHT * (0.06 + 0.25 * q**2)) for q in rng.uniform(0.35, 0.9, 3)]
    return Place(still, _nothing(), lanes=lanes)


def _sky(rng: Rng) -> Colour:
    level = rng.uniform(150, 235)
    tone = np.array([level * rng.uniform(1.0, 1.15), level, level * rng.uniform(0.85, 1.0)], np.float32)
    return np.asarray(tone * (1 + 0.05 * _grain(rng, 200, 40))[..., None], np.float32)


def _street(rng: Rng) -> Place:
    place = _road(rng)
    still, horizon = place.still, int(rng.uniform(0.25, 0.5) * HEIGHT)
    still[:horizon] = _sky(rng)[:horizon]
    x = int(rng.uniform(-60, 0))
    while x < WIDTH:
        w, top = int(rng.uniform(40, 130)), int(rng.uniform(-40, horizon * 0.8))
        tone = rng.uniform(50, 190) * (1 + rng.normal(0, 0.1, 3))
        cv2.rectangle(still, (x, top), (x + w, horizon + int(rng.uniform(0, 30))), tone.tolist(), -1)
        step_x, step_y = int(rng.uniform(10, 24)), int(rng.uniform(12, 26))
        dark = (tone * rng.uniform(0.4, 0.75)).tolist()
        for wx in range(x + 5, x + w - 8, step_x):
            for wy in range(max(top, 0) + 5, horizon - 8, step_y):
                cv2.rectangle(still, (wx, wy), (wx + step_x // 2, wy + step_y // 2), dark, -1)
        x += w + int(rng.uniform(-5, 40))
    leaf = []
    restless = _nothing()
    if rng.random() < 0.6:
        restless = _blobs(rng, int(rng.integers(1, 4)))
        leaf = _leaves(rng)
    for _ in range(int(rng.integers(1, 5))):
        px, thick = int(rng.uniform(0, WIDTH)), int(rng.integers(1, 6))
        cv2.line(
            still,
            (px, int(rng.uniform(0, 90))),
            (px, int(rng.uniform(150, HEIGHT))),
            (rng.uniform(20, 200),) * 3,
            thick,
        )
    still = cv2.GaussianBlur(still, (0, 0), rng.uniform(0.4, 1.0)).astype(np.float32)
    return Place(still, restless, leaf, place.lanes, strength=0.35)


def _blobs(rng: Rng, count: int) -> Plane:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(count):
        centre = _corner(rng.uniform(0, WIDTH), rng.uniform(0.1, 0.8) * HEIGHT)
        axes = _corner(rng.uniform(25, 90), rng.uniform(20, 70))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    rough = mask.astype(np.float32) + 0.5 * _grain(rng, 25, 4) * (
        cv2.blur(mask.astype(np.float32), (25, 25)) > 0.05
    )
    return np.asarray(cv2.GaussianBlur((rough > 0.5).astype(np.float32), (0, 0), 0.8), np.float32)


def _leaves(rng: Rng) -> list[Colour]:
    """Winter, spring, summer, autumn."""
    tones = [(70, 85, 105), (60, 125, 110), (45, 95, 70), (50, 95, 150)]
    level = rng.uniform(0.6, 1.3)
    return [_even(*(np.array(tone) * level * rng.uniform(0.85, 1.15))) for tone in tones]


def _forest(rng: Rng) -> Place:
    still = _ground(rng)
    horizon = rng.uniform(-0.1, 0.4) * HEIGHT + 8 * _grain(rng, 120, 8)
    if rng.random() < 0.4:
        still[horizon > _Y] = _sky(rng)[horizon > _Y]
    else:
        horizon = horizon - HEIGHT
    restless = np.asarray(cv2.GaussianBlur((horizon <= _Y).astype(np.float32), (0, 0), 1), np.float32)
    if rng.random() < 0.3:
        restless *= np.clip(0.5 + 2 * _grain(rng, 120, 10), 0, 1)
    return Place(still, restless, _leaves(rng), size=rng.uniform(4, 16), strength=rng.uniform(0.25, 0.6))


def _water(rng: Rng) -> Place:
    still = _sky(rng)
    shore = rng.uniform(0.15, 0.5) * HEIGHT
    bank = shore - np.abs(20 * _grain(rng, 90, 8)) * rng.uniform(0.3, 1)
    still[bank < _Y] = (np.array([60, 80, 75]) * (1 + 0.4 * _grain(rng, 12, 2))[..., None])[bank < _Y]
    wet = np.asarray((shore < _Y).astype(np.float32), np.float32)
    tone = rng.uniform(60, 150)
    return Place(
        np.asarray(still, np.float32),
        wet,
        [_even(tone * 1.1, tone, tone * 0.9)],
        size=rng.uniform(3, 10),
        strength=rng.uniform(0.08, 0.3),
    )


def _room(rng: Rng) -> Place:
    still = _even(*(rng.uniform(120, 210) * (1 + rng.normal(0, 0.06, 3))))
    still *= (1 + 0.15 * _grain(rng, 260, 60))[..., None]
    floor = int(rng.uniform(0.5, 0.85) * HEIGHT)
    wood = np.array([rng.uniform(40, 120), rng.uniform(60, 130), rng.uniform(80, 170)], np.float32)
    boards = 1 + 0.12 * np.sign(
        np.sin((_X - WIDTH / 2) / np.maximum(_Y - floor + 60, 1) * rng.uniform(15, 60))
    )
    still[floor:] = (wood * (boards * (1 + 0.08 * _grain(rng, 30, 2)))[..., None])[floor:]
    for _ in range(int(rng.integers(1, 8))):
        a, b = _corner(rng.uniform(-40, WIDTH), rng.uniform(0, floor))
        w, h = _corner(rng.uniform(20, 160), rng.uniform(20, 150))
        tone = rng.uniform(15, 235) * (1 + rng.normal(0, 0.15, 3))
        cv2.rectangle(still, (a, b), (a + w, b + h), tone.tolist(), -1)
        if rng.random() < 0.4:
            cv2.rectangle(
                still, (a + 4, b + 4), (a + w - 4, b + h - 4), (tone * rng.uniform(0.6, 1.3)).tolist(), 2
            )
    still = cv2.GaussianBlur(still, (0, 0), rng.uniform(0.4, 1.2)).astype(np.float32)
    return Place(still, _nothing(), lanes=[(floor, HEIGHT * 0.35)])


def _stairs(rng: Rng) -> Place:
    """A pattern of its own: steps, shutters, fences, blinds."""
    place = _room(rng) if rng.random() < 0.5 else _street(rng)
    still, across = place.still, rng.random() < 0.6
    period, angle = rng.uniform(6, 30), rng.normal(0, 0.12)
    along = (_Y if across else _X) + angle * (_X if across else _Y)
    wave = np.sin(2 * np.pi * along / period) > rng.uniform(-0.7, 0.7)
    left, top = rng.uniform(-0.3, 0.5) * WIDTH, rng.uniform(-0.3, 0.5) * HEIGHT
    w, h = rng.uniform(0.3, 1.3) * WIDTH, rng.uniform(0.3, 1.3) * HEIGHT
    part = (left < _X) & (left + w > _X) & (top < _Y) & (top + h > _Y) & wave
    still[part] *= np.float32(rng.uniform(0.35, 0.8))
    return place


def _trap(rng: Rng) -> Place:
    """Under infrared light only: trunks and litter, dark."""
    still = _even(60, 60, 60) * (1 + 0.7 * _grain(rng, 60, 1.2))[..., None]
    for _ in range(int(rng.integers(2, 7))):
        x, w = rng.uniform(0, WIDTH), rng.uniform(6, 40)
        trunk = (np.abs(_X - x - 0.1 * _Y * rng.normal()) < w) & (rng.uniform(0.4, 1) * HEIGHT > _Y)
        still[trunk] = (rng.uniform(20, 110) * (1 + 0.4 * _grain(rng, 20, 1.5)))[trunk][:, None]
    light = 1.5 - np.hypot(_X / WIDTH - 0.5, _Y / HEIGHT - 0.55) * rng.uniform(0.8, 2)
    return Place(
        np.asarray(np.clip(still * light[..., None], 0, 250), np.float32),
        np.asarray((rng.uniform(0.3, 0.7) * HEIGHT < _Y) * rng.uniform(0, 0.5), np.float32),
        [_even(60, 60, 60)],
        strength=0.4,
        mono=True,
    )


KINDS: tuple[tuple[str, Callable[[Rng], Place]], ...] = (
    ("bare", _bare),
    ("forest", _forest),
    ("street", _street),
    ("stairs", _stairs),
    ("road", _road),
    ("bare", _bare),
    ("room", _room),
    ("trap", _trap),
    ("forest", _forest),
    ("water", _water),
)


# --- pictures of a place --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Hour:
    """What two pictures seconds apart share."""

    season: int
    gain: float
    white: NDArray[np.float64]
    leaves: Plane
    shade: Plane | None


class _Camera:
    """A place as a camera sees it: its light, its noise, its own lamps."""

    def __init__(self, place: Place, rng: Rng) -> None:
        self.place, self.rng = place, rng
        self.noise = rng.uniform(0.5, 2.2)
        self.steady = rng.uniform(0.0, 0.35)
        self.lasting = _grain(rng, place.size * 3, 1.3)
        self.kept = rng.uniform(0.35, 0.9)
        """Part of the leaves' relief that stays from day to day."""
        self.colours = rng.uniform(0.005, 0.03)
        self.fall = 1.15 - rng.uniform(0.3, 0.7) * np.hypot(_X / WIDTH - 0.5, _Y / HEIGHT - 0.5)
        self.glow = _nothing()
        for _ in range(int(rng.integers(1, 5))):
            away = (_X - rng.uniform(0, WIDTH)) ** 2 + (_Y - rng.uniform(0, 0.7) * HEIGHT) ** 2
            self.glow += 150 * np.exp(-away / (2 * (WIDTH * 0.04) ** 2)) + 45 * np.exp(
                -away / (2 * (WIDTH * rng.uniform(0.1, 0.25)) ** 2)
            )

    def hour(self, *, sunny: bool) -> _Hour:
        rng, place = self.rng, self.place
        shade = None
        if sunny and rng.random() < 0.4:
            shade = 1 - _region(rng) * np.float32(rng.uniform(0.1, 0.4))
        leaves = self.kept * self.lasting + (1 - self.kept) * _grain(rng, place.size * 3, 1.3)
        season = int(rng.integers(max(len(place.leaf), 1)))
        return _Hour(season, rng.uniform(0.88, 1.12), 1 + rng.normal(0, self.colours, 3), leaves, shade)

    def look(self, hour: _Hour, mode: str, movers: Sequence[Callable[[Colour], None]] = ()) -> Colour:
        """One picture, before the sensor's noise."""
        rng, place = self.rng, self.place
        seen: NDArray[Any] = place.still
        if place.leaf:
            stir = 0.85 * hour.leaves + 0.15 * _grain(rng, place.size, 1.3)
            leaves = place.leaf[hour.season] * (1 + place.strength * stir)[..., None]
            seen = seen + (leaves - seen) * place.restless[..., None]
        seen = np.ascontiguousarray(np.clip(seen, 0, 255), np.float32)
        for move in movers:
            move(seen)
        if hour.shade is not None and mode == "day":
            seen = seen * hour.shade[..., None]
        if mode == "day":
            return np.asarray(seen * (hour.gain * hour.white), np.float32)
        if mode in ("ir", "mono"):
            grey = seen @ np.array([0.15, 0.45, 0.4], np.float32) * hour.gain
            grey = grey * (self.fall * 0.85) if mode == "ir" else grey
            return np.asarray(np.repeat(grey[..., None], 3, axis=2), np.float32)
        lamps = (seen / 255 * 1.2 + 0.25) * self.glow[..., None] * np.array([0.8, 0.95, 1.05])
        return np.asarray(seen * (0.28 * hour.gain) + lamps, np.float32)

    def sense(self, seen: Colour, mode: str, calm: float = 1.0) -> Image:
        sigma = self.noise * {"day": 1.0, "mono": 1.0, "ir": 1.5, "night": 1.9}[mode] * calm
        moved = self.rng.normal(0, self.steady, 2)
        warp = np.array([[1, 0, moved[0]], [0, 1, moved[1]]], np.float32)
        still = cv2.warpAffine(seen, warp, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)
        return clipped(still + self.rng.normal(0, sigma, (HEIGHT, WIDTH))[..., None])

    def movers(self) -> tuple[list[Callable[[Colour], None]], list[Callable[[Colour], None]]]:
        """What passes, in the first picture and seconds later."""
        first, second = [], []
        for y, size in self.place.lanes:
            if self.rng.random() < 0.55:
                tone = self.rng.uniform(15, 235, 3)
                x, way = self.rng.uniform(-50, WIDTH), self.rng.normal(0, 120)
                first.append(_mover(x, y, size, tone))
                if self.rng.random() < 0.8:
                    second.append(_mover(x + way, y, size, tone))
        return first, second


def _mover(x: float, y: float, size: float, tone: NDArray[np.float64]) -> Callable[[Colour], None]:
    def draw(on: Colour) -> None:
        low, right = _corner(y, x + 1.8 * size)
        cv2.rectangle(on, _corner(x, y - size), (right, low), tone.tolist(), -1)
        pane = _corner(x + 0.25 * size, y - 0.85 * size), _corner(x + 1.4 * size, y - 0.5 * size)
        cv2.rectangle(on, *pane, (tone * 0.4).tolist(), -1)
        for at in (0.35, 1.45):
            cv2.circle(on, _corner(x + at * size, y), max(int(0.17 * size), 1), (15, 15, 15), -1)

    return draw


def _region(rng: Rng) -> Plane:
    """A part of the picture with a soft border, as a shadow has."""
    slope = _X / WIDTH * rng.uniform(-2, 2) + _Y / HEIGHT * rng.uniform(-2, 2)
    relief = cloud(rng, HEIGHT, WIDTH, WIDTH / rng.uniform(1, 4)) * rng.uniform(0, 1) + slope
    mask = relief > np.quantile(relief, rng.uniform(0.3, 0.85))
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), rng.uniform(0.7, 6)), np.float32)


# --- weather --------------------------------------------------------------------------------------------


def _fog(rng: Rng, pair: list[Colour]) -> list[Any]:
    depth = rng.choice([0.3, 0.5, 0.7]) * (rng.uniform(1.0, 1.3) - rng.uniform(0, 0.7) * _Y / HEIGHT)
    depth = np.clip(depth + cloud(rng, HEIGHT, WIDTH, WIDTH / 3) * 0.05, 0, 0.92)[..., None]
    light = rng.uniform(140, 200)
    return [image * (1 - depth) + light * depth for image in pair]


def _drops(rng: Rng, pair: list[Colour], *, snow: bool) -> list[Any]:
    out = []
    for image in pair:
        mask = _nothing()
        for _ in range(int(rng.integers(80, 450))):
            x, y = _corner(rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT))
            size = int(rng.integers(1, 4)) if snow else int(rng.integers(5, 20))
            if snow:
                cv2.circle(mask, (x, y), size, rng.uniform(0.3, 0.9), -1, cv2.LINE_AA)
            else:
                cv2.line(mask, (x, y), (x + size // 5, y + size), rng.uniform(0.1, 0.45), 1, cv2.LINE_AA)
        veil = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.8) if snow else mask)[..., None]
        dull = image if snow else image * 0.92 + 12
        out.append(dull * (1 - veil) + (225 if snow else 200) * veil)
    return out


def _glare(rng: Rng, pair: list[Colour]) -> list[Any]:
    away = (_X - rng.uniform(0, WIDTH)) ** 2 + (_Y - rng.uniform(0, HEIGHT * 0.6)) ** 2
    light = rng.uniform(90, 230) * np.exp(-away / (2 * (WIDTH * rng.uniform(0.08, 0.32)) ** 2))
    return [image + light[..., None] * np.array([0.85, 0.95, 1.0]) for image in pair]


def _headlights(rng: Rng, pair: list[Colour]) -> list[Any]:
    x, y = rng.uniform(0.2, 0.8) * WIDTH, rng.uniform(0.4, 0.9) * HEIGHT
    light = np.zeros((HEIGHT, WIDTH))
    for side in (-0.04, 0.04):
        away = (_X - x - side * WIDTH) ** 2 + (_Y - y) ** 2
        light += 230 * np.exp(-away / (2 * (WIDTH * 0.03) ** 2)) + 70 * np.exp(
            -away / (2 * (WIDTH * 0.12) ** 2)
        )
    before = pair[0] + 0.6 * np.roll(light, 30, 1)[..., None] if rng.random() < 0.5 else pair[0]
    return [before, pair[1] + light[..., None]]


def _shadow(rng: Rng, pair: list[Colour]) -> list[Any]:
    shade = 1 - _region(rng)[..., None] * rng.uniform(0.35, 0.65)
    return [image * shade for image in pair]


def _switched(rng: Rng, pair: list[Colour]) -> list[Any]:
    gain = rng.uniform(0.6, 1.4)
    return [pair[0] * gain if rng.random() < 0.5 else pair[0], pair[1] * gain]


def _wind(rng: Rng, pair: list[Colour]) -> list[Any]:
    dx, dy = rng.normal(0, 1.2, 2)
    warp = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return [pair[0], cv2.warpAffine(pair[1], warp, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)]


def _vehicle(rng: Rng, pair: list[Colour], *, colourless: bool) -> list[Any]:
    """Something large passes close by."""
    out, x, y = [], rng.uniform(-0.1, 0.7) * WIDTH, rng.uniform(0.1, 0.6) * HEIGHT
    w, h = rng.uniform(0.3, 0.7) * WIDTH, rng.uniform(0.3, 0.7) * HEIGHT
    body, pane = (
        rng.uniform(20, 255, 3) if not colourless else np.full(3, rng.uniform(30, 200)) for _ in range(2)
    )
    sheen = 1 + 0.25 * cloud(rng, HEIGHT, WIDTH, WIDTH / 3)
    for index, image in enumerate(pair):
        if index and rng.random() < 0.5:
            out.append(image)
            break
        x += index * float(rng.choice([-1, 1])) * rng.uniform(0.05, 0.4) * WIDTH
        seen = np.ascontiguousarray(image, np.float32)
        box = (_corner(x, y), _corner(x + w, y + h))
        cv2.rectangle(seen, *box, body.tolist(), -1)
        cv2.rectangle(
            seen, _corner(x + w / 8, y + h / 6), _corner(x + w * 7 / 8, y + h / 2), pane.tolist(), -1
        )
        for j in range(1, 5):
            at = x + w * j / 5
            cv2.line(seen, _corner(at, y), _corner(at, y + h), (body * 0.4).tolist(), max(1, int(w / 60)))
        for side in (0.2, 0.8):
            cv2.circle(seen, _corner(x + w * side, y + h), int(h / 6), (15, 15, 15), -1)
        inside = (box[0][0] < _X) & (box[1][0] > _X) & (box[0][1] < _Y) & (box[1][1] > _Y)
        out.append(np.where(inside[..., None], seen * sheen[..., None], seen))
    return out


HARD: tuple[tuple[str, int], ...] = (
    ("fog", 3),
    ("rain", 2),
    ("snowfall", 2),
    ("glare", 3),
    ("headlights", 2),
    ("shadow", 4),
    ("illum", 3),
    ("static", 2),
    ("wind", 2),
    ("vehicle", 3),
)
"""Kinds of hard normal, and how many pairs of each a place gives."""
_PLAIN = {"day": 7, "ir": 3, "night": 3, "mono": 10}


def drawn_scene(number: int) -> Scene:
    """The place of this number: the kinds follow each other, and no two are alike."""
    rng = np.random.default_rng([77, number])
    name, draw = KINDS[number % len(KINDS)]
    camera = _Camera(draw(rng), rng)
    mono = camera.place.mono
    modes = ("mono",) if mono else ("day", "ir", "night")
    references = {
        mode: [
            camera.sense(camera.look(camera.hour(sunny=True), mode, camera.movers()[0]), mode)
            for _ in range(8)
        ]
        for mode in modes
    }
    wanted: list[tuple[str, str | None]] = [(mode, None) for mode in modes for _ in range(_PLAIN[mode])]
    for hard, count in HARD:
        for _ in range(count):
            mode = "mono" if mono else "day"
            if not mono and hard == "headlights":
                mode = str(rng.choice(["ir", "night"]))
            elif not mono and hard in ("rain", "wind", "vehicle", "static"):
                mode = str(rng.choice(["day", "day", "day", "ir"]))
            wanted.append((mode, hard))
    normals = [(mode, hard, _pair(camera, mode, hard)) for mode, hard in wanted]
    return Scene(f"{DRAWN}{number:02d}-{name}", normals, references)


def _pair(camera: _Camera, mode: str, hard: str | None) -> list[Image]:
    rng, hour, calm = camera.rng, camera.hour(sunny=True), 1.0
    first, second = camera.movers()
    if hard == "static":
        second, calm = first, float(rng.choice([1.0, 0.6]))
    pair = [camera.look(hour, mode, movers) for movers in (first, second)]
    colourless = mode in ("ir", "mono")
    if hard == "fog":
        pair = _fog(rng, pair)
    elif hard in ("rain", "snowfall"):
        pair = _drops(rng, pair, snow=hard == "snowfall")
    elif hard == "glare":
        pair = _glare(rng, pair)
    elif hard == "headlights":
        pair = _headlights(rng, pair)
    elif hard == "shadow":
        pair = _shadow(rng, pair)
    elif hard == "illum":
        pair = _switched(rng, pair)
    elif hard == "wind":
        pair = _wind(rng, pair)
    elif hard == "vehicle":
        pair = _vehicle(rng, pair, colourless=colourless)
    pair = [np.asarray(image, np.float32) for image in pair]
    if colourless:
        pair = [np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2) for image in pair]
    return [camera.sense(image, mode, calm) for image in pair]
