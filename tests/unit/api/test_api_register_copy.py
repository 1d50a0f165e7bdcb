"""A data directory that was put back whole, to what it was before: a copy of the checkpoints tells."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api_client import client_of
from api_people import staff_of
from sharpeyes.access.access import Access
from sharpeyes.access.register.writer import RegisterDamagedError
from sharpeyes.cli import app
from sharpeyes.domain.errors import InvalidInputError


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder / "register.checkpoints"


async def work(tmp_path: Path, copy: Path | None) -> Access | RegisterDamagedError:
    """A day of the service: somebody logs in; it is signed when it stops."""
    async with client_of(tmp_path, register_copy=copy) as client:
        access = client.service.access
        if isinstance(access, Access) and not await access.people.any():
            async with staff_of(client, ["wang"]):
                pass
        elif isinstance(access, Access):
            answer = await client.post("/api/v1/session", json={"username": "wang", "password": "wrong"})
            assert answer.status_code == 401
        return access


async def test_a_data_directory_put_back_whole_shows_against_the_copy(
    tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, kept = tmp_path / "data", tmp_path / "monday"
    await work(tmp_path, copy)
    shutil.copytree(data, kept)
    await work(tmp_path, copy)
    verify = ["audit", "verify", "--data-dir", str(data)]
    monkeypatch.setenv("SHARPEYES_REGISTER_COPY", str(copy))
    assert CliRunner().invoke(app, verify).exit_code == 0
    assert copy.read_bytes() == (data / "register.checkpoints").read_bytes()
    shutil.rmtree(data)
    shutil.copytree(kept, data)

    answer = CliRunner().invoke(app, verify)
    assert answer.exit_code == 1
    assert "NOT whole" in answer.output
    monkeypatch.delenv("SHARPEYES_REGISTER_COPY")
    answer = CliRunner().invoke(app, verify)
    assert answer.exit_code == 0, "by itself it is as whole as it was"
    assert "SHARPEYES_REGISTER_COPY" in answer.output
    monkeypatch.setenv("SHARPEYES_REGISTER_COPY", str(copy.parent / "gone"))
    answer = CliRunner().invoke(app, verify)
    assert isinstance(answer.exception, InvalidInputError), "a copy that is not there is none that agrees"
    monkeypatch.delenv("SHARPEYES_REGISTER_COPY")

    damaged = await work(tmp_path, copy)
    assert isinstance(damaged, RegisterDamagedError)
    assert str(copy) in damaged.message


async def test_a_copy_out_of_reach_is_said_and_caught_up_with(
    tmp_path: Path, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy.parent.rename(tmp_path / "unmounted")
    with caplog.at_level(logging.WARNING):
        assert isinstance(await work(tmp_path, copy), Access)
    assert f"checkpoints cannot be written to {copy}" in caplog.text
    assert not copy.parent.exists(), "nothing is written where the other disk is not"
    (tmp_path / "unmounted").rename(copy.parent)
    await work(tmp_path, copy)
    assert copy.read_bytes() == (tmp_path / "data" / "register.checkpoints").read_bytes()
