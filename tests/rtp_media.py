"""Coded pictures for tests: H.264 and H.265 from PyAV, cut into RTP packets by the tests' own packetiser."""

from __future__ import annotations

import base64
import io
import re
import struct
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

ENCODERS = {"h264": "libx264", "h265": "libx265", "jpeg": "mjpeg"}


@dataclass(frozen=True)
class Clip:
    """Coded pictures in decoding order, each a list of NAL units without start codes."""

    codec: str
    pictures: list[list[bytes]]
    times: list[int]
    width: int
    height: int
    fps: float

    @property
    def parameter_sets(self) -> list[bytes]:
        return [unit for unit in self.pictures[0] if is_parameter_set(self.codec, unit)]

    def sdp(self, *, control: str | None = "trackID=0", sprop: bool = True, extra: str = "") -> bytes:
        name = {"h264": "H264", "h265": "H265"}[self.codec]
        lines = [
            "v=0",
            "o=- 1 1 IN IP4 0.0.0.0",
            "s=-",
            "t=0 0",
            "m=video 0 RTP/AVP 96",
            f"a=rtpmap:96 {name}/90000",
        ]
        sets = [base64.b64encode(unit).decode() for unit in self.parameter_sets]
        if sprop and self.codec == "h264":
            lines.append(f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={','.join(sets)}")
        elif sprop:
            lines.append(f"a=fmtp:96 sprop-vps={sets[0]};sprop-sps={sets[1]};sprop-pps={sets[2]}")
        if control is not None:
            lines.append(f"a=control:{control}")
        if extra:
            lines.append(extra)
        return ("\r\n".join(lines) + "\r\n").encode()

    def packets(
        self, *, pictures: slice = slice(None), in_band: bool = True, first: int = 100
    ) -> list[bytes]:
        """RTP packets, not interleaved."""
        result: list[bytes] = []
        for units, time in zip(self.pictures[pictures], self.times[pictures], strict=True):
            sent = [unit for unit in units if in_band or not is_parameter_set(self.codec, unit)]
            payloads = [payload for unit in sent for payload in fragment(self.codec, unit)]
            for index, payload in enumerate(payloads):
                result.append(rtp(payload, first + len(result), time, marker=index == len(payloads) - 1))
        return result


def is_parameter_set(codec: str, unit: bytes) -> bool:
    return unit[0] & 31 in (7, 8) if codec == "h264" else unit[0] >> 1 & 63 in (32, 33, 34)


def rtp(
    payload: bytes, number: int, time: int, *, marker: bool = False, kind: int = 96, ssrc: int = 0x1234
) -> bytes:
    return struct.pack(">BBHII", 0x80, kind | marker << 7, number & 0xFFFF, time & 0xFFFFFFFF, ssrc) + payload


def interleave(packets: list[bytes], channel: int = 0) -> bytes:
    return b"".join(struct.pack(">BBH", 0x24, channel, len(packet)) + packet for packet in packets)


def fragment(codec: str, unit: bytes, size: int = 1300) -> list[bytes]:
    """Single unit packet or FU fragments."""
    if len(unit) <= size:
        return [unit]
    if codec == "h264":
        head, body, kind = bytes((unit[0] & 0xE0 | 28,)), unit[1:], unit[0] & 31
    else:
        head, body, kind = bytes((unit[0] & 0x81 | 49 << 1, unit[1])), unit[2:], unit[0] >> 1 & 63
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return [
        head + bytes((kind | (index == 0) << 7 | (index == len(parts) - 1) << 6,)) + part
        for index, part in enumerate(parts)
    ]


def encode(
    codec: str,
    *,
    width: int = 320,
    height: int = 180,
    fps: Fraction | int = 25,
    frames: int = 30,
    gop: int = 10,
    options: dict[str, str] | None = None,
) -> Clip:
    """Noise that moves: large enough to be fragmented, quick to encode."""
    stream_options = {"preset": "ultrafast", "bf": "0"}
    if codec == "h265":
        stream_options["x265-params"] = (
            f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:repeat-headers=1:log-level=none"
        )
    context = av.CodecContext.create(ENCODERS[codec], "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.framerate = Fraction(fps)
    context.time_base = 1 / Fraction(fps)
    context.gop_size = gop
    context.options = stream_options | (options or {})
    random = np.random.default_rng(7)
    noise = random.integers(0, 255, (height * 2, width * 2), dtype=np.uint8)
    pictures, times = [], []
    for number in range(frames + 1):
        if number < frames:
            y = noise[number : number + height, number : number + width]
            planes = np.concatenate([y, np.full((height // 2, width), 128, np.uint8)])
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")
            frame.pts = number
            packets = context.encode(frame)
        else:
            packets = context.encode(None)
        for packet in packets:
            pictures.append([u for u in re.split(rb"\x00*\x00\x00\x01", bytes(packet)) if u])
            times.append(round(packet.pts * 90000 / Fraction(fps)))
    return Clip(codec, pictures, times, width, height, float(fps))


def decode_size(codec: str, data: bytes) -> tuple[int, int]:
    """Width and height of the first picture that a decoder makes of a keyframe."""
    name = {"h264": "h264", "h265": "hevc", "jpeg": "mjpeg"}[codec]
    with av.open(io.BytesIO(data), format=name) as container:
        frame = next(container.decode(video=0))
        return frame.width, frame.height
