"""The RTSP server of ipycam with a source that can be changed; prints its port. See ``gst_scene.py``.

``ipycam_scene.py DIR``: plays ``DIR/<show>.npy``, frames of BGR; a line on standard input names the show.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from pathlib import Path

import numpy as np
from ipycam.rtsp import NativeRTSPServer

WIDTH, HEIGHT, FPS = 640, 360, 5


def main() -> None:
    shows = {path.stem: np.load(path) for path in Path(sys.argv[1]).glob("*.npy")}
    now = [itertools.cycle(shows["normal"])]

    def listen() -> None:
        for line in sys.stdin:
            now[0] = itertools.cycle(shows[line.strip()])

    threading.Thread(target=listen, daemon=True).start()
    server = NativeRTSPServer(port=0, host="127.0.0.1")
    server.add_stream("video_main", WIDTH, HEIGHT, FPS, "3M")
    assert server.start()
    print(server._server_socket.getsockname()[1], flush=True)
    while True:
        server.stream_frame("video_main", np.ascontiguousarray(next(now[0])))
        time.sleep(1 / FPS)


if __name__ == "__main__":
    main()
