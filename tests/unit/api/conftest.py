"""The service under test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from api_client import Client, client_of
from sharpeyes.access import passwords


@pytest.fixture(scope="module", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """The same hash, of the least cost: a town of nine who log in for each test pays it twenty times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with client_of(tmp_path) as client:
        yield client
