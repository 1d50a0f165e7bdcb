"""Limits of the process: each case in a process of its own, since a limit that was lowered stays so."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys
from sharpeyes.net.process import raise_file_limit
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(raise_file_limit(wanted), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
CASES = [
    (256, 900, 800, "800 800"),
    (256, 300, 800, "300 300"),
    (500, 900, 400, "500 500"),
    (300, 300, 300, "300 300"),
]


@pytest.mark.parametrize(("soft", "hard", "wanted", "expected"), CASES)
def test_the_soft_limit_goes_as_far_as_it_may_and_never_down(
    soft: int, hard: int, wanted: int, expected: str
) -> None:
    command = [sys.executable, "-c", CODE, str(soft), str(hard), str(wanted)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == expected


HOLES = """
import gc, re, sys
from pathlib import Path
from sharpeyes.net.process import calm_collector, give_back_memory

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

if "as it comes" not in sys.argv:
    give_back_memory()
for _ in range(2):  # the first large buffer that is freed is what glibc learns from
    buffers = [bytearray(300_000) for _ in range(400)]
    full = resident()
    del buffers[::2]
    print(full - resident())
calm_collector()
print(gc.get_freeze_count() > 0)
"""


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_room_of_freed_pictures_goes_back_to_the_system() -> None:
    def freed(*arguments: str) -> list[str]:
        command = [sys.executable, "-c", HOLES, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    *megabytes, frozen = freed()
    assert all(int(each) > 50 for each in megabytes)
    assert frozen == "True"
    assert int(freed("as it comes")[1]) < 30  # or the measure is needless
