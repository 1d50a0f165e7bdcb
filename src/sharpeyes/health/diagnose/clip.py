"""Pictures from files: of an image the one, of a video the first ones; decode errors are kept as evidence."""

from __future__ import annotations

import errno
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame

from sharpeyes.health.diagnose.keyframe import decode_jpeg
from sharpeyes.health.diagnose.picture import MOST_PIXELS, DecoderError, Picture, UnreadablePictureError

_FORMS = (
    "mov,matroska,mpegts,mpeg,mpegvideo,avi,flv,asf,ogg,mxf,ivf,dhav,h264,hevc,m4v,mjpeg,av1,obu,"
    "yuv4mpegpipe,gif,apng,jpeg_pipe,png_pipe,bmp_pipe,webp_pipe,tiff_pipe,ppm_pipe,pgm_pipe,j2k_pipe"
)
"""Of FFmpeg's: what cameras and recorders write. Others make pictures of any text, or wait for more of it."""
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMS, "max_pixels": str(MOST_PIXELS)}
"""A file that names others, or places in the network, gets nothing from there."""
_MOST_BYTES = 64_000_000


def read_image(path: Path) -> Picture:
    """From a JPEG, PNG, BMP, WebP or TIFF file of at most 64 MB. Raises UnreadablePictureError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UnreadablePictureError(
            f"{path}: {error.strerror or error}", "Check the path and its permissions"
        ) from error
    if len(data) > _MOST_BYTES:
        raise UnreadablePictureError(f"{path}: more than 64 MB", "Give a picture of the camera's own size")
    picture = _picture(data)
    if picture is None:
        raise UnreadablePictureError(
            f"{path}: not a readable picture of at most 67 million pixels", "Give a JPEG, PNG or a video file"
        )
    return picture


def _picture(data: bytes) -> Picture | None:
    if data.startswith(b"\xff\xd8"):
        return decode_jpeg(data)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:  # more pixels than OpenCV allows
        return None
    return None if image is None else Picture.from_bgr(np.asarray(image, np.uint8))


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
        unknown = error.errno == errno.EINVAL  # none of the forms above
        reason = "no picture and no video" if unknown else error.strerror or str(error)
        raise UnreadablePictureError(
            f"{path}: {reason}", "Give a JPEG or PNG picture or a video file that FFmpeg can read"
        ) from error
    if not pictures:
        raise UnreadablePictureError(
            f"{path}: no picture could be decoded", "Record the clip again, starting at a keyframe"
        )
    return pictures
