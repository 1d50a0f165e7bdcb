"""Streams of independent servers go black, freeze and are covered by a change of their source: real probes,
the examiner that the fleet uses, and N of M."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "diagnose"))

from made_scene import scene

from sharpeyes.domain.health import Keyframe, PictureFault
from sharpeyes.domain.time import Ms
from sharpeyes.health import sight as sights
from sharpeyes.health.examine import PictureExaminer, picture_of
from sharpeyes.health.probe import ProbeRequest, probe
from sharpeyes.health.sight import Seen, Sight

PYTHON = "/usr/bin/python3"  # Debian's, which has the GObject bindings
HERE = Path(__file__).parent
FRAMES = 40
PAIR_S = 1.5


def shows() -> dict[str, np.ndarray]:
    """(n, 360, 640, 3) uint8 BGR each: frames with a sensor's noise, but for the frozen one."""
    rng = np.random.default_rng(5)
    plain = scene()
    cloth = cv2.GaussianBlur(rng.normal(0, 1, (360, 540, 1)).astype(np.float32), (0, 0), 25)[:, :, None]
    covered = plain.copy()
    covered[:, 100:] = 55 + 60 * cloth

    def noisy(image: np.ndarray) -> np.ndarray:
        noise = rng.normal(0, 2.5, (FRAMES, *image.shape[:2], 1))
        return np.clip(image + noise, 0, 255).astype(np.uint8)

    normal = noisy(plain)
    return {
        "normal": normal,
        "black": np.zeros((1, *plain.shape), np.uint8),
        "frozen": normal[:1],
        "covered": noisy(covered),
    }


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name, frames in shows().items():
        np.save(folder / f"{name}.npy", frames)
        yuv = b"".join(cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes() for frame in frames)
        (folder / f"{name}.i420").write_bytes(yuv)
    return folder


class Peer:
    """A server, and the show that it plays."""

    def __init__(self, process: subprocess.Popen[str], path: str) -> None:
        assert process.stdout is not None
        self.process = process
        self.url = f"rtsp://127.0.0.1:{int(process.stdout.readline())}/{path}"

    def play(self, show: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(show + "\n")
        self.process.stdin.flush()

    async def keyframe(self) -> tuple[Keyframe, Ms]:
        result = await probe(ProbeRequest(url=self.url, timeout_s=20))
        assert result.keyframe is not None, (result.failure, result.transcript)
        return result.keyframe, result.at


@contextmanager
def peer(*command: object, path: str) -> Iterator[Peer]:
    with subprocess.Popen(
        [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Peer(process, path)
        finally:
            process.kill()


@pytest.fixture(params=["gst-rtsp-server", "ipycam"])
def camera(request: pytest.FixtureRequest, films: Path) -> Iterator[Peer]:
    if request.param == "ipycam":
        if shutil.which("ffmpeg") is None:
            pytest.skip("SKIPPED: ipycam streams nothing without ffmpeg; apt install ffmpeg")
        with peer(sys.executable, HERE / "ipycam_scene.py", films, path="video_main") as found:
            yield found
        return
    script = HERE / "gst_scene.py"
    ready = Path(PYTHON).exists() and not subprocess.run([PYTHON, script, "--check"], check=False).returncode
    if not ready:
        pytest.skip("SKIPPED: gst-rtsp-server is not installed; apt install gir1.2-gst-rtsp-server-1.0")
    with peer(PYTHON, script, films, path="scene") as found:
        yield found


async def test_what_is_done_to_the_source_is_diagnosed(camera: Peer) -> None:
    examiner = PictureExaminer()
    samples = []
    for _ in range(6):
        samples.append((await camera.keyframe())[0])
        await asyncio.sleep(0.2)
    learnt = examiner.learn(samples, "day", Ms(1))
    assert learnt is not None
    references = {"day": examiner.load(learnt)}

    async def diagnosed(show: str, wanted: PictureFault | None = None) -> Sight:
        """What is confirmed after two looks, each at two pictures, or after a few more if it takes them:
        an encoder under rate control does not code the same picture twice alike."""
        camera.play(show)
        await asyncio.sleep(PAIR_S)  # for the encoder to have begun anew
        sight: Sight | None = None
        stood: tuple[bytes, ...] = ()
        pictures = []
        for number in range(3 if wanted is None else 16):
            if sight is not None and wanted in {defect.kind for defect in sight.defects}:
                break
            if number:
                await asyncio.sleep(PAIR_S)
            keyframe, at = await camera.keyframe()
            picture = picture_of(keyframe, at)
            assert picture is not None
            pictures.append(picture)
            if len(pictures) > 1:
                checked = await asyncio.to_thread(examiner.check, *pictures[-2:], references, stood=stood)
                stood += checked.stood
                seen = Seen(
                    at=at, mode=checked.mode, findings=checked.findings, unassessed=checked.unassessed
                )
                sight = sights.after(sight, seen)
        assert sight is not None
        return sight

    well = await diagnosed("normal")
    assert well.defects == ()
    for show, kind in (
        ("black", PictureFault.SIGNAL_LOST),
        ("frozen", PictureFault.FROZEN),
        ("covered", PictureFault.OCCLUDED),
    ):
        found = await diagnosed(show, kind)
        assert kind in {defect.kind for defect in found.defects}, (show, found)
