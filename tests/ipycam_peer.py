"""An independent virtual camera (the package ipycam) in a process of its own, on loopback, its clock shifted.

Run as a script it serves ONVIF and answers WS-Discovery until its standard input closes. What it would send
to the network by itself (Hello, Bye) is left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def _serve(address: str, shift_s: float, username: str, password: str) -> None:
    import datetime as dates
    import socket
    import threading
    import time

    real_time, real_gmtime = time.time, time.gmtime
    time.time = lambda: real_time() + shift_s
    time.gmtime = lambda seconds=None: real_gmtime(time.time() if seconds is None else seconds)

    import ipycam.onvif as onvif
    from ipycam.camera import CameraConfig, IPCamera, IPCameraHTTPHandler, ReusableThreadingTCPServer
    from ipycam.discovery import WSDiscoveryServer

    class ShiftedDatetime(dates.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return dates.datetime.now(tz) + dates.timedelta(seconds=shift_s)

    onvif.datetime = ShiftedDatetime

    class Handler(IPCameraHTTPHandler):
        # The peer keeps connections open forever in a thread each; HTTP/1.0 is its default and is kept.
        pass

    http = ReusableThreadingTCPServer((address, 0), Handler)
    config = CameraConfig(
        name="Loading Bay",
        serial_number="PY-778899",
        local_ip=address,
        onvif_port=http.server_address[1],
        username=username,
        password=password,
    )
    Handler.camera = IPCamera(config)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("", 0))
        WSDiscoveryServer.MULTICAST_PORT = free.getsockname()[1]

    class Quiet(WSDiscoveryServer):
        def _send_announcement(self, action: str) -> None:
            """Nothing of a test leaves this machine."""

    discovery = Quiet(Handler.camera.onvif)
    discovery.start()
    threading.Thread(target=http.serve_forever, daemon=True).start()
    ports = {"http": http.server_address[1], "discovery": Quiet.MULTICAST_PORT}
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


@contextmanager
def ipycam(
    address: str = "127.0.0.1", *, shift_s: float = 0.0, username: str = "", password: str = ""
) -> Iterator[dict[str, int]]:
    """Ports of a running camera: ``http`` and ``discovery``."""
    process = subprocess.Popen(
        [sys.executable, __file__, address, str(shift_s), username, password],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.communicate("")


if __name__ == "__main__":
    _serve(sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4])
