"""Limits of the process: each case in a process of its own, since a limit that was lowered stays so."""

from __future__ import annotations

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
