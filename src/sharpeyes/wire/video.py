"""Which format of a described track is understood, and the receiver for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from sharpeyes.wire.h264 import H264Depacketiser
from sharpeyes.wire.h265 import H265Depacketiser
from sharpeyes.wire.jpeg import JpegDepacketiser
from sharpeyes.wire.nal import Depacketiser
from sharpeyes.wire.rtp import RtpReceiver, measured_fps
from sharpeyes.wire.sdp import Format, Media

_NAMES = {"H264": "h264", "H265": "h265", "HEVC": "h265", "JPEG": "jpeg", "MJPEG": "jpeg"}


@dataclass(frozen=True, slots=True)
class Track:
    """A video track and the format of it that will be followed."""

    media: Media
    format: Format
    codec: str | None
    """``h264``, ``h265``, ``jpeg``; None for what is not understood."""

    @property
    def name(self) -> str:
        """Codec for people, also if it is not understood."""
        return self.codec or self.format.encoding.lower() or f"payload type {self.format.payload_type}"

    def depacketiser(self) -> Depacketiser | None:
        """A fresh depacketiser with the parameter sets of the description; None for an unknown codec."""
        parameters = self.format.parameters
        if self.codec == "h264":
            return H264Depacketiser().primed(_h264(parameters.get("sprop-parameter-sets", "")))
        if self.codec == "h265":
            # A stream may be numbered only over UDP or in several sessions, but some firmware does it anyway.
            numbered = _positive(parameters.get("sprop-max-don-diff", "0"))
            sets = _h265(*(parameters.get(name, "") for name in ("sprop-vps", "sprop-sps", "sprop-pps")))
            return H265Depacketiser(numbered=numbered).primed(sets)
        if self.codec == "jpeg":
            return JpegDepacketiser(size=self.media.size)
        return None

    def receiver(self, *, channel: int = 0, reorder: bool = False) -> RtpReceiver:
        """A receiver of this track: from interleaved frames on ``channel``, or from datagrams."""
        first = self.format.payload_type
        others = (form.payload_type for form in self.media.formats if form.payload_type != first)
        return RtpReceiver(self.depacketiser(), (first, *others), channel=channel, reorder=reorder)

    def fps(self, receiver: RtpReceiver) -> float | None:
        """Measured from what was received, else as the parameter sets or the description declare it."""
        geometry = receiver.depacketiser.geometry if receiver.depacketiser else None
        declared = (geometry.fps if geometry else None) or self.media.framerate
        return measured_fps(receiver.times, self.format.clock_rate, declared)


def choose_track(media: Media) -> Track:
    """The first format of a video track that is understood, else its first format at all."""
    for form in media.formats:
        if form.encoding in _NAMES:
            return Track(media, form, _NAMES[form.encoding])
    for form in media.formats:
        # No rtpmap, but parameters that give the codec away
        if "sprop-parameter-sets" in form.parameters or "profile-level-id" in form.parameters:
            return Track(media, form, "h264")
        if "sprop-sps" in form.parameters:
            return Track(media, form, "h265")
    form = media.formats[0] if media.formats else Format(96, "", 90000, {})
    return Track(media, form, None)


@lru_cache(maxsize=512)  # those of many cameras are the same
def _h264(sets: str) -> H264Depacketiser:
    made = H264Depacketiser()
    made.parameter_sets(sets)
    return made


@lru_cache(maxsize=512)
def _h265(*sets: str) -> H265Depacketiser:
    made = H265Depacketiser()
    for each in sets:
        made.parameter_sets(each)
    return made


def _positive(text: str) -> bool:
    return bool(re.fullmatch(r"0*[1-9][0-9]{0,8}", text.strip()))
