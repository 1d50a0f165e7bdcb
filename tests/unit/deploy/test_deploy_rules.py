"""Rules, routes and configuration of deploy/, by the programs that will read them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[3] / "deploy"


def run(*command: str) -> str:
    """What the program says; the test is skipped, by name, where it is missing, and fails if it fails."""
    if shutil.which(command[0]) is None:
        package = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}[command[0]]
        pytest.skip(f"SKIPPED: {command[0]} is not installed; apt install {package}")
    ended = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_prometheus_reads_its_configuration() -> None:
    assert "1 rule files found" in run("promtool", "check", "config", "prometheus/prometheus.yaml")


def test_the_further_jobs_are_a_configuration_too(tmp_path: Path) -> None:
    jobs = (DEPLOY / "prometheus/jobs-cameras.yaml").read_text(encoding="utf-8")
    (tmp_path / "prometheus.yaml").write_text("scrape_configs:\n" + jobs, encoding="utf-8")
    run("promtool", "check", "config", str(tmp_path / "prometheus.yaml"))


def test_rules_are_without_reproach() -> None:
    said = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", "prometheus/rules/sharpeyes.yaml")
    assert "SUCCESS" in said


@pytest.mark.parametrize("cases", sorted(path.name for path in (DEPLOY / "prometheus/tests").glob("*.yaml")))
def test_alerts_come_stay_away_and_end_as_they_should(cases: str) -> None:
    assert "SUCCESS" in run("promtool", "test", "rules", f"prometheus/tests/{cases}")


def test_alertmanager_reads_its_configuration() -> None:
    assert "3 receivers" in run("amtool", "check-config", "alertmanager/alertmanager.yaml")


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=SharpEyesCamerasOffline", "severity=critical", "step=30"], "duty"),
        (["alertname=SharpEyesCamerasOffline", "severity=warning", "step=5"], "operations"),
        (["alertname=SharpEyesProberBlind", "severity=critical", "concern=prober"], "duty"),
        (["alertname=SharpEyesTicketsOverdue", "severity=critical"], "duty"),
        (["alertname=SharpEyesTicketsOverdue", "severity=major"], "operations"),
        (["alertname=SharpEyesOverride", "severity=warning", "concern=access"], "auditors"),
        (["alertname=Else"], "operations"),
    ],
)
def test_who_is_told(labels: list[str], receiver: str) -> None:
    config = "--config.file=alertmanager/alertmanager.yaml"
    said = run("amtool", "config", "routes", "test", config, "--verify.receivers", receiver, *labels)
    assert said.split()[0] == receiver
