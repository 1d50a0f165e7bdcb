"""What this process asks of the system and of the interpreter before thousands of sockets are opened."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import sys
from pathlib import Path

MOST_FILES = 65_536
_MACOS_FILES = 10_240
_PR_SET_PDEATHSIG = 1
_PASSED = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "LANG", "LC_ALL")
_TRIM, _OWN_MAPPING, _ARENAS = -1, -3, -8
"""Parameters of mallopt(3): M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX."""
_LARGE = 128 * 1024
"""What glibc begins with; naming it keeps it from growing."""
_YOUNG = 50_000
"""Objects made until the collector looks for cycles among them. A sweep makes some that stay for each camera:
with the usual 700, all that there are would be looked through again and again."""


def raise_file_limit(wanted: int = MOST_FILES) -> int:
    """Raise this process's soft limit of open files to ``wanted``, or as far as it may; gives what it is now.

    With the usual 1,024, half of a sweep would fail for want of sockets.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    while soft < ceiling:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
        except (
            ValueError,
            OSError,
        ):  # macOS refuses more than its own constant, whatever the hard limit says
            if ceiling == _MACOS_FILES:
                break
            ceiling = _MACOS_FILES
        else:
            return ceiling
    return soft


def bare_environment() -> dict[str, str]:
    """What a process of ours that reads what strangers send needs of the environment: none of the secrets."""
    return {name: os.environ[name] for name in _PASSED if name in os.environ}


def confine(parent: int, *, memory: int) -> bool:
    """In a process of ours that reads what strangers send, before it does: it ends with ``parent``, leaves
    what should end the service to it, and has ``memory`` bytes of addresses, few files, none to write and no
    core.

    False if the parent ended before it could be bound to.
    """
    if hasattr(libc := ctypes.CDLL(None), "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return False
    for told in (signal.SIGINT, signal.SIGTERM):  # which terminals and systemd send to all of us
        signal.signal(told, signal.SIG_IGN)
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(what, (most, most))
    return True


def share_often() -> None:
    """Threads that read the store give way after 1 ms, not 5: a request passes the event loop several times,
    and would wait for each of them every time."""
    sys.setswitchinterval(0.001)


def give_back_memory() -> None:
    """Have glibc return what is freed; elsewhere nothing is done.

    As it comes, it has an arena for each of a dozen threads, and from the first large buffer that is freed
    on, it keeps the room of such as well: pictures come and go by the thousand, and after some minutes half
    of its heap was free and held.
    """
    if (libc := _glibc()) is None:
        return
    for parameter, value in ((_ARENAS, 2), (_OWN_MAPPING, _LARGE), (_TRIM, _LARGE)):
        libc.mallopt(parameter, value)


def calm_collector() -> None:
    """What was made until here lives for ever: the collector need not look through it again and again, and
    what is made from here on seldom holds cycles. What only the start needed goes back to the system."""
    gc.collect()
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)


def own_memory() -> int:
    """Bytes of memory that this process holds now and no file does: not its programs, which others of ours
    share. All that it ever held where the system does not tell (it has no /proc)."""
    try:
        _, resident, shared, *_ = Path("/proc/self/statm").read_bytes().split()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return (int(resident) - int(shared)) * resource.getpagesize()


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
