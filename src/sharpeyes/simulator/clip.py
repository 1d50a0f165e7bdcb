"""Clips: encoded once, kept in a cache folder, packetised into RTP once, shared by all who watch.

A clip is a loop of some groups of pictures. It is packetised when loaded, framed for a TCP connection, and
frame ``n`` of the endless stream is the stored frame with its sequence numbers and time stamps moved on: no
receiver sees where the loop closes.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from array import array
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from sharpeyes.domain.camera import Codec
from sharpeyes.domain.errors import InvalidInputError, UnavailableError
from sharpeyes.simulator.fault import Picture

VERSION = 2
"""Of the drawing, the encoding and the file: a change of any of them makes all cached clips anew."""

CLOCK_RATE = 90_000
PAYLOAD_TYPE = 96
MAX_PACKET = 1400
"""Bytes of an RTP packet with its header: fits any path."""

_MAGIC = b"SHARPEYES-CLIP\n"
_MAX_FILE = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSpec:
    """What a clip shows and how it is coded; equal values share one clip."""

    codec: Codec = Codec.H264
    width: int = 1920
    height: int = 1080
    fps: float = 25.0
    gop: int = 50
    """Frames from one keyframe to the next."""
    gops: int = 7
    """Groups in the loop. With 7 groups of 2 s (or 4, which is quicker to make) a probe every 30, 60 or 300 s
    does not meet the same picture again, which would look frozen; with 3 or 5 it does."""
    kbps: int = 2000
    scene: int = 0
    picture: Picture = Picture.NORMAL

    def __post_init__(self) -> None:
        object.__setattr__(self, "codec", Codec(self.codec))  # JSON has them as text
        object.__setattr__(self, "picture", Picture(self.picture))
        if self.codec not in (Codec.H264, Codec.H265):
            raise InvalidInputError(f"codec of a clip is {self.codec}", mend="Use h264 or h265")
        bounds = {
            "width": (64, 4096),
            "height": (64, 4096),
            "fps": (1, 60),
            "gop": (1, 500),
            "gops": (1, 100),
            "kbps": (16, 50_000),
            "scene": (0, 10_000),
        }
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                raise InvalidInputError(
                    f"{name} of a clip is {getattr(self, name)}", mend=f"Give {least} to {most}"
                )
        if self.width % 2 or self.height % 2:
            raise InvalidInputError("width and height of a clip are odd", mend="Give even numbers")

    @property
    def key(self) -> str:
        """Name in the cache."""
        text = json.dumps([VERSION, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


# --- making -------------------------------------------------------------------------------------------------


def encode(spec: ClipSpec) -> bytes:
    """Draw and encode: the bytes of a clip file. Takes about a second of CPU for 100 frames of 1080p."""
    import av
    import cv2

    from sharpeyes.simulator.scene import Scene

    scene = Scene(spec.scene, spec.width, spec.height, spec.fps, spec.picture)
    rate = Fraction(spec.fps).limit_denominator(1001)
    context = av.CodecContext.create("libx264" if spec.codec is Codec.H264 else "libx265", "w")
    if not isinstance(context, av.VideoCodecContext):  # pragma: no cover - FFmpeg's own tables say otherwise
        raise UnavailableError(f"no video encoder for {spec.codec}")
    context.width, context.height, context.pix_fmt = spec.width, spec.height, "yuv420p"
    context.framerate, context.time_base = rate, 1 / rate
    context.bit_rate, context.gop_size, context.max_b_frames = spec.kbps * 1000, spec.gop, 0
    shape = (
        f"keyint={spec.gop}:min-keyint={spec.gop}:scenecut=0:bframes=0:rc-lookahead=0:"
        f"vbv-maxrate={spec.kbps}:vbv-bufsize={spec.kbps}:vbv-init=0.9"
    )
    if spec.codec is Codec.H264:
        context.options = {"preset": "superfast", "x264-params": f"{shape}:sliced-threads=0"}
    else:
        quiet = "open-gop=0:repeat-headers=1:log-level=none:info=0"
        context.options = {"preset": "ultrafast", "x265-params": f"{shape}:{quiet}"}
    units: list[bytes] = []
    keys: list[int] = []
    stills: list[bytes] = []
    small = (min(640, spec.width), min(640, spec.width) * spec.height // spec.width)
    for number in range(spec.gop * spec.gops):
        frame = av.VideoFrame.from_ndarray(scene.frame(number), format="yuv420p")
        frame.pts = number
        coded = context.encode(frame)
        if number % spec.gop == 0:
            _, still = cv2.imencode(
                ".jpg", cv2.resize(scene.still(number), small, interpolation=cv2.INTER_AREA)
            )
            stills.append(still.tobytes())
        for packet in coded:
            keys += [len(units)] if packet.is_keyframe else []
            units.append(_lengths(bytes(packet)))
    for packet in context.encode(None):
        keys += [len(units)] if packet.is_keyframe else []
        units.append(_lengths(bytes(packet)))
    if len(units) != spec.gop * spec.gops or keys != list(range(0, len(units), spec.gop)):
        raise UnavailableError(f"the encoder made {len(units)} frames with keyframes at {keys[:8]}")
    body = b"".join(units) + b"".join(stills)
    head = {
        "spec": asdict(spec),
        "units": [*map(len, units)],
        "stills": [*map(len, stills)],
        "crc": zlib.crc32(body),
    }
    return _MAGIC + json.dumps(head).encode() + b"\n" + body


def _lengths(annex_b: bytes) -> bytes:
    """Annex B to NAL units behind 4-byte lengths."""
    out: list[bytes] = []
    at = annex_b.find(b"\0\0\1")
    while at >= 0:
        following = annex_b.find(b"\0\0\1", at + 3)
        nal = annex_b[at + 3 : following if following >= 0 else len(annex_b)]
        if following >= 0:
            nal = nal.rstrip(b"\0")  # the fourth byte of the next start code; no NAL unit ends in zero
        out.append(struct.pack(">I", len(nal)) + nal)
        at = following
    return b"".join(out)


def cache_folder() -> Path:
    """Where clips are kept unless told otherwise: the user's cache folder (XDG)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sharpeyes" / "clips"


class ClipLibrary:
    """Clips by specification: from memory, from the cache folder, or made now by child processes.

    Encoding happens in children so that the serving process never holds an encoder's memory.
    """

    def __init__(self, folder: Path | None = None, *, in_band: bool = True, jobs: int | None = None) -> None:
        self.folder = folder or cache_folder()
        self._in_band = in_band
        self._jobs = jobs or max(1, os.cpu_count() or 1)
        self._clips: dict[ClipSpec, Clip] = {}
        self._children: set[subprocess.Popen[str]] = set()
        self._closed = False

    def __getitem__(self, spec: ClipSpec) -> Clip:
        """A clip that :meth:`prepare` made ready."""
        return self._clips[spec]

    def __contains__(self, spec: ClipSpec) -> bool:
        return spec in self._clips

    def prepare(self, specs: Iterable[ClipSpec], progress: Callable[[int, int], None] | None = None) -> None:
        """Make clips ready; blocks, so call it in a thread. ``progress(done, total)``, from several threads.

        UnavailableError if a clip can neither be read nor made.
        """
        wanted = [spec for spec in dict.fromkeys(specs) if spec not in self._clips]
        missing = [spec for spec in wanted if not self._take(spec)]
        missing.sort(key=lambda spec: -spec.width * spec.gops)  # what takes longest first
        done = len(wanted) - len(missing)
        if progress is not None:
            progress(done, len(wanted))
        if not missing:
            return
        self._writable()
        with ThreadPoolExecutor(min(self._jobs, len(missing)), "clip") as pool:
            for number, spec in enumerate(pool.map(self._make, missing), done + 1):
                if not self._take(spec):
                    raise UnavailableError(f"clip {spec.key} is unreadable although just made")
                if progress is not None:
                    progress(number, len(wanted))

    def close(self) -> None:
        """Whoever still makes clips, stops; :meth:`prepare` then raises."""
        self._closed = True
        for child in tuple(self._children):
            child.kill()

    def _writable(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError:
            self.folder = Path(tempfile.mkdtemp(prefix="sharpeyes-clips-"))

    def _take(self, spec: ClipSpec) -> bool:
        try:
            with (self.folder / f"{spec.key}.clip").open("rb") as file:
                data = file.read(_MAX_FILE)
            self._clips[spec] = Clip(spec, data, in_band=self._in_band)
        except (OSError, ValueError, KeyError, TypeError, struct.error):
            return False
        return True

    def _make(self, spec: ClipSpec) -> ClipSpec:
        command = [
            sys.executable,
            "-m",
            "sharpeyes.simulator.clip",
            str(self.folder),
            json.dumps(asdict(spec)),
        ]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:  # noqa: S603 - our own module
            self._children.add(child)
            if self._closed:
                child.kill()
            _, said = child.communicate()
            self._children.discard(child)
        if child.returncode:
            last = (said.strip().splitlines() or ["no message"])[-1]
            raise UnavailableError(f"making a {spec.width}x{spec.height} {spec.codec} clip failed: {last}")
        return spec


def store(spec: ClipSpec, folder: Path) -> Path:
    """Encode into the cache folder. Atomic: another process sees no half a clip."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{spec.key}.clip"
    data = encode(spec)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target


# --- serving ------------------------------------------------------------------------------------------------


class Clip:
    """A loaded clip: RTP packets of every frame, ready to be sent in an RTSP connection.

    ``data`` is a clip file; ValueError if it is not one of ``spec``. With ``in_band`` the parameter sets also
    travel before each keyframe, else in the SDP alone.
    """

    def __init__(self, spec: ClipSpec, data: bytes, *, in_band: bool = True) -> None:
        head_end = data.find(b"\n", len(_MAGIC))
        if not data.startswith(_MAGIC) or head_end < 0:
            raise ValueError("not a clip")
        head = json.loads(data[len(_MAGIC) : head_end])
        body = data[head_end + 1 :]
        if zlib.crc32(body) != head["crc"] or sum(head["units"]) + sum(head["stills"]) != len(body):
            raise ValueError("damaged clip")
        if ClipSpec(**head["spec"]) != spec or len(head["units"]) != spec.gop * spec.gops:
            raise ValueError("clip of another kind")
        self.spec = spec
        self.ssrc = zlib.crc32(spec.key.encode())
        step = Fraction(CLOCK_RATE) / Fraction(spec.fps).limit_denominator(1001)
        self._step = step.numerator, step.denominator
        self.parameter_sets: tuple[bytes, ...] = ()
        """SPS, PPS for H.264; VPS, SPS, PPS for H.265."""
        self._frames: list[bytes] = []
        self._starts: list[array[int]] = []
        """Offsets of the packets' interleaved headers in each frame."""
        self._first = array("L")
        """Packets of the loop before each frame."""
        self._made: dict[tuple[int, int], bytes] = {}
        at = count = 0
        for size in head["units"]:
            packets = self._packets(body[at : at + size], in_band)
            at += size
            starts = array("L")
            position = 0
            for packet in packets:
                starts.append(position)
                position += len(packet) + 4
            self._frames.append(b"".join(b"$\0" + len(packet).to_bytes(2) + packet for packet in packets))
            self._starts.append(starts)
            self._first.append(count)
            count += len(packets)
        self.packets = count
        """RTP packets of one loop."""
        self.stills: list[bytes] = []
        """One JPEG a group of pictures, at most 640 wide."""
        for size in head["stills"]:
            self.stills.append(body[at : at + size])
            at += size

    def __len__(self) -> int:
        return len(self._frames)

    def is_keyframe(self, n: int) -> bool:
        return n % self.spec.gop == 0

    def sequence(self, n: int) -> int:
        """Sequence number of frame ``n``'s first packet."""
        loop, index = divmod(n, len(self._frames))
        return (loop * self.packets + self._first[index]) & 0xFFFF

    def rtp_time(self, n: int) -> int:
        above, below = self._step
        return n * above // below & 0xFFFFFFFF

    def count(self, n: int) -> int:
        """Packets of frame ``n``."""
        return len(self._starts[n % len(self._frames)])

    def starts(self, n: int) -> Sequence[int]:
        """Offsets in ``frame(n)`` at which packets begin, their 4-byte interleaved header included."""
        return self._starts[n % len(self._frames)]

    def frame(self, n: int, channel: int = 0, shift: int = 0) -> bytes:
        """Frame ``n`` of the endless stream: interleaved RTP packets, marker on the last.

        ``shift`` is added to the sequence numbers. Without it the bytes are made once for all sessions.
        """
        made = self._made.get((n, channel)) if not shift else None
        if made is not None:
            return made
        index = n % len(self._frames)
        frame = bytearray(self._frames[index])
        sequence, time = self.sequence(n) + shift, self.rtp_time(n)
        pack = _STAMP.pack_into
        for start in self._starts[index]:
            pack(frame, start + 6, sequence & 0xFFFF, time)
            sequence += 1
        if channel:
            for start in self._starts[index]:
                frame[start + 1] = channel
        made = bytes(frame)
        if not shift:
            if len(self._made) >= 2 * self.spec.gop:  # sessions are spread over one group of pictures
                del self._made[next(iter(self._made))]
            self._made[n, channel] = made
        return made

    def still(self, n: int) -> bytes:
        """A JPEG of the group of pictures that frame ``n`` belongs to."""
        return self.stills[n // self.spec.gop % len(self.stills)]

    @cached_property
    def media(self) -> str:
        """The SDP media section (RFC 4566) without its ``a=control``."""
        sets = [b64encode(each).decode() for each in self.parameter_sets]
        if self.spec.codec is Codec.H264:
            profile = self.parameter_sets[0][1:4].hex().upper()
            name = "H264"
            form = f"packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={','.join(sets)}"
        else:
            name = "H265"
            form = ";".join(
                f"sprop-{kind}={value}" for kind, value in zip(("vps", "sps", "pps"), sets, strict=True)
            )
        return (
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}\r\nb=AS:{self.spec.kbps}\r\n"
            f"a=rtpmap:{PAYLOAD_TYPE} {name}/{CLOCK_RATE}\r\na=fmtp:{PAYLOAD_TYPE} {form}\r\n"
            f"a=framerate:{self.spec.fps:.1f}\r\na=x-dimensions:{self.spec.width},{self.spec.height}\r\n"
        )

    def _packets(self, unit: bytes, in_band: bool) -> list[bytes]:
        """RTP packets of one coded picture, time stamp and sequence number still zero."""
        payloads: list[bytes] = []
        at = 0
        sets: list[bytes] = []
        while at < len(unit):
            size = int.from_bytes(unit[at : at + 4])
            nal = unit[at + 4 : at + 4 + size]
            at += 4 + size
            kind = nal[0] & 31 if self.spec.codec is Codec.H264 else nal[0] >> 1 & 63
            if kind in _SETS[self.spec.codec]:
                sets.append(nal)
                if not in_band:
                    continue
            elif kind in _SKIPPED[self.spec.codec]:
                continue
            payloads += _fragments(nal, self.spec.codec)
        if sets and not self.parameter_sets:
            self.parameter_sets = tuple(sets)
        head = struct.pack(">BBHII", 0x80, PAYLOAD_TYPE, 0, 0, self.ssrc)
        packets = [head + payload for payload in payloads]
        packets[-1] = struct.pack(">BBHII", 0x80, 0x80 | PAYLOAD_TYPE, 0, 0, self.ssrc) + payloads[-1]
        return packets


_STAMP = struct.Struct(">HI")
_SETS = {Codec.H264: frozenset({7, 8}), Codec.H265: frozenset({32, 33, 34})}
_SKIPPED = {
    Codec.H264: frozenset({6, 9, 12}),
    Codec.H265: frozenset({35, 38, 39, 40}),
}  # SEI, delimiter, filler


def _fragments(nal: bytes, codec: Codec) -> Iterator[bytes]:
    """The payloads of one NAL unit: whole, or as fragmentation units (RFC 6184 5.8, RFC 7798 4.4.3)."""
    room = MAX_PACKET - 12
    if len(nal) <= room:
        yield nal
        return
    if codec is Codec.H264:
        indicator, kind, skip = bytes([nal[0] & 0xE0 | 28]), nal[0] & 31, 1
    else:
        indicator, kind, skip = bytes([nal[0] & 0x81 | 49 << 1, nal[1]]), nal[0] >> 1 & 63, 2
    room -= len(indicator) + 1
    for start in range(skip, len(nal), room):
        piece = nal[start : start + room]
        first, last = start == skip, start + room >= len(nal)
        yield indicator + bytes([first << 7 | last << 6 | kind]) + piece


def _main(folder: str, spec: str) -> None:
    store(ClipSpec(**json.loads(spec)), Path(folder))


if __name__ == "__main__":
    _main(*sys.argv[1:])
