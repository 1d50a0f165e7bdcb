"""``sharpeyes import``, ``export`` and ``keys rotate``, as somebody types them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sharpeyes.cli import app
from sharpeyes.registry.sheet import read_table, write_csv

HEAD = ["设备编码", "名称", "点位类型", "联网属性", "主码流"]
ROWS = [
    ["33010800001321000017", "一", "1", "0", "rtsp://10.0.0.1/1"],
    ["33010800001321000018", "二", "2", "1", ""],
]
CITY = """
zones: {video: {name: v}}
departments: {psb: {name: Police, industry: "00"}}
areas: {north: {name: North, code: "330108"}}
"""
MAP = """
codes: {networked: {"0": 已联网, "1": 未联网}}
defaults: {department: psb, area: north}
"""


@pytest.fixture
def town(tmp_path: Path) -> Path:
    (tmp_path / "cameras.yaml").write_text(CITY)
    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    (tmp_path / "in.csv").write_bytes(write_csv([HEAD, *ROWS], encoding="gb18030"))
    declare(tmp_path)
    return tmp_path


def declare(town: Path) -> None:
    """As the service does at its start."""
    from sharpeyes.config import Settings, load
    from sharpeyes.domain.time import Ms
    from sharpeyes.registry import registry
    from sharpeyes.store.database import Database
    from sharpeyes.store.vault import Vault

    settings = Settings.read({}, config=town / "cameras.yaml", data_dir=town)
    with Database(settings.database) as database:
        database.upgrade()
        declared = load(settings.config, environ={}).declared
        vault = Vault.at(settings.key_file)
        database.write(lambda c: registry.apply_config(c, declared, vault, now=Ms(1)))


def run(town: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--data-dir", str(town), "--config", str(town / "cameras.yaml")])


def test_dry_run_then_import_then_nothing_new(town: Path) -> None:
    words = ("import", str(town / "in.csv"), "--map", str(town / "map.yaml"))
    dry = json.loads(run(town, *words, "--dry-run", "--json").stdout)
    assert (dry["applied"], dry["counts"]["new"], dry["encoding"]) == (False, 2, "gb18030")
    done = json.loads(run(town, *words, "--json").stdout)
    assert (done["applied"], done["digest"]) == (True, dry["digest"])
    again = run(town, *words)
    assert (again.exit_code, "2 unchanged" in again.stdout) == (0, True)


def test_a_rejected_row_is_told_with_its_line_and_nothing_is_changed(town: Path) -> None:
    (town / "map.yaml").write_text("defaults: {department: psb, area: north}", encoding="utf-8")
    words = ("import", str(town / "in.csv"), "--map", str(town / "map.yaml"))
    refused = run(town, *words)
    assert refused.exit_code == 1
    assert "in.csv:2: 联网属性 '0': 0 is 已联网 in some systems" in refused.stderr
    assert "nothing was changed: mend the rejected rows, or add --partial" in refused.stdout


def test_what_is_exported_is_for_its_owner_only(town: Path) -> None:
    run(town, "import", str(town / "in.csv"), "--map", str(town / "map.yaml"))
    out = town / "out.xlsx"
    assert run(town, "export", str(out)).exit_code == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert len(read_table(out.read_bytes()).rows) == 3


def test_keys_rotate(town: Path) -> None:
    before = (town / "secrets.key").read_text()
    done = run(town, "keys", "rotate", "--drop-old")
    assert (done.exit_code, "0 secrets sealed with the new key" in done.stdout) == (0, True)
    assert (town / "secrets.key").read_text() != before


def test_keys_are_not_rotated_under_a_running_service(town: Path) -> None:
    from sharpeyes.app import sole_user

    before = (town / "secrets.key").read_text()
    with sole_user(town):
        refused = run(town, "keys", "rotate")
    assert "another SharpEyes runs" in str(refused.exception)
    assert (town / "secrets.key").read_text() == before
