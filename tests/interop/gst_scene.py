"""A camera made of gst-rtsp-server whose source can be changed; run by Debian's Python, prints its port.

``gst_scene.py DIR [ACCOUNT PASSWORD [ADDRESS [CERTIFICATE]]]``: plays ``DIR/<show>.i420`` (640x360, 5 a
second) round and round at /scene (H.264), /h265 and /jpeg, and every ``DIR/*.mkv`` of H.264 as it is at its
own name; a line on standard input names the show. With an account, digest authentication is asked for; with a
certificate and its key in one PEM file, TLS. ``--check`` only says whether all that is needed is installed.
"""

import itertools
import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import Gio, GLib, Gst, GstApp, GstRtsp, GstRtspServer  # noqa: E402, F401

SIZE = 640 * 360 * 3 // 2
SOURCE = (
    "appsrc name=src is-live=true format=time do-timestamp=true"
    " caps=video/x-raw,format=I420,width=640,height=360,framerate=5/1"
)
STREAMS = {
    "/scene": "x264enc tune=zerolatency key-int-max=5 bitrate=3000 speed-preset=ultrafast"
    " ! rtph264pay name=pay0 config-interval=-1",
    "/h265": "x265enc tune=zerolatency key-int-max=5 bitrate=3000 speed-preset=ultrafast"
    " ! rtph265pay name=pay0 config-interval=-1",
    "/jpeg": "jpegenc quality=85 ! rtpjpegpay name=pay0",
}


def main() -> None:
    Gst.init(None)
    for element in ("x264enc", "x265enc", "jpegenc", "rtph264pay", "rtph265pay", "rtpjpegpay", "appsrc"):
        if Gst.ElementFactory.find(element) is None:
            sys.exit(f"no {element}")
    if "--check" in sys.argv:
        return
    shows = {}
    for path in Path(sys.argv[1]).glob("*.i420"):
        data = path.read_bytes()
        shows[path.stem] = [data[at : at + SIZE] for at in range(0, len(data), SIZE)]
    frames = itertools.cycle(shows["normal"])
    sources = []

    def configure(_factory, media):  # type: ignore[no-untyped-def]
        source = media.get_element().get_by_name("src")
        sources.append(source)
        media.connect("unprepared", lambda _media: sources.remove(source))

    def push() -> bool:
        frame = next(frames)
        for source in sources:
            source.emit("push-buffer", Gst.Buffer.new_wrapped(frame))
        return True

    def change(_channel, _condition) -> bool:  # type: ignore[no-untyped-def]
        nonlocal frames
        line = sys.stdin.readline().strip()
        if line:
            frames = itertools.cycle(shows[line])
        return bool(line)

    server = GstRtspServer.RTSPServer()
    server.set_address(sys.argv[4] if len(sys.argv) > 4 else "127.0.0.1")
    server.set_service("0")
    launches = {path: f"( {SOURCE} ! {tail} )" for path, tail in STREAMS.items()}
    for file in Path(sys.argv[1]).glob("*.mkv"):
        launches[f"/{file.stem}"] = (
            f"( filesrc location={file} ! matroskademux ! h264parse"
            " ! rtph264pay name=pay0 config-interval=-1 )"
        )
    if len(sys.argv) > 2:
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth = GstRtspServer.RTSPAuth()
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(sys.argv[2], sys.argv[3], token)
        if len(sys.argv) > 5:
            auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(sys.argv[5]))
        server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    for path, launch in launches.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(launch)
        factory.set_permissions(permissions)
        if path in STREAMS:
            factory.set_shared(True)
            factory.connect("media-configure", configure)
        server.get_mount_points().add_factory(path, factory)
    server.attach(None)
    GLib.timeout_add(200, push)
    GLib.io_add_watch(sys.stdin, GLib.IO_IN, change)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
