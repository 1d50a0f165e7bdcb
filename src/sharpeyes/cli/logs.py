"""Logs of the commands that run for long: one line an event, to standard error, in UTC."""

from __future__ import annotations

import logging
import time

QUIET = ("aioice", "aiortc", "alembic", "asyncio", "uvicorn", "httpx", "zeep", "onvif")
"""Libraries whose routine messages are of no use to an operator."""


def set_up_logs(level: str) -> None:
    """Log from ``level`` (debug, info, warning, error) on."""
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s")
    formatter.converter = time.gmtime
    formatter.datefmt = "%Y-%m-%dT%H:%M:%S"
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        for name in QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
