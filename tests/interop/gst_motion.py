"""Cameras made of gst-rtsp-server that show rings; run by Debian's Python, prints its port and its encoders.

At /<encoder>/living the rings run, at /<encoder>/frozen they stand still, 640x360, 25 a second, under the
encoder's own control of the bit rate.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

SOURCE = (
    "videotestsrc is-live=true pattern=zone-plate kx2=24 ky2=24 kt={speed}"
    " ! video/x-raw,format=I420,width=640,height=360,framerate=25/1"
)
ENCODERS = {
    "x264enc": "x264enc tune=zerolatency key-int-max=25 ! rtph264pay name=pay0 config-interval=-1",
    "openh264enc": "openh264enc gop-size=25 bitrate=2000000 rate-control=bitrate"
    " ! rtph264pay name=pay0 config-interval=-1",
    "x265enc": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=4000"
    " ! rtph265pay name=pay0 config-interval=-1",
    "jpegenc": "jpegenc ! rtpjpegpay name=pay0",
}


def main() -> None:
    Gst.init(None)
    found = [name for name in ENCODERS if Gst.ElementFactory.find(name) is not None]
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    for name in found:
        for show, speed in (("living", 8), ("frozen", 0)):
            factory = GstRtspServer.RTSPMediaFactory()
            factory.set_launch(f"( {SOURCE.format(speed=speed)} ! {ENCODERS[name]} )")
            factory.set_shared(True)
            server.get_mount_points().add_factory(f"/{name}/{show}", factory)
    server.attach(None)
    print(server.get_bound_port(), *found, flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    if "--check" not in sys.argv:
        main()
