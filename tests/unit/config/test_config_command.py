"""``sharpeyes check-config``: what it prints and how it exits."""

import json
from pathlib import Path

from typer.testing import CliRunner

from sharpeyes.cli import app

TESTDATA = Path(__file__).parent / "testdata"
VALID = TESTDATA / "valid-least.yaml"
INVALID = TESTDATA / "invalid-many-at-once.yaml"

runner = CliRunner(env={"CAMERA_PASSWORD": "", "COLUMNS": "200"})


def test_a_valid_file_is_summed_up_and_its_warnings_are_told() -> None:
    result = runner.invoke(app, ["check-config", str(VALID)])
    assert result.exit_code == 0
    assert f"{VALID}: ok" in result.stdout
    assert "1 cameras by tier: departmental 1" in result.stdout
    assert (
        f"{VALID}:9: credentials.viewer: the environment variable CAMERA_PASSWORD is not set" in result.stderr
    )


def test_mistakes_are_lines_that_an_editor_can_follow() -> None:
    result = runner.invoke(app, ["check-config", str(INVALID)])
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == [str(INVALID)] * 4
    assert lines[-1] == f"{INVALID}: 4 mistakes"


def test_json_of_a_valid_file() -> None:
    result = runner.invoke(app, ["check-config", str(VALID), "--json"])
    answer = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    assert answer["ok"] is True
    assert answer["cameras_by"] == {"tiers": {"departmental": 1}, "departments": {"education": 1}}
    assert [warning["line"] for warning in answer["warnings"]] == [9]


def test_json_of_a_wrong_file() -> None:
    result = runner.invoke(app, ["check-config", str(INVALID), "--json"])
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["ok"], len(answer["errors"])) == (2, False, 4)
    assert answer["errors"][0]["mend"]
