"""``/probe`` and ``/sd``: cameras one by one for a Prometheus, and no more than the operator allowed."""

from __future__ import annotations

import asyncio
import socket
import textwrap
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api_client import CITY, Client, client_of, until_probed
from sharpeyes.api.routes import blackbox
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.health import Failure, FailureKind, Phase
from sharpeyes.simulator.fleet import Addressing, uniform
from sharpeyes.simulator.simulator import Simulator

PASSWORD = "corr3ct-h0rse"


def samples(text: str) -> dict[str, float]:
    """By name, with the label values behind it."""
    return {
        ":".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    account = Credentials("admin", Secret(PASSWORD))
    place = Addressing(network="127.0.21.1", rtsp_port=0, onvif_port=0, discovery_port=None)
    async with Simulator(uniform(1, credentials=account, scenes=1), addressing=place) as simulator:
        yield simulator


@pytest.fixture
async def city(tmp_path: Path, simulator: Simulator) -> AsyncIterator[Client]:
    """The usual cameras, one that really answers, and a network that may be asked."""
    url = simulator.endpoints["camera-0001"].url
    text = textwrap.dedent(CITY) + textwrap.dedent(f"""\
      - {{id: live-1, name: Live, tier: community, department: psb, area: south, zone: police,
         main: "{url}", credential: viewer}}
    """).replace("- {", "  - {").replace("   main", "     main")
    text += "credentials: {viewer: {username: admin, password_file: pw.txt}}\n"
    text += (
        "networks: [{cidr: 127.0.22.0/30, tier: community, department: psb, area: south, zone: police,"
        " ports: [1], methods: [sweep]}]\n"
    )
    (tmp_path / "pw.txt").write_text(PASSWORD)
    (tmp_path / "pw.txt").chmod(0o600)
    (tmp_path / "cameras.yaml").write_text(text, encoding="utf-8")
    async with client_of(tmp_path) as client:
        yield client


class TestProbe:
    async def test_a_camera_that_delivers(self, city: Client) -> None:
        answer = await city.get("/probe?target=live-1&module=rtsp")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        found = samples(answer.text)
        assert found["probe_success"] == 1
        assert found["sharpeyes_probe_rung"] == 5
        phases = [
            found[f"sharpeyes_probe_phase_duration_seconds:{p}"]
            for p in ("connect", "describe", "play", "media", "keyframe")
        ]
        assert all(seconds >= 0 for seconds in phases)
        assert 0 < sum(phases) <= found["probe_duration_seconds"] * 1.01 + 0.01
        assert found["sharpeyes_probe_timestamp_seconds"] == pytest.approx(
            city.service.clock() / 1000, abs=60
        )

    async def test_a_camera_that_does_not(self, city: Client) -> None:
        found = samples((await city.get("/probe?target=gate-1")).text)
        assert found["probe_success"] == 0
        assert found["sharpeyes_probe_rung"] == 0
        assert found["sharpeyes_probe_failure_info:camera:refused:connect"] == 1

    async def test_by_any_of_its_urls_and_by_its_address(self, city: Client, simulator: Simulator) -> None:
        url = simulator.endpoints["camera-0001"].url
        host = url.split("/")[2]
        for target in (url, url.replace("rtsp://", f"rtsp://admin:{PASSWORD}@"), host, host.split(":")[0]):
            answer = await city.get("/probe", params={"target": target})
            assert samples(answer.text)["probe_success"] == 1, target
            assert PASSWORD not in answer.text
            assert host not in answer.text

    async def test_a_look_of_just_now_is_given_again(self, city: Client) -> None:
        await until_probed(city)
        first = samples((await city.get("/probe?target=live-1")).text)
        probes = city.service.fleet.stats.probes
        again = samples((await city.get("/probe?target=live-1")).text)
        assert again["sharpeyes_probe_timestamp_seconds"] == first["sharpeyes_probe_timestamp_seconds"]
        assert city.service.fleet.stats.probes == probes
        entry = city.service.board.get("live-1")
        assert entry is not None
        assert entry.probe is not None
        old = replace(entry.probe, at=entry.probe.at - blackbox.FRESH_MS - 60_000)
        city.service.board.update(entry.standing, old)
        fresh = samples((await city.get("/probe?target=live-1")).text)
        assert fresh["sharpeyes_probe_timestamp_seconds"] >= first["sharpeyes_probe_timestamp_seconds"]
        assert city.service.fleet.stats.probes > probes

    async def test_what_is_our_fault_is_no_verdict_on_the_camera(self, city: Client) -> None:
        await until_probed(city)
        entry = city.service.board.get("gate-1")
        assert entry is not None
        assert entry.probe is not None
        ours = Failure(Phase.CONNECT, FailureKind.NO_ROUTE, "no route")
        city.service.board.update(entry.standing, replace(entry.probe, at=city.service.clock(), failure=ours))
        found = samples((await city.get("/probe?target=gate-1")).text)
        assert "probe_success" not in found
        assert found["sharpeyes_probe_failure_info:prober:no_route:connect"] == 1

    @pytest.mark.parametrize(
        "target",
        [
            "192.0.2.1",
            "rtsp://192.0.2.1/stream",
            "rtsp://admin:hunter2@192.0.2.1/stream",
            "127.0.22.9",  # beside the network
            "http://127.0.22.1/",
            "localhost",
            "camera.example",
            "rtsp://127.0.22.1@192.0.2.1/",
            "[::ffff:192.0.2.1]",
            "file:///etc/passwd",
            "../gate-1",
            "gate-1%00",
            "\x00",
        ],
    )
    async def test_others_are_refused_with_a_mend(self, city: Client, target: str) -> None:
        answer = await city.get("/probe", params={"target": target})
        assert answer.status_code == 403
        assert "networks" in answer.json()["mend"]
        assert "hunter2" not in answer.text

    async def test_another_path_of_a_registered_address_is_refused(self, city: Client) -> None:
        others = ("rtsp://127.0.0.1:1/other", "rtsp://127.0.0.1/a", "127.0.0.1:2")
        for target in (*others, "rtsp://[::ffff:127.0.0.1]:1/other"):
            answer = await city.get("/probe", params={"target": target})
            assert answer.status_code == 403, target
            assert "gate-1" in answer.json()["mend"]

    async def test_an_address_of_several_cameras_asks_which(self, city: Client) -> None:
        answer = await city.get("/probe?target=127.0.0.1:1")
        assert answer.status_code == 409
        assert "gate-1, gate-2, school-1" in answer.json()["mend"]

    async def test_an_address_of_a_declared_network_is_asked_without_an_account(self, city: Client) -> None:
        heard: list[bytes] = []

        async def camera(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(
                b'RTSP/1.0 401 No\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm="x", nonce="y"\r\n\r\n'
            )
            heard.append(await reader.read())
            writer.close()

        server = await asyncio.start_server(camera, "127.0.22.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            answer = await city.get(
                "/probe", params={"target": f"rtsp://root:{PASSWORD}@127.0.22.1:{port}/main"}
            )
            found = samples(answer.text)
        assert "sharpeyes_probe_failure_info:prober:credentials_missing:describe" in found, answer.text
        assert "probe_success" not in found
        assert found["sharpeyes_probe_rung"] == 2
        sent = b"".join(heard)
        assert b"Authorization" not in sent
        assert PASSWORD.encode() not in sent
        assert city.service.fleet.stats.withheld == 0

    async def test_whoever_cannot_wait_is_told_that_it_says_nothing(self, city: Client) -> None:
        with socket.create_server(("127.0.22.2", 0)) as mute:
            target = f"127.0.22.2:{mute.getsockname()[1]}"
            headers = {"X-Prometheus-Scrape-Timeout-Seconds": "0.2"}
            asked = [city.get("/probe", params={"target": target}, headers=headers) for _ in range(6)]
            answers = await asyncio.gather(*asked)
        refused = [a.json()["detail"] for a in answers if a.status_code == 503]
        assert sum("being asked already" in detail for detail in refused) == 6 - blackbox.STRANGERS
        assert all(a.status_code == 503 or samples(a.text).get("probe_success", 0) == 0 for a in answers)

    async def test_an_unknown_module_and_a_missing_target(self, city: Client) -> None:
        answer = await city.get("/probe?target=gate-1&module=icmp")
        assert answer.status_code == 422
        assert "rtsp" in answer.json()["mend"]
        assert (await city.get("/probe")).status_code == 422

    async def test_access_is_as_for_the_metrics(self, tmp_path: Path) -> None:
        async with client_of(tmp_path, peer="192.0.2.7") as far:
            for path in ("/probe?target=gate-1", "/probe", "/sd"):
                refused = await far.get(path, headers={"Authorization": ""})
                assert refused.status_code == 403
                assert "SHARPEYES_METRICS_ALLOW" in refused.json()["mend"]
            assert (await far.get("/sd")).status_code == 200


class TestServiceDiscovery:
    async def test_cameras_with_their_labels_and_without_urls(self, city: Client) -> None:
        answer = await city.get("/sd")
        assert answer.headers["content-type"] == "application/json"
        police = {"department": "psb", "zone": "police"}
        assert answer.json() == [
            {"targets": ["live-1"], "labels": {"tier": "community", "area": "south", **police}},
            {"targets": ["gate-1"], "labels": {"tier": "public_security", "area": "north", **police}},
            {"targets": ["gate-2"], "labels": {"tier": "public_security", "area": "south", **police}},
        ]  # school-1 is in maintenance

    async def test_a_part_of_them(self, city: Client) -> None:
        async def targets(query: str) -> list[str]:
            return [t for group in (await city.get(f"/sd?{query}")).json() for t in group["targets"]]

        assert await targets("tier=community") == ["live-1"]
        assert await targets("department=edu") == []
        assert await targets("zone=police&tier=public_security") == ["gate-1", "gate-2"]
        assert (await city.get("/sd?tier=nobility")).status_code == 422
