"""What somebody at a terminal can do about a probe that failed: one sentence for every kind of failure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sharpeyes.domain.health import FailureKind

MENDS: Mapping[FailureKind, str] = MappingProxyType(
    {
        FailureKind.NAME_UNKNOWN: "Check the host's name, or give its address",
        FailureKind.REFUSED: "Check the port (554 is usual), and that RTSP is switched on in the camera",
        FailureKind.UNREACHABLE: "Check the address, the camera's power and the network in between",
        FailureKind.TIMEOUT: "Check that nothing filters on the way and it is not busy, or raise --timeout",
        FailureKind.CLOSED: "Check that RTSP is spoken at this port, and that it has a session free",
        FailureKind.TLS: "Check that RTSPS is spoken at this port (322 is usual), or use rtsp://",
        FailureKind.CERTIFICATE: "If the camera was changed, check the new certificate there and pin it",
        FailureKind.AUTH_FAILED: "Check --username and --password-file; try seldom, cameras lock accounts",
        FailureKind.AUTH_UNSUPPORTED: "Switch on digest authentication in the camera",
        FailureKind.NOT_FOUND: "Check the path of the URL: its manual has it, and 'sharpeyes discover'",
        FailureKind.RTSP_STATUS: "See the dialogue: 'sharpeyes probe --verbose'",
        FailureKind.MALFORMED: "See the dialogue: 'sharpeyes probe --verbose'; the firmware may be at fault",
        FailureKind.NO_VIDEO: "Choose a stream with video of H.264, H.265 or JPEG",
        FailureKind.NO_MEDIA: "Check the encoder of the camera, and that the way back is open to media",
        FailureKind.NO_KEYFRAME: "Shorten the keyframe interval (GOP) of the stream, or raise --timeout",
        FailureKind.UNDECODABLE: "Check the encoder's settings; other software may show the same damage",
        FailureKind.BUSY: "All of its sessions are taken: close another viewer, and try again",
        FailureKind.CREDENTIALS_MISSING: "Give an account: --username and --password-file",
        FailureKind.NO_DESCRIPTORS: "Raise the limit of open files of this process (ulimit -n)",
        FailureKind.NO_ROUTE: "This machine has no way there: check its network and routes",
        FailureKind.NO_RESOURCES: "This machine is out of memory or ports: look at what else runs on it",
        FailureKind.NO_RESOLVER: "This machine's name server does not answer: check it, or give an address",
        FailureKind.OVERLOADED: "This machine stood still meanwhile: try again when it has less to do",
        FailureKind.CANCELLED: "Try again",
        FailureKind.INTERNAL: "Please report this, with the output of 'sharpeyes probe --verbose'",
    }
)
"""Complete: a test says so."""
