"""Prometheus and Alertmanager as processes of a test, on loopback, with what deploy/ configures, hastened.

A rule that waits for five minutes in a city waits for fifteen seconds here: every window and delay is divided
by the same number, so that what comes before what stays as it is.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from aiohttp import web

from ports import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
HASTE = 20
_UNITS = {"s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"(\d+)([smh])")


def needs(*programs: str) -> None:
    """Skip, by name and loudly, where one of them is not installed."""
    packages = {"promtool": "prometheus", "prometheus": "prometheus"}
    for program in programs:
        if shutil.which(program) is None:
            package = packages.get(program, "prometheus-alertmanager")
            pytest.skip(f"SKIPPED: {program} is not installed; apt install {package}")


def shorter(text: str, haste: int = HASTE) -> str:
    """Every duration in the text, at least a second, divided."""
    return _DURATION.sub(lambda found: f"{max(1, int(found[1]) * _UNITS[found[2]] // haste)}s", text)


def hastened_rules(folder: Path) -> Path:
    """A copy of the rules in which everything happens faster; nothing else is changed."""
    rules = yaml.safe_load((DEPLOY / "prometheus/rules/sharpeyes.yaml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[[^\]]+\]", lambda window: shorter(window[0]), rule["expr"])
            for delay in ("for", "keep_firing_for"):
                if delay in rule:
                    rule[delay] = shorter(rule[delay])
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(rules, allow_unicode=True), encoding="utf-8")
    return path


@dataclass
class Inbox:
    """What Alertmanager delivered: (receiver, status, labels) in the order of arrival."""

    url: str = ""
    heard: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def of(self, alertname: str) -> list[tuple[str, str, dict[str, str]]]:
        return [one for one in self.heard if one[2]["alertname"] == alertname]


@asynccontextmanager
async def inbox() -> AsyncIterator[Inbox]:
    """A webhook receiver, as an operator would have one."""
    got = Inbox()

    async def hear(request: web.Request) -> web.Response:
        body = await request.json()
        for alert in body["alerts"]:
            got.heard.append((request.path.strip("/"), alert["status"], alert["labels"]))
        return web.Response()

    app = web.Application()
    app.router.add_post("/{receiver}", hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    got.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield got
    finally:
        await runner.cleanup()


@asynccontextmanager
async def process(*command: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that runs as long as the block."""
    with log.open("wb") as output:
        started = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output, cwd=log.parent)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.terminate()
            try:
                await asyncio.wait_for(started.wait(), 20)
            except TimeoutError:
                started.kill()
                await started.wait()


async def until(
    what: str, holds: Callable[[], Awaitable[Any]], *, within_s: float = 60.0, log: Path | None = None
) -> Any:
    """Ask until the answer is true; the deadline is generous, since machines differ."""
    answer: Any = None
    try:
        async with asyncio.timeout(within_s):
            while not (answer := await holds()):
                await asyncio.sleep(0.2)
    except TimeoutError:
        told = f"; the log ends: {log.read_text(errors='replace')[-2000:]}" if log is not None else ""
        raise AssertionError(f"within {within_s} s not so: {what} (last: {answer!r}){told}") from None
    return answer


@dataclass(frozen=True)
class Server:
    """A running Prometheus or Alertmanager."""

    url: str
    client: httpx.AsyncClient

    async def ready(self) -> bool:
        try:
            return (await self.client.get(f"{self.url}/-/ready")).status_code == 200
        except httpx.TransportError:
            return False

    async def query(self, expr: str) -> list[dict[str, Any]]:
        """An instant query of Prometheus; its error is the test's."""
        answer = (await self.client.get(f"{self.url}/api/v1/query", params={"query": expr})).json()
        assert answer["status"] == "success", f"{expr}: {answer.get('error')}"
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    async def value(self, expr: str) -> float | None:
        found = await self.query(expr)
        return float(found[0]["value"][1]) if found else None


@asynccontextmanager
async def alertmanager(folder: Path, inbox_url: str) -> AsyncIterator[Server]:
    """Alertmanager with the routes and inhibitions of deploy/."""
    needs("prometheus-alertmanager")
    text = (DEPLOY / "alertmanager/alertmanager.yaml").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^(\s*(?:group_\w+|repeat_\w+|resolve_\w+): )(\w+)\b", _hasten_line, text)
    text = text.replace("http://127.0.0.1:9094", inbox_url)
    (folder / "alertmanager.yaml").write_text(text, encoding="utf-8")
    port, log = free_port(), folder / "alertmanager.log"
    command = (
        "prometheus-alertmanager",
        f"--config.file={folder / 'alertmanager.yaml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )
    async with process(*command, log=log), httpx.AsyncClient(timeout=20) as client:
        server = Server(f"http://127.0.0.1:{port}", client)
        await until("Alertmanager is ready", server.ready, log=log)
        yield server


def _hasten_line(found: re.Match[str]) -> str:
    # Longer than the minutes of a rule: what is told again and again must not come in between.
    return found[1] + ("1h" if "repeat" in found[1] else shorter(found[2], 60))


@asynccontextmanager
async def prometheus(
    folder: Path, jobs: list[dict[str, Any]], alerts_to: str | None
) -> AsyncIterator[Server]:
    """Prometheus with the rules of deploy/; ``alerts_to``: host:port of an Alertmanager."""
    needs("prometheus")
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text(encoding="utf-8"))
    config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(hastened_rules(folder))]
    config["scrape_configs"] = jobs
    if alerts_to is None:
        del config["alerting"]
    else:
        config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alerts_to]}]}]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    port, log = free_port(), folder / "prometheus.log"
    command = (
        "prometheus",
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )
    async with process(*command, log=log), httpx.AsyncClient(timeout=20) as client:
        server = Server(f"http://127.0.0.1:{port}", client)
        await until("Prometheus is ready", server.ready, log=log)
        yield server
