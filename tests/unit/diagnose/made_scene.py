"""A made camera: walls, windows, trees and a road by day, at night and under infrared light."""

from __future__ import annotations

import cv2
import numpy as np

from sharpeyes.health.diagnose.picture import Picture

WIDTH, HEIGHT = 640, 360


def scene(seed: int = 1) -> np.ndarray:
    """(360, 640, 3) float32 BGR without noise."""
    rng = np.random.default_rng(seed)
    image = np.empty((HEIGHT, WIDTH, 3), np.float32)
    image[:] = (150, 140, 120)
    image[:110] = np.linspace(200, 160, 110)[:, None, None] * np.array([1.0, 0.92, 0.85])
    image[250:] = (95, 100, 104)
    for _ in range(16):
        x, y = int(rng.integers(0, 560)), int(rng.integers(60, 200))
        w, h = int(rng.integers(40, 150)), int(rng.integers(40, 120))
        colour = rng.integers(40, 190, 3).astype(float).tolist()
        cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1)
        for wx in range(x + 6, x + w - 12, 20):
            for wy in range(y + 6, y + h - 14, 24):
                cv2.rectangle(image, (wx, wy), (wx + 9, wy + 13), [c * 0.45 for c in colour], -1)
    grain = cv2.GaussianBlur(rng.normal(0, 60, (HEIGHT, WIDTH)).astype(np.float32), (0, 0), 1.6)
    image += grain[:, :, None]
    for x in range(-100, 700, 90):
        cv2.line(image, (x, 359), (x + 140, 252), (215, 215, 210), 4)
    return np.clip(cv2.GaussianBlur(image, (0, 0), 0.7), 8, 225)


def picture(image: np.ndarray, seed: int, *, noise: float = 2.0, time_ms: int = 0) -> Picture:
    """A picture of it with the sensor's noise of this moment."""
    rng = np.random.default_rng(seed)
    noisy = image + rng.normal(0, noise, image.shape[:2])[:, :, None]
    return Picture.from_bgr(np.clip(noisy, 0, 255).astype(np.uint8), time_ms=time_ms)


def with_traffic(image: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = image.copy()
    for _ in range(3):
        x, y = int(rng.integers(0, 580)), int(rng.integers(255, 330))
        cv2.rectangle(out, (x, y), (x + 60, y + 26), rng.integers(20, 220, 3).astype(float).tolist(), -1)
    return out


def infrared(image: np.ndarray) -> np.ndarray:
    grey = image.mean(axis=2, keepdims=True)
    fall = 1.15 - 0.5 * np.hypot(*np.meshgrid(np.linspace(-1, 1, WIDTH), np.linspace(-1, 1, HEIGHT)))
    return np.repeat(grey * fall[:, :, None] * 0.8, 3, axis=2)


def night(image: np.ndarray) -> np.ndarray:
    out = image * 0.32
    glow = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.circle(glow, (150, 130), 8, 190.0, -1)
    cv2.circle(glow, (480, 150), 8, 190.0, -1)
    return out + cv2.GaussianBlur(glow, (0, 0), 14)[:, :, None] + glow[:, :, None] * 0.6


def pair(image: np.ndarray, *, noise: float = 2.0) -> tuple[Picture, Picture]:
    """(before, after), two seconds apart."""
    return picture(image, 901, noise=noise, time_ms=0), picture(image, 902, noise=noise, time_ms=2000)
