"""Words of discovery: how devices came to be found, what is to become of them, how a run ended."""

from __future__ import annotations

from enum import StrEnum


class How(StrEnum):
    """How a device came to be found."""

    PROBE = "probe"
    """It answered a WS-Discovery probe."""
    SWEEP = "sweep"
    """A port of its address answered as a device service does."""
    NAMED = "named"
    """Somebody named its address and port."""


class FoundStatus(StrEnum):
    """How it stands with a found device."""

    NEW = "new"
    """It told its streams and waits for a decision."""
    ENROLLED = "enrolled"
    """Cameras of it are in the registry."""
    NEEDS_CREDENTIALS = "needs_credentials"
    IGNORED = "ignored"
    """Somebody decided that it is none of ours."""
    UNREACHABLE = "unreachable"
    """It answered once and does not now."""
    ERROR = "error"


class Outcome(StrEnum):
    """How a run ended."""

    DONE = "done"
    STOPPED = "stopped"
    """Somebody stopped it."""
    CUT_SHORT = "cut_short"
    """The service ended before it did."""
    FAILED = "failed"


class Enrol(StrEnum):
    """What becomes of what is found."""

    AUTOMATIC = "automatic"
    """It goes into the registry at once."""
    APPROVE = "approve"
    """It waits until somebody approves it."""
