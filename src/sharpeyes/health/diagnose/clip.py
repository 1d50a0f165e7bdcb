"""Pictures from a video file: the first, the last, or all of a short clip, decode errors kept as evidence."""

from __future__ import annotations

from pathlib import Path

import av
from av.video.frame import VideoFrame

from sharpeyes.health.diagnose.picture import MOST_PIXELS, DecoderError, Picture, UnreadablePictureError

_OPTIONS = {"protocol_whitelist": "file", "max_pixels": str(MOST_PIXELS)}
"""A file that names others, or places in the network, gets nothing from there."""


def read_clip(path: Path, *, most: int = 64) -> list[Picture]:
    """The first `most` pictures of a video file. Raises UnreadablePictureError when there is none."""
    pictures: list[Picture] = []
    errors = DecoderError.NONE
    try:
        with av.open(f"file:{path}", options=_OPTIONS) as container:
            if not container.streams.video:
                raise UnreadablePictureError(
                    f"{path}: no video in it", "Give a file with an H.264 or H.265 stream"
                )
            stream = container.streams.video[0]
            stream.thread_count = 1
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    # damage: what follows may still decode
                    errors |= DecoderError.REFUSED
                    continue
                for frame in frames:
                    if isinstance(frame, VideoFrame):
                        at = int(float(frame.time or 0.0) * 1000)
                        pictures.append(Picture.from_frame(frame, time_ms=at, errors=errors))
                        errors = DecoderError.NONE
                        if len(pictures) >= most:
                            return pictures
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadablePictureError(
            f"{path}: {reason}", "Give a JPEG or PNG picture or a video file that FFmpeg can read"
        ) from error
    if not pictures:
        raise UnreadablePictureError(
            f"{path}: no picture could be decoded", "Record the clip again, starting at a keyframe"
        )
    return pictures
