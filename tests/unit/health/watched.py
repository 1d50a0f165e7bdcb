"""The one camera that is watched here, and when."""

from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms

NOW = Ms(1_790_000_000_000)
CAMERA = Camera(
    id="c",
    name="c",
    tier=Tier.COMMUNITY,
    department="d",
    area="a",
    zone="z",
    streams=(Stream(role=StreamRole.MAIN, url="rtsp://h/c"),),
)
