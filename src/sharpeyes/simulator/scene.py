"""Synthetic street scenes, drawn with numpy and OpenCV: what a virtual camera looks at.

A scene is a pure function of (seed, size, picture, frame number). Imported only by whoever makes clips, so
that a serving process carries neither OpenCV nor FFmpeg.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sharpeyes.simulator.fault import Picture

Image = npt.NDArray[np.uint8]

_EPOCH = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)
_NOISE_MARGIN = 64
_FROZEN = 2**31
"""Number of the noise of a picture that stands still: of no other, as a sensor's never comes again."""
_SKIES = ((225, 190, 150), (200, 200, 195), (235, 205, 170), (170, 160, 190), (190, 175, 160))
_PAINTS = (
    (40, 40, 200),
    (210, 210, 215),
    (60, 60, 60),
    (170, 90, 40),
    (60, 150, 190),
    (90, 130, 60),
    (30, 180, 230),
)
_GROUNDS = ((96, 100, 98), (84, 88, 92), (110, 112, 108))


class Scene:
    """A fixed camera over a street: sky, houses, road, trees, vehicles on two to four lanes, an OSD clock.

    ``seed`` chooses the place; ``picture`` what is wrong with the camera. All lengths scale with the size, so
    the main and the sub-stream of one camera show the same view.
    """

    def __init__(
        self, seed: int, width: int, height: int, fps: float, picture: Picture = Picture.NORMAL
    ) -> None:
        self.width, self.height, self.fps, self.picture, self.seed = width, height, fps, picture, seed
        self._random = np.random.default_rng(seed)
        self._horizon = int(height * self._random.uniform(0.34, 0.46))
        self._vanishing = int(width * self._random.uniform(0.35, 0.65))
        self._base = self._background()
        count = int(self._random.integers(5, 9))
        lanes = int(self._random.integers(2, 5))
        self._traffic = [
            (
                (index % lanes + 0.5) / lanes,
                float(self._random.uniform(0, 1)),
                float(self._random.uniform(0.06, 0.16)) * (1 if index % lanes < lanes / 2 else -1),
                _PAINTS[int(self._random.integers(len(_PAINTS)))],
            )
            for index in range(count)
        ]
        sigma = 26.0 if picture is Picture.NOISE else 1.6
        grain = self._random.normal(0, sigma, (height + _NOISE_MARGIN, width + _NOISE_MARGIN))
        self._brighter = np.clip(grain, 0, 255).astype(np.uint8)
        self._darker = np.clip(-grain, 0, 255).astype(np.uint8)

    def still(self, number: int) -> Image:
        """Frame ``number`` as BGR, height x width x 3, without sensor noise."""
        if self.picture is Picture.FREEZE:
            number = 0
        image = self._base.copy()
        for vehicle in sorted(self._traffic, key=lambda each: self._depth(each, number)):
            self._vehicle(image, vehicle, number)
        image = np.asarray(self._spoil(image), np.uint8)
        self._clock(image, number)
        return image

    def frame(self, number: int) -> Image:
        """Frame ``number`` as planar YUV 4:2:0 (BT.601), height*3/2 x width, with sensor noise."""
        yuv: Image = np.asarray(cv2.cvtColor(self.still(number), cv2.COLOR_BGR2YUV_I420), np.uint8)
        if self.picture is Picture.BLACK:
            return yuv
        shake = np.random.default_rng((self.seed, _FROZEN if self.picture is Picture.FREEZE else number))
        top, left = (int(value) for value in shake.integers(0, _NOISE_MARGIN, 2))
        luma = yuv[: self.height]
        area = (slice(top, top + self.height), slice(left, left + self.width))
        cv2.add(luma, self._brighter[area], dst=luma)
        cv2.subtract(luma, self._darker[area], dst=luma)
        return yuv

    def _background(self) -> Image:
        width, height, horizon, random = self.width, self.height, self._horizon, self._random
        image: Image = np.empty((height, width, 3), np.uint8)
        sky = np.array(_SKIES[int(random.integers(len(_SKIES)))], np.float32)
        fade = np.linspace(1.0, 1.12, horizon, dtype=np.float32)[:, None, None]
        image[:horizon] = np.clip(sky * fade, 0, 255)
        image[horizon:] = _GROUNDS[int(random.integers(len(_GROUNDS)))]
        left = -int(width * 0.05)
        while left < width:
            wide = int(width * random.uniform(0.07, 0.16))
            tall = int(height * random.uniform(0.12, 0.36))
            tone = random.integers(70, 190, 3)
            self._house(image, left, horizon + int(height * 0.02), wide, tall, tone)
            left += wide + int(width * random.uniform(0.0, 0.03))
        self._road(image)
        for _ in range(int(random.integers(3, 7))):
            self._tree(image)
        speckle = random.normal(0, 5, (height // 3 + 1, width // 3 + 1, 1)).astype(np.float32)
        texture = cv2.resize(speckle, (width, height), interpolation=cv2.INTER_LINEAR)[:, :, None]
        spotted: Image = np.clip(image + texture, 0, 255).astype(np.uint8)
        return spotted

    def _house(self, image: Image, left: int, foot: int, wide: int, tall: int, tone: Any) -> None:
        wall = tuple(int(part) for part in tone)
        cv2.rectangle(image, (left, foot - tall), (left + wide, foot), wall, -1)
        columns, rows = max(2, int(wide / self.width * 60)), max(2, int(tall / self.height * 40))
        step_x, step_y = wide / columns, tall / rows
        lit = self._random.random((rows, columns))
        for row in range(rows):
            for column in range(columns):
                x, y = left + int((column + 0.2) * step_x), foot - tall + int((row + 0.25) * step_y)
                pane = (150, 190, 210) if lit[row, column] > 0.8 else (60, 55, 50)
                cv2.rectangle(image, (x, y), (x + int(step_x * 0.55), y + int(step_y * 0.5)), pane, -1)

    def _road(self, image: Image) -> None:
        width, height, horizon, centre = self.width, self.height, self._horizon, self._vanishing
        half = int(width * 0.03)
        edge = [
            [centre - half, horizon],
            [centre + half, horizon],
            [int(width * 1.05), height],
            [-int(width * 0.05), height],
        ]
        cv2.fillConvexPoly(image, np.array(edge, np.int32), (72, 70, 68))
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            for step in range(12):
                near, far = (step / 12) ** 2, ((step + (1.0 if share in (0.0, 1.0) else 0.5)) / 12) ** 2
                thick = max(1, int(width * 0.004 * (near + 0.1)))
                cv2.line(image, self._on_road(share, near), self._on_road(share, far), (205, 215, 215), thick)

    def _tree(self, image: Image) -> None:
        x = int(
            self.width * self._random.choice([self._random.uniform(0, 0.16), self._random.uniform(0.84, 1.0)])
        )
        foot = int(self.height * self._random.uniform(0.5, 0.75))
        size = int(self.height * self._random.uniform(0.05, 0.1))
        cv2.line(image, (x, foot), (x, foot - 2 * size), (40, 60, 80), max(2, size // 6))
        for _ in range(14):
            dx, dy = self._random.normal(0, size * 0.5, 2)
            leaf = (40, int(self._random.integers(80, 140)), 50)
            cv2.circle(image, (x + int(dx), foot - 2 * size + int(dy)), max(2, size // 2), leaf, -1)

    def _on_road(self, share: float, near: float) -> tuple[int, int]:
        """The pixel at ``share`` (0..1) over the road's width, ``near`` 0 at the horizon, 1 at the foot."""
        half = self.width * 0.03
        left = (self._vanishing - half) * (1 - near) - self.width * 0.05 * near
        right = (self._vanishing + half) * (1 - near) + self.width * 1.05 * near
        return int(left + (right - left) * share), int(self._horizon + (self.height - self._horizon) * near)

    def _depth(self, vehicle: tuple[float, float, float, Any], number: int) -> float:
        return (vehicle[1] + vehicle[2] * number / self.fps) % 1.0

    def _vehicle(self, image: Image, vehicle: tuple[float, float, float, Any], number: int) -> None:
        near = self._depth(vehicle, number) ** 1.6
        x, y = self._on_road(vehicle[0], near)
        wide, tall = int(self.width * 0.15 * (near + 0.06)), int(self.height * 0.18 * (near + 0.06))
        cv2.rectangle(
            image, (x - wide // 2, y - tall // 5), (x + wide // 2, y + tall // 20), (28, 28, 30), -1
        )
        cv2.rectangle(
            image, (x - wide // 2, y - tall * 3 // 4), (x + wide // 2, y - tall // 8), vehicle[3], -1
        )
        cv2.rectangle(
            image, (x - wide * 3 // 8, y - tall), (x + wide * 3 // 8, y - tall // 2), vehicle[3], -1
        )
        cv2.rectangle(
            image, (x - wide // 3, y - tall * 9 // 10), (x + wide // 3, y - tall * 3 // 5), (90, 80, 60), -1
        )

    def _spoil(self, image: Image) -> Any:
        width, height = self.width, self.height
        match self.picture:
            case Picture.BLACK:
                return np.full_like(image, 2)
            case Picture.DARK:
                return cv2.convertScaleAbs(image, alpha=0.10)
            case Picture.BRIGHT:
                return cv2.convertScaleAbs(image, alpha=1.3, beta=135)
            case Picture.BLUR:
                return cv2.GaussianBlur(image, (0, 0), width / 160)
            case Picture.SHIFT:
                turn = cv2.getRotationMatrix2D((width * 0.5, height * 0.5), 6.0, 1.25)
                turn[:, 2] += np.array([width * 0.28, height * 0.12])
                return cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
            case Picture.STRIPES:
                rows = 55 * np.sin(np.arange(height) * (2 * math.pi * 18 / height))
                return np.clip(image + rows[:, None, None], 0, 255).astype(np.uint8)
            case Picture.GREY:
                return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
            case Picture.CAST:
                return np.clip(image * np.array([0.55, 1.25, 0.6]), 0, 255).astype(np.uint8)
            case Picture.OCCLUDED:
                cloth = np.array([[-0.1, 0.3], [0.45, 0.12], [0.78, 0.4], [0.7, 1.1], [-0.1, 1.1]])
                cv2.fillPoly(image, [(cloth * np.array([width, height])).astype(np.int32)], (52, 58, 66))
                return image
            case _:
                return image

    def _clock(self, image: Image, number: int) -> None:
        """Burned-in text as recorders write it: white with a dark outline, over whatever the sensor gives."""
        now = _EPOCH + timedelta(seconds=number / self.fps)
        scale = self.height / 540
        rows = ((f"{now:%Y-%m-%d %H:%M:%S}", (0.03, 0.07)), (f"CAM {self.seed:03d}", (0.76, 0.95)))
        for text, (left, foot) in rows:
            at = (int(self.width * left), int(self.height * foot))
            # The outline is the text shifted, not drawn thicker: a thicker font is also wider.
            edge = max(1, round(1.4 * scale))
            for x, y in ((-edge, -edge), (edge, -edge), (-edge, edge), (edge, edge), (0, 0)):
                tone = (20, 20, 20) if x else (245, 245, 245)
                put = (at[0] + x, at[1] + y)
                cv2.putText(image, text, put, cv2.FONT_HERSHEY_SIMPLEX, scale, tone, edge, cv2.LINE_AA)
