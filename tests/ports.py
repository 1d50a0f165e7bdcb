"""Ports that a test must know before somebody listens on them."""

from __future__ import annotations

import contextlib
import random
import socket


def free_port() -> int:
    """Below 32,768, where those of outgoing connections begin: another test's may get any above."""
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port
    raise AssertionError("no port is free")
