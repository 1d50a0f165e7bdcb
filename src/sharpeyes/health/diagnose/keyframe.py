"""Decode one keyframe; what the decoder complains about is evidence and not an exception."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from sharpeyes.health.diagnose.motion import Codec, difference, fineness_of, limit_of, luma_of, means_of
from sharpeyes.health.diagnose.picture import (
    GRID_WIDTH,
    MOST_PIXELS,
    DecoderError,
    Picture,
    UnreadablePictureError,
)
from sharpeyes.wire import h264, h265
from sharpeyes.wire.nal import MAX_PICTURE, BitError

_FFMPEG_NAME = {"h264": "h264", "h265": "hevc"}
_HEAD = 2048
"""Bytes in which the sequence parameter set is looked for."""
_contexts = threading.local()


@dataclass(frozen=True, slots=True)
class Decoded:
    """`picture` is None when nothing could be saved of the keyframe; `message` is FFmpeg's complaint."""

    picture: Picture | None
    errors: DecoderError
    message: str = ""
    moves: bool = False
    """Something moves in the pictures behind it; False if none were given."""


def _width(data: bytes, codec: Codec) -> int:
    """What the sequence parameter set in front of a keyframe says; 0 if there is none that can be read."""
    for unit in data[:_HEAD].split(b"\0\0\1")[1:]:
        try:
            if codec == "h264" and unit[0] & 0x1F == h264.SPS:
                return h264.parse_sps(unit)[1].width
            if codec == "h265" and unit[0] >> 1 & 0x3F == h265.SPS:
                return h265.parse_sps(unit)[1].width
        except (BitError, IndexError):
            continue
    return 0


def _context(data: bytes, codec: Codec) -> VideoCodecContext:
    # The loop filter is a fifth of the time. In a large picture nobody misses it at 640x360; a small one
    # without it shows its macroblocks wherever bits are scarce, as a damaged one does.
    filtered = _width(data, codec) <= GRID_WIDTH
    # A fresh context costs 1.7 ms of a 1080p keyframe's 10; contexts are not shared between threads.
    kept: dict[tuple[Codec, bool], VideoCodecContext] | None = getattr(_contexts, "kept", None)
    if kept is None:
        kept = _contexts.kept = {}
    context = kept.get((codec, filtered))
    if context is None:
        made = av.CodecContext.create(_FFMPEG_NAME[codec], "r")
        assert isinstance(made, VideoCodecContext)
        made.thread_count = 1
        made.flags |= av.codec.context.Flags.low_delay
        made.skip_frame = "DEFAULT"
        made.options = {"max_pixels": str(MAX_PICTURE)}
        if not filtered:
            made.options |= {"skip_loop_filter": "all"}
        context = kept[codec, filtered] = made
    return context


def decode_keyframe(
    data: bytes, codec: Codec, *, time_ms: int = 0, following: Sequence[bytes] = ()
) -> Decoded:
    """One access unit in Annex B form, parameter sets included, to a picture; blocks, so call it in a thread.

    ``following``: access units behind it, in coding order; so many of them are decoded as it takes to see
    something move. The thread's context is reused: decode, drain, flush. Never raises on bad data.
    """
    context = _context(data, codec)
    errors, message, in_motion = DecoderError.NONE, "", False
    frames: list[VideoFrame] = []
    run = data.split(h264.DELIMITER)[1:]  # of a gradual refresh: whole at its end
    if run:
        following = ()
    try:
        for packet in (*map(av.Packet, run or [data]), None):
            try:
                frames = (frames + context.decode(packet))[-1 if run else 0 :]
            except av.FFmpegError as error:
                errors |= DecoderError.REFUSED
                message = error.strerror or str(error)
            if frames and following:
                break
        if frames and following and packet is not None:
            in_motion = _in_motion(context, codec, len(data), frames[0], following)
        elif frames and following and codec == "h264":
            # It came only when no more did: they are shown in another order than coded. Of H.265 in such an
            # order some in a thousand that stand still would be cleared.
            context.flush_buffers()
            in_motion = _in_motion(context, codec, len(data), frames[0], (data, *following))
    finally:
        context.flush_buffers()
        if context.has_b_frames:  # outlives the flush, and holds back the first picture of other streams
            _contexts.kept = {key: each for key, each in _contexts.kept.items() if each is not context}
    if not frames:
        return Decoded(None, errors | DecoderError.REFUSED, message or "no frame came out of the decoder")
    try:
        picture = Picture.from_frame(frames[0], time_ms=time_ms, errors=errors)
    except UnreadablePictureError as error:
        return Decoded(None, errors | DecoderError.REFUSED, str(error))
    return Decoded(picture, picture.errors, message, in_motion)


def decode_jpeg(data: bytes, *, time_ms: int = 0) -> Picture | None:
    """A JPEG to a picture, None if there is none in it. Blocks.

    OpenCV turns it as its Exif says, and guesses on where data is damaged, with colours of nowhere. FFmpeg
    tells of damage if asked to be strict, and then its picture is taken: it leaves open what it cannot read.
    """
    if data[:2] == b"\xff\xd8" and not _jpeg_frames(data, strict=True):
        frames = _jpeg_frames(data, strict=False)
        with suppress(UnreadablePictureError):
            if frames:
                return Picture.from_frame(frames[0], time_ms=time_ms, errors=DecoderError.REFUSED)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # more pixels than OpenCV allows
        return None
    return None if image is None else Picture.from_bgr(np.asarray(image, np.uint8), time_ms=time_ms)


def _jpeg_frames(data: bytes, *, strict: bool) -> list[VideoFrame]:
    context = av.CodecContext.create("mjpeg", "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    context.options = {"max_pixels": str(MOST_PIXELS)} | ({"err_detect": "explode"} if strict else {})
    frames: list[VideoFrame] = []
    for packet in (av.Packet(data), None):
        with suppress(av.FFmpegError):
            frames += context.decode(packet)
    return frames


def _in_motion(
    context: VideoCodecContext, codec: Codec, size: int, first: VideoFrame, coded: Sequence[bytes]
) -> bool:
    """Whether one of these pictures shows that something moves beside the first one, of so many bytes coded.
    Damage is no motion."""
    limit = limit_of(fineness_of(size, first.width, first.height, codec), codec)
    if limit is None or first.is_corrupt or (luma := luma_of(first)) is None:
        return False
    before = means_of(luma)
    for packet in (*map(av.Packet, coded), None):
        try:
            frames = context.decode(packet)
        except av.FFmpegError:
            return False
        for frame in frames:
            if frame.is_corrupt or (after := luma_of(frame)) is None:
                return False
            if difference(before, after, limit) > 1:
                return True
    return False
