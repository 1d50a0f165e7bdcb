"""The composed value, confirmation, stills, references, screening, decoding and sets."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_scene import infrared, pair, picture, scene, with_traffic
from typer.testing import CliRunner

from sharpeyes.domain.health import PictureFault
from sharpeyes.health.diagnose import words
from sharpeyes.health.diagnose.clip import read_clip, read_image
from sharpeyes.health.diagnose.dataset import UnreadableSetError, prediction, read_samples
from sharpeyes.health.diagnose.diagnosis import diagnose
from sharpeyes.health.diagnose.keyframe import decode_keyframe
from sharpeyes.health.diagnose.picture import DecoderError, Picture, UnreadablePictureError
from sharpeyes.health.diagnose.reading import Outcome
from sharpeyes.health.diagnose.reference import ModeReference, choose_mode, learn
from sharpeyes.health.diagnose.screen import (
    Glance,
    Screening,
    changes,
    features_of,
    is_unremarkable,
    screen,
)
from sharpeyes.health.diagnose.still import marked_still

DAY = scene()


@pytest.fixture(scope="module")
def reference() -> ModeReference:
    return learn(
        [picture(DAY * g, s) for s, g in enumerate((0.95, 0.98, 1.0, 1.02, 1.05))], "day", learned_ms=500
    )


def plain(value: int, u: int = 128, v: int = 128) -> Picture:
    return Picture(
        np.full((360, 640), value, np.uint8),
        np.full((180, 320), u, np.uint8),
        np.full((180, 320), v, np.uint8),
    )


def wild(seed: int) -> Picture:
    rng = np.random.default_rng(seed)
    low, high = sorted(rng.integers(0, 257, 2).tolist())
    planes = (
        rng.integers(low, high + 1, size).clip(0, 255).astype(np.uint8)
        for size in ((360, 640), (180, 320), (180, 320))
    )
    return Picture(*planes, source_size=(int(rng.integers(1, 4000)), int(rng.integers(1, 3000))))


ANY = st.one_of(
    st.sampled_from([plain(0), plain(255), plain(128), plain(0, 0, 0), plain(255, 255, 255)]),
    st.integers(0, 2**32 - 1).map(wild),
)


@settings(max_examples=12, deadline=None)
@given(before=st.none() | ANY, after=ANY, learned=st.none() | st.lists(ANY, min_size=1, max_size=2))
def test_no_picture_is_too_strange(
    before: Picture | None, after: Picture, learned: list[Picture] | None
) -> None:
    references = {"day": learn(learned, "day")} if learned else {}
    found = diagnose(after, before, references, mode="day")
    assert len(found.readings) == len(PictureFault)
    assert all(0 <= reading.score <= 1 for reading in found.readings)
    assert all((reading.severity > 0) == (reading.outcome is Outcome.FAULT) for reading in found.readings)
    json.dumps(found.to_plain(), allow_nan=False)
    assert marked_still(after, found)[:2] == b"\xff\xd8"


def test_it_says_what_it_was_made_from(reference: ModeReference) -> None:
    before, after = pair(DAY)
    found = diagnose(after, before, {"day": reference}, mode="day")
    assert found.times_ms == (0, 2000)
    assert found.reference_mode == "day"
    assert found.reference_age_ms == 1500
    assert found.to_plain()["reference"] == {"mode": "day", "learned_ms": 500, "age_ms": 1500}


def test_a_reference_survives_its_bytes(reference: ModeReference) -> None:
    data = reference.to_bytes()
    again = ModeReference.from_bytes(data)
    assert len(data) < 300_000
    before, after = pair(cv2.GaussianBlur(DAY, (0, 0), 4))
    one, two = (diagnose(after, before, {"day": r}, mode="day") for r in (reference, again))
    assert [f.kind for f in one.faults] == [f.kind for f in two.faults]
    with pytest.raises(ValueError, match="reference"):
        ModeReference.from_bytes(b"PK nonsense")


def test_a_new_view_is_learned_again() -> None:
    other = scene(seed=9)
    before, after = pair(other)
    accepted = {"day": learn([picture(other, s) for s in range(4)], "day")}
    assert not diagnose(after, before, accepted, mode="day").faults


def test_the_mode_is_seen_where_nobody_says_it() -> None:
    grey = picture(np.repeat(DAY.mean(axis=2, keepdims=True), 3, axis=2), 1)
    assert choose_mode(picture(DAY, 1), {}) == "day"
    assert choose_mode(grey, {}) == "ir"
    assert choose_mode(picture(DAY * 0.25, 1), {}) == "night"
    assert choose_mode(grey, {}, "day") == "day"


def test_grey_by_day_is_colour_lost_and_under_infrared_light_it_is_not() -> None:
    by_day = learn([picture(DAY, seed) for seed in range(5)], "day")
    by_night = learn([picture(infrared(DAY), seed) for seed in range(5)], "ir")
    both = {"day": by_day, "ir": by_night}
    grey = np.repeat(DAY.mean(axis=2, keepdims=True), 3, axis=2)
    before, after = pair(grey)
    lost = diagnose(after, before, both)
    assert (lost.mode, [str(fault.kind) for fault in lost.faults]) == ("day", ["color_loss"])
    before, after = pair(infrared(DAY))
    well = diagnose(after, before, both)
    assert (well.mode, well.faults) == ("ir", ())
    assert diagnose(after, before, {"day": by_day}).mode == "ir", "nobody knows what is normal then"


class TestScreening:
    passed, before = (Glance.at(picture(DAY, seed)) for seed in (31, 32))

    def test_the_next_normal_picture_is_plain(self) -> None:
        for seed, light in enumerate((0.97, 1.0, 1.03)):
            after = Glance.at(picture(with_traffic(DAY * light, seed), 40 + seed))
            assert screen(self.passed, self.before.sample, after) == Screening(True, ())

    @pytest.mark.parametrize(
        "image",
        [
            DAY * 0.2,
            DAY * 2.5,
            cv2.GaussianBlur(DAY, (0, 0), 2),
            np.roll(DAY, 24, axis=1),
            DAY + np.float32([20, 0, -12]),
            np.repeat(DAY.mean(axis=2, keepdims=True), 3, axis=2),
            DAY + 14 * np.sin(np.arange(360) / 4)[:, None, None].astype(np.float32),
        ],
        ids=["dark", "bright", "blurred", "moved", "cast", "grey", "stripes"],
    )
    def test_a_faulty_picture_is_not(self, image: np.ndarray) -> None:
        after = Glance.at(picture(np.clip(image, 0, 255), 50))
        result = screen(self.passed, self.before.sample, after)
        assert not result.plain
        assert result.beyond

    def test_noise_is_not(self) -> None:
        noisy = Glance.at(picture(DAY, 51, noise=9))
        assert "noise" in screen(self.passed, self.before.sample, noisy).beyond

    def test_a_frozen_picture_is_not(self) -> None:
        assert screen(self.passed, self.before.sample, self.before).beyond == ("still",)

    def test_a_picture_that_was_encoded_again_is_not(self) -> None:
        again = self.before.sample.astype(np.int16)
        again.ravel()[::5] -= 2
        after = replace(self.before, sample=again.clip(0, 255).astype(np.uint8))
        assert screen(self.passed, self.before.sample, after).beyond == ("still",)

    def test_nothing_is_plain_before_the_full_checks_passed_a_picture(self) -> None:
        assert not screen(None, self.before.sample, self.before).plain

    @pytest.mark.parametrize("light", [0.7, 1.0, 1.1])
    def test_where_nothing_is_known_a_plain_scene_is_unremarkable(self, light: float) -> None:
        one = picture(DAY * light, 3, noise=0.4)
        assert is_unremarkable(one), features_of(one)
        assert not diagnose(one, None, {}).faults

    @pytest.mark.parametrize(
        "image",
        [
            DAY * 0.1,
            DAY * 3,
            np.zeros_like(DAY),
            cv2.GaussianBlur(DAY, (0, 0), 4),
            DAY + 30 * np.sign(np.sin(np.arange(360) / 4))[:, None, None].astype(np.float32),
            DAY + 30 * np.sin(np.arange(640) * 1.3)[None, :, None].astype(np.float32),
        ],
        ids=["dark", "bright", "black", "blurred", "bands", "fine"],
    )
    def test_where_nothing_is_known_a_faulty_picture_is_looked_into(self, image: np.ndarray) -> None:
        assert not is_unremarkable(picture(np.clip(image, 0, 255), 3))
        assert not is_unremarkable(picture(DAY, 4, noise=14))

    def test_a_glance_survives_its_bytes(self) -> None:
        data = self.passed.to_bytes()
        assert len(data) < 14_000
        again = Glance.from_bytes(data)
        after = Glance.at(picture(DAY * 0.9, 60))
        assert changes(again, self.before.sample, after) == changes(self.passed, self.before.sample, after)


def encoded(codec: str, frames: int = 1) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="h264" if codec == "h264" else "hevc") as container:
        stream = container.add_stream("libx264" if codec == "h264" else "libx265", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        if codec == "h265":
            stream.options = {"x265-params": "log-level=none"}
        for _ in range(frames):
            frame = av.VideoFrame.from_ndarray(np.clip(DAY, 0, 255).astype(np.uint8), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


class TestKeyframe:
    @pytest.mark.parametrize("codec", ["h264", "h265"])
    def test_a_keyframe_becomes_a_picture_and_the_decoder_is_kept(self, codec: str) -> None:
        data = encoded(codec)
        for _ in range(2):
            decoded = decode_keyframe(data, codec, time_ms=7)  # type: ignore[arg-type]
            assert decoded.picture is not None
            assert decoded.errors is DecoderError.NONE
            assert decoded.picture.time_ms == 7
            assert decoded.picture.source_size == (640, 360)
        assert abs(float(decoded.picture.y.mean()) - float(picture(DAY, 0, noise=0).y.mean())) < 2

    def test_damage_is_evidence(self) -> None:
        data = bytearray(encoded("h264"))
        data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
        decoded = decode_keyframe(bytes(data), "h264")
        assert decoded.picture is None or decoded.errors
        assert decode_keyframe(encoded("h264"), "h264").errors is DecoderError.NONE

    @settings(max_examples=25, deadline=None)
    @given(st.binary(max_size=400))
    def test_no_bytes_raise(self, data: bytes) -> None:
        decoded = decode_keyframe(data, "h264")
        assert decoded.picture is not None or decoded.errors


class TestFiles:
    def test_an_unreadable_file_names_the_mend(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_bytes(b"no picture")
        with pytest.raises(UnreadablePictureError, match="JPEG"):
            read_image(tmp_path / "a.jpg")
        with pytest.raises(UnreadablePictureError, match="Check the path"):
            read_image(tmp_path / "b.jpg")

    def test_wrong_planes_are_refused(self) -> None:
        with pytest.raises(ValueError, match="plane u"):
            Picture(
                np.zeros((360, 640), np.uint8), np.zeros((2, 2), np.uint8), np.zeros((180, 320), np.uint8)
            )

    def test_a_set_that_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableSetError, match=r"labels\.json"):
            read_samples(tmp_path)
        (tmp_path / "labels.json").write_text('{"samples": [{"id": "a"}]}')
        with pytest.raises(UnreadableSetError, match="file"):
            read_samples(tmp_path)
        for text in ("", "[]", "{", '{"samples": {}}', "[" * 100_000, '{"samples": null}'):
            (tmp_path / "labels.json").write_text(text)
            with pytest.raises(UnreadableSetError, match=r"samples|JSON"):
                read_samples(tmp_path)

    @pytest.mark.parametrize(
        ("sample", "field"),
        [
            ("a", "id"),
            (None, "id"),
            ({"file": "a.mp4"}, "id"),
            ({"id": [], "file": "a.mp4"}, "id"),
            ({"id": "good", "file": "a.mp4"}, "id"),
            ({"id": "a"}, "file"),
            ({"id": "a", "file": 3}, "file"),
            ({"id": "a", "file": "../../etc/passwd"}, "file"),
            ({"id": "a", "file": "/etc/passwd"}, "file"),
            ({"id": "a", "file": "a\0.mp4"}, "file"),
            ({"id": "a", "file": "a\ud800.mp4"}, "file"),
            ({"id": "a\ud800", "file": "a.mp4"}, "id"),
            ({"id": "a", "file": "a.mp4", "refs": ["day"]}, "refs"),
            ({"id": "a", "file": "a.mp4", "refs": {"day": "../x.mp4"}}, "refs.day"),
            ({"id": "a", "file": "a.mp4", "refs": {"day": ["x.mp4"]}}, "refs.day"),
        ],
    )
    def test_a_sample_that_is_none_is_named_and_loses_no_other(
        self, tmp_path: Path, sample: object, field: str
    ) -> None:
        good = [{"id": name, "file": "a.mp4"} for name in ("good", "次")]
        (tmp_path / "labels.json").write_text(json.dumps({"samples": [good[0], sample, good[1]]}))
        told: list[str] = []
        assert [each.id for each in read_samples(tmp_path, told.append)] == ["good", "次"]
        assert len(told) == 1
        assert f"labels.json: samples[1].{field}: " in told[0]
        with pytest.raises(UnreadableSetError, match="samples"):
            read_samples(tmp_path)

    @pytest.mark.parametrize(
        "extra", [{"mode": "noon"}, {"mode": []}, {"refs": None}, {"refs": {"day": None}}]
    )
    def test_what_may_be_missing_loses_no_sample(self, tmp_path: Path, extra: dict[str, object]) -> None:
        sample = {"id": 5, "file": "a.mp4", **extra}
        (tmp_path / "labels.json").write_text(json.dumps({"samples": [sample]}), encoding="utf-8-sig")
        (read,) = read_samples(tmp_path)
        assert (read.id, read.mode, read.references) == ("5", None, ())

    def test_a_clip_of_which_nothing_decodes_is_corrupt(self) -> None:
        assert prediction(None) == {"faults": ["corrupt"], "scores": {"corrupt": 1.0}}


class TestCommand:
    @pytest.fixture
    def run(self):
        import typer

        from sharpeyes.cli.diagnose import diagnose as command

        app = typer.Typer()
        app.command()(command)
        return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])

    def test_pictures(self, run, tmp_path: Path) -> None:
        good, dark = tmp_path / "good.png", tmp_path / "dark.png"
        cv2.imwrite(str(good), picture(DAY, 1).bgr)
        cv2.imwrite(str(dark), picture(DAY * 0.05, 2, noise=0.5).bgr)
        assert run(good).exit_code == 0
        result = run(good, dark, "--json", "--still-dir", tmp_path / "stills", "--reference", good)
        assert result.exit_code == 1
        files = json.loads(result.stdout)["files"]
        assert files[0]["faults"] == []
        assert "under_exposed" in files[1]["faults"]
        assert (tmp_path / "stills" / "dark.diagnosis.jpg").read_bytes()[:2] == b"\xff\xd8"

    @pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.webp"])
    @pytest.mark.parametrize("kind", ["colour", "grey", "alpha", "deep", "portrait"])
    def test_pictures_of_any_kind(self, run, tmp_path: Path, name: str, kind: str) -> None:
        image = picture(DAY, 1).bgr
        if kind == "grey":
            image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        elif kind == "alpha" and not name.endswith("jpg"):
            image = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
        elif kind == "deep" and name.endswith("png"):
            image = image.astype(np.uint16) * 257
        elif kind == "portrait":
            image = np.ascontiguousarray(image[:, 200:320])
        cv2.imwrite(str(tmp_path / name), image)
        result = run(tmp_path / name, "--json")
        assert result.exit_code in (0, 1), result.exception
        assert len(json.loads(result.stdout)["files"][0]["readings"]) == len(PictureFault)

    def test_of_a_long_video_the_beginning_is_read(self, run, tmp_path: Path) -> None:
        (tmp_path / "long.mp4").write_bytes(encoded("h264", frames=300))
        assert len(read_clip(tmp_path / "long.mp4")) == 64
        assert run(tmp_path / "long.mp4", "--json").exit_code in (0, 1)

    def test_broken_files_are_refused_with_the_mend(self, run, tmp_path: Path) -> None:
        whole = cv2.imencode(".png", picture(DAY, 1).bgr)[1].tobytes()
        broken = {
            "half.mp4": encoded("h264")[:40],
            "empty.png": b"",
            "head.png": whole[:20],
            "text.mkv": b"hello",
            "text.txt": b"a camera is not made of letters\n" * 40,
            "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhalf.mp4\n",
            "empty.mp4": b"",
        }
        for name, data in broken.items():
            (tmp_path / name).write_bytes(data)
            result = run(tmp_path / name)
            assert result.exit_code == 2
            assert result.stderr.count(name) == 1
            assert "Give a" in result.stderr or "Record the clip again" in result.stderr
        assert tmp_path.name in run(tmp_path).stderr

    def test_a_broken_file_does_not_hide_what_others_show(self, run, tmp_path: Path) -> None:
        good, bad = tmp_path / "good.png", tmp_path / "bad.png"
        cv2.imwrite(str(good), picture(DAY, 1).bgr)
        bad.write_bytes(b"no picture")
        result = run(good, bad, good, "--json")
        assert (result.exit_code, result.stderr) == (2, "")
        document = json.loads(result.stdout)
        assert [each.get("faults") for each in document["files"]] == [[], None, []]
        assert document["files"][1]["error"]["kind"] == "unreadable"
        assert "JPEG" in document["files"][1]["error"]["mend"]
        assert (document["faulty"], document["failed"]) == (0, 1)
        assert "--reference" in str(run(good, "--reference", bad).exception)

    def test_a_damaged_jpeg_is_corrupt_and_not_unreadable(self, run, tmp_path: Path) -> None:
        data = cv2.imencode(".jpg", cv2.resize(picture(DAY, 1).bgr, (1280, 720)))[1].tobytes()
        (tmp_path / "half.jpg").write_bytes(data[: len(data) // 2])
        result = run(tmp_path / "half.jpg", "--json")
        assert result.exit_code == 1
        assert "corrupt" in json.loads(result.stdout)["files"][0]["faults"]

    def test_a_jpeg_whose_bytes_were_changed_is_corrupt(self, run, tmp_path: Path) -> None:
        data = bytearray(cv2.imencode(".jpg", cv2.resize(picture(DAY, 1).bgr, (1280, 720)))[1].tobytes())
        for at in range(len(data) // 3, len(data), len(data) // 20):
            data[at : at + 4] = b"\x12\xff\x01\x99"
        (tmp_path / "changed.jpg").write_bytes(data)
        result = run(tmp_path / "changed.jpg", "--json")
        assert json.loads(result.stdout)["files"][0]["faults"] == ["corrupt"]

    def test_cameras_whose_pictures_are_called_alike_have_a_still_each(self, run, tmp_path: Path) -> None:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            cv2.imwrite(str(tmp_path / name / "now.png"), picture(DAY, 1).bgr)
        result = run(
            tmp_path / "one/now.png", tmp_path / "two/now.png", "--still-dir", tmp_path / "s", "--json"
        )
        stills = [each["still"] for each in json.loads(result.stdout)["files"]]
        assert len(set(stills)) == 2
        assert all(Path(still).read_bytes()[:2] == b"\xff\xd8" for still in stills)

    def test_stills_that_cannot_be_written_are_told_before_the_work(self, run, tmp_path: Path) -> None:
        good = tmp_path / "good.png"
        cv2.imwrite(str(good), picture(DAY, 1).bgr)
        result = run(good, "--still-dir", good)
        assert "Give a directory that can be written" in str(result.exception)
        assert result.stdout == ""

    def test_predictions_do_not_take_the_place_of_the_set(self, run, tmp_path: Path) -> None:
        (tmp_path / "a.mp4").write_bytes(encoded("h264"))
        labels = tmp_path / "labels.json"
        labels.write_text(json.dumps({"samples": [{"id": "a", "file": "a.mp4"}]}))
        before = labels.read_bytes()
        for own in ("labels.json", "a.mp4"):
            assert "a file of the set" in str(run("--set", tmp_path, "--out", tmp_path / own).exception)
        assert labels.read_bytes() == before
        assert run("--set", tmp_path, "--out", tmp_path / "new.json").exit_code in (0, 1)
        assert list(json.loads((tmp_path / "new.json").read_text())) == ["a"]
        assert sorted(each.name for each in tmp_path.iterdir()) == ["a.mp4", "labels.json", "new.json"]

    def test_a_reference_of_many_pictures_is_learnt_from_some(self, run, tmp_path: Path) -> None:
        from sharpeyes.cli.diagnose import _OF_A_CLIP, _spread

        pictures = [picture(DAY, 1, time_ms=n) for n in range(64)]
        assert [each.time_ms for each in _spread(pictures, _OF_A_CLIP)] == list(range(0, 64, 8))
        assert _spread(pictures[:3], _OF_A_CLIP) == pictures[:3]

    def test_a_picture_that_unfolds_to_gigabytes_is_refused(self, tmp_path: Path) -> None:
        huge = tmp_path / "huge.png"
        rows = zlib.compress(bytes(20_001 * 20_000), 1)
        chunks = ((b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)), (b"IDAT", rows))
        with huge.open("wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n")
            for kind, data in (*chunks, (b"IEND", b"")):
                file.write(struct.pack(">I", len(data)) + kind + data)
                file.write(struct.pack(">I", zlib.crc32(kind + data)))
        command = [sys.executable, "-m", "sharpeyes", "diagnose", str(huge)]
        limited = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (limited.returncode, limited.stdout) == (2, "")
        assert "67 million pixels" in limited.stderr

    def test_a_picture_of_any_size_is_not_read_whole(self, run, tmp_path: Path) -> None:
        with (tmp_path / "huge.png").open("wb") as file:
            file.truncate(64_000_001)
        assert "more than 64 MB" in run(tmp_path / "huge.png").stderr

    def test_wrong_use_is_said(self, run, tmp_path: Path) -> None:
        assert "--set" in str(run().exception)
        assert "--out" in str(run("--set", tmp_path).exception)
        assert "JPEG" in run(tmp_path / "no.mp4").stderr

    def test_a_set_is_diagnosed_without_its_labels(self, run, tmp_path: Path) -> None:
        (tmp_path / "a.mp4").write_bytes(encoded("h264", frames=2))
        sample = {"id": "a", "file": "a.mp4", "refs": {}, "mode": "day"}
        (tmp_path / "labels.json").write_text(json.dumps({"samples": [sample]}))
        result = run("--set", tmp_path, "--out", tmp_path / "p.json")
        assert result.exit_code in (0, 1)
        assert set(json.loads((tmp_path / "p.json").read_text())) == {"a"}

    def test_what_a_set_lacks_is_told_and_the_rest_is_diagnosed(self, run, tmp_path: Path) -> None:
        (tmp_path / "a.mp4").write_bytes(encoded("h264", frames=2))
        (tmp_path / "broken.mp4").write_bytes(b"no clip")
        samples = [
            {"id": "gone", "file": "gone.mp4"},
            {"id": "broken", "file": "broken.mp4"},
            {"id": "a", "file": "a.mp4", "refs": {"day": "gone-too.mp4"}, "mode": "day"},
            {"id": "none"},
        ]
        (tmp_path / "labels.json").write_text(json.dumps({"samples": samples}))
        out = tmp_path / "p.json"
        result = run("--set", tmp_path, "--out", out, "--json")
        assert result.exit_code == 2
        assert json.loads(result.stdout) | {"faulty": 1} == {
            "samples": 2,
            "faulty": 1,
            "unreadable": 2,
            "out": str(out),
        }
        found = json.loads(out.read_text())
        assert set(found) == {"a", "broken"}, "what is not there shows no fault"
        assert "Diagnosing" not in result.stderr, "nobody looks at a bar that is no terminal's"
        assert found["broken"]["faults"] == ["corrupt"]
        for each in ("gone: ", "refs.day: ", "samples[3].file: "):
            assert each in result.stderr

    def test_a_place_that_cannot_be_written_is_refused_before_the_work(self, run, tmp_path: Path) -> None:
        (tmp_path / "labels.json").write_text('{"samples": [{"id": "gone", "file": "gone.mp4"}]}')
        result = run("--set", tmp_path, "--out", tmp_path / "no" / "p.json")
        assert "--out" in str(result.exception)
        assert result.stderr == ""


@pytest.mark.parametrize("key", sorted(words.SENTENCES))
def test_every_sentence_is_there_in_both_languages_with_the_same_values(key: str) -> None:
    values = dict.fromkeys(words.names_of(key), 0.5)
    english, chinese = (words.say(key, values, language) for language in ("en", "zh"))
    assert english.isascii()
    assert any("一" <= each <= "鿿" for each in chinese)
    assert not {"{", "}"} & set(english + chinese)


def test_every_fault_has_a_sentence_and_an_unknown_number_is_a_dash() -> None:
    assert {f"diagnose.{kind}" for kind in PictureFault} <= set(words.SENTENCES)
    unknown = dict.fromkeys(words.names_of("diagnose.blurred"), float("nan"))
    assert "– by –" in words.say("diagnose.blurred", unknown, "en")
