"""A decode process: takes turns from :class:`~sharpeyes.health.decoders.Processes` until its source ends.

Run by the monitor only: python -m sharpeyes.health.decoder SOCKET PARENT
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import socket
import sys
import time

from sharpeyes.health.decoders import LENGTH, Said
from sharpeyes.health.examine import PictureExaminer
from sharpeyes.health.examiner import TURNS, Examiner
from sharpeyes.net.process import calm_collector, confine, own_memory

_MEMORY = 3 * 1024**3
"""Of addresses, not all of which are memory; the largest pictures of H.265 take a few hundred megabytes."""


def run(monitor: socket.socket, examiner: Examiner) -> None:
    """Until the source ends."""
    with monitor, monitor.makefile("rb", buffering=1 << 16) as source:
        _send(monitor, Said("ready", None, 0.0, time.process_time(), own_memory()))
        while len(head := source.read(LENGTH.size)) == LENGTH.size:
            (size,) = LENGTH.unpack(head)
            message = source.read(size)
            if len(message) < size:
                return
            turn, arguments = pickle.loads(message)  # noqa: S301 (our own program at the other end)
            began = time.process_time()
            try:
                kind, value = "done", TURNS[turn](examiner, *arguments)
            except ValueError as error:
                kind, value = "invalid", str(error)
            except Exception as error:  # noqa: BLE001 (of this picture; the next one may be well)
                kind, value = "failed", f"{type(error).__name__}: {error}"
            now = time.process_time()
            _send(monitor, Said(kind, value, now - began, now, own_memory()))  # type: ignore[arg-type]


def _send(monitor: socket.socket, said: Said) -> None:
    message = pickle.dumps(said, pickle.HIGHEST_PROTOCOL)
    monitor.sendall(LENGTH.pack(len(message)) + message)


def main() -> None:
    """Arguments: the descriptor of a stream socket, the parent's process id."""
    if not confine(int(sys.argv[2]), memory=_MEMORY):
        return
    os.nice(5)  # pictures can wait for what answers cameras and people
    faulthandler.enable()
    examiner = PictureExaminer()
    calm_collector()
    try:
        run(socket.socket(fileno=int(sys.argv[1])), examiner)
    except (BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    main()
