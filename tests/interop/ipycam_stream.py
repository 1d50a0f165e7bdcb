"""The RTSP server of ipycam, fed with a moving bar; prints its port. ipycam encodes with ffmpeg."""

from __future__ import annotations

import time

import numpy as np
from ipycam.rtsp import NativeRTSPServer

WIDTH, HEIGHT, FPS = 640, 360, 15


def main() -> None:
    server = NativeRTSPServer(port=0, host="127.0.0.1")
    server.add_stream("video_main", WIDTH, HEIGHT, FPS, "1M")
    assert server.start()
    print(server._server_socket.getsockname()[1], flush=True)
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    number = 0
    while True:
        picture = frame.copy()
        picture[:, number * 8 % WIDTH : number * 8 % WIDTH + 40] = 255
        server.stream_frame("video_main", picture)
        number += 1
        time.sleep(1 / FPS)


if __name__ == "__main__":
    main()
