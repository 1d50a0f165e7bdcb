"""The migrations build exactly what schema.py says, whole or not at all, on both databases."""

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from sharpeyes.domain.errors import ConflictError, UnavailableError
from sharpeyes.store.database import Database
from sharpeyes.store.schema import metadata


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True}
    )
    return list(compare_metadata(context, metadata))


def test_upgrade_builds_the_schema(store_url: str) -> None:
    with Database(store_url) as database:
        database.upgrade()
        assert database.read(differences) == []


def test_postgresql_is_migrated_too(new_postgresql: Callable[[], str]) -> None:
    """Where this one is skipped, no test here has met PostgreSQL."""
    with Database(new_postgresql()) as database:
        database.upgrade()
        assert database.read(differences) == []


def test_migrations_spell_the_tables_as_the_schema_does(tmp_path: Path) -> None:
    """Alembic does not compare checks, partial indexes and table options: the SQL text has them all."""

    def sql(connection: Connection) -> list[list[str]]:
        rows = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE sql NOT NULL AND name NOT LIKE 'alembic%' ORDER BY name"
        )
        plain = (row[0].replace('"', "") for row in rows)  # a table that was rebuilt has its name in quotes
        return [sorted(piece.strip() for piece in text.rstrip(")").split(",")) for text in plain]

    with (
        Database(f"sqlite:///{tmp_path}/a.db") as migrated,
        Database(f"sqlite:///{tmp_path}/b.db") as direct,
    ):
        migrated.upgrade()
        direct.write(metadata.create_all)
        assert migrated.read(sql) == direct.read(sql)


def test_upgrade_twice_is_upgrade_once_and_keeps_rows(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        database.upgrade()
        database.write(lambda c: c.exec_driver_sql("INSERT INTO heartbeat VALUES ('prober', 5)") and None)
        database.upgrade()
        assert database.read(lambda c: c.exec_driver_sql("SELECT at_ms FROM heartbeat").scalar()) == 5


def test_down_to_nothing_and_up_again(store_url: str) -> None:
    with Database(store_url) as database:
        database.upgrade()
        database.downgrade("base")
        assert database.read(lambda c: inspect(c).get_table_names()) == ["alembic_version"]
        database.upgrade()
        assert database.read(differences) == []


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        database.upgrade()
        database.write(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num='9999'") and None)
        with pytest.raises(ConflictError, match="newer version"):
            database.upgrade()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"this is a letter to my grandmother" * 100)
    with (
        Database(f"sqlite:///{tmp_path}/a.db") as database,
        pytest.raises(UnavailableError, match="not a database"),
    ):
        database.upgrade()


def test_a_failing_step_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        database.write(lambda c: c.exec_driver_sql("CREATE TABLE membership (stranger INTEGER)") and None)
        with pytest.raises(UnavailableError, match="membership already exists"):
            database.upgrade()
        assert database.read(lambda c: inspect(c).get_table_names()) == ["membership"]


@pytest.mark.parametrize("dialect", [postgresql.dialect(), sqlite.dialect()], ids=lambda d: d.name)
def test_the_schema_compiles(dialect: object) -> None:
    for table in metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            text += str(CreateIndex(index).compile(dialect=dialect))
        for column in table.columns:
            if column.name.endswith("_ms"):
                word = "BIGINT" if dialect.name == "postgresql" else "INTEGER"
                assert f"{column.name} {word}" in text


def test_every_constraint_has_a_name() -> None:
    assert all(c.name for t in metadata.sorted_tables for c in t.constraints if c)
