"""A camera made of gst-rtsp-server with digest authentication; run by Debian's Python, prints its port.

``--check`` only says whether all that is needed is installed.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

QUICK = "tune=zerolatency key-int-max=12 speed-preset=ultrafast"
STREAMS = {
    "/h264": "width=640,height=360,framerate=25/1"
    f" ! x264enc {QUICK} ! rtph264pay name=pay0 config-interval=-1",
    "/h264b": "width=638,height=358,framerate=15/1"
    " ! x264enc bframes=2 key-int-max=8 speed-preset=superfast ! rtph264pay name=pay0 config-interval=0",
    "/h265": "width=640,height=360,framerate=25/1"
    f" ! x265enc {QUICK} ! rtph265pay name=pay0 config-interval=-1",
}


def main() -> None:
    Gst.init(None)
    for element in ("x264enc", "x265enc", "rtph264pay", "rtph265pay"):
        if Gst.ElementFactory.find(element) is None:
            sys.exit(f"no {element}")
    if "--check" in sys.argv:
        return
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_digest("admin", "s3cret", token)
    server.set_auth(auth)
    for path, tail in STREAMS.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,{tail} )")
        factory.set_shared(True)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
        server.get_mount_points().add_factory(path, factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
