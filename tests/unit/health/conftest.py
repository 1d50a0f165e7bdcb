"""A registry of one camera, for what is kept of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario.virtual_city import enter
from sharpeyes.store.database import Database
from unit.health.watched import CAMERA, NOW


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'a.db'}") as database:
        database.upgrade()
        database.write(lambda c: enter(c, [CAMERA], NOW))
        yield database
