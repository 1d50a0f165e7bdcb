"""Discovery over the API: a run over addresses, the list of what it found, and what is decided about that.

The devices are scripted ones on loopback, spoken to over real HTTP.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import socket
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import pytest

from api_client import CITY, Client, client_of
from sharpeyes.discovery import enrolment, scope
from sharpeyes.domain.access import Role
from sharpeyes.domain.camera import Identity
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.discovery import FoundStatus, How, Outcome
from sharpeyes.domain.time import Ms
from sharpeyes.store import schema
from sharpeyes.store.cameras import list_cameras
from sharpeyes.store.credentials import forget_credentials, open_credentials, put_credential
from sharpeyes.store.database import Database
from sharpeyes.store.devices import list_devices, put_devices
from sharpeyes.store.discovery import Found, FoundFilter, list_found, list_runs, put_found, put_run
from sharpeyes.store.vault import Vault
from soap_device import Answer, Device, Request, fault, profile

ALLOWED = {"discovery_allowed": (ip_network("127.0.30.0/23"),)}
PASSWORD = "s3cret & <more>"
WORDS = "a long phrase of words 9"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback answers sooner than a city."""
    monkeypatch.setattr(scope, "WAIT_S", 0.3)


def camera(number: int, **fields: Any) -> Device:
    """A device that tells a MAC and a serial of its own."""
    device = Device(host=f"127.0.30.{number}", **fields)
    mac = f"02:00:00:00:00:{number:02x}"
    device.replies["GetNetworkInterfaces"] = (
        '<tds:GetNetworkInterfacesResponse><tds:NetworkInterfaces token="eth0"><tt:Enabled>true</tt:Enabled>'
        f"<tt:Info><tt:HwAddress>{mac}</tt:HwAddress></tt:Info></tds:NetworkInterfaces>"
        "</tds:GetNetworkInterfacesResponse>"
    )
    device.replies["GetDeviceInformation"] = (
        "<tds:GetDeviceInformationResponse><tds:Manufacturer>Acme</tds:Manufacturer><tds:Model>One</tds:Model>"
        f"<tds:FirmwareVersion>1.2</tds:FirmwareVersion><tds:SerialNumber>ACME-77-{number}</tds:SerialNumber>"
        "<tds:HardwareId>x</tds:HardwareId></tds:GetDeviceInformationResponse>"
    )
    return device


def locked(request: Request) -> Answer | None:
    """Wants a WS-Security digest of the password for all but the clock and the services."""
    if request.operation in ("GetSystemDateAndTime", "GetServices"):
        return None
    parts = [re.search(rf"{name}[^>]*>([^<]+)<", request.body) for name in ("Nonce", "Created")]
    told = re.search(r"#PasswordDigest\">([^<]+)<", request.body)
    nonce, created = parts
    if nonce and created and told:
        digest = hashlib.sha1(base64.b64decode(nonce[1]) + created[1].encode() + PASSWORD.encode()).digest()
        if base64.b64encode(digest).decode() == told[1]:
            return None
    return fault("NotAuthorized", "Sender not Authorized")


@asynccontextmanager
async def city(folder: Path, networks: str = "", **settings: Any) -> AsyncIterator[Client]:
    (folder / "cameras.yaml").write_text(textwrap.dedent(CITY) + networks, encoding="utf-8")
    async with client_of(folder, **{**ALLOWED, **settings}) as client:
        yield client


async def ended(client: Client) -> dict[str, Any]:
    """The latest run, once it has ended."""
    async with asyncio.timeout(60):
        while True:
            run: dict[str, Any] = (await client.get("/api/v1/discovery")).json()["last"]
            if run is not None and run["outcome"] is not None:
                return run
            await asyncio.sleep(0.02)


async def search(client: Client, *devices: Device, **body: Any) -> dict[str, Any]:
    """Run over the devices' addresses and ports."""
    wanted = {"addresses": [device.host for device in devices], "ports": [device.port for device in devices]}
    answer = await client.post("/api/v1/discovery", json=wanted | body)
    assert answer.status_code == 202, answer.text
    return await ended(client)


async def listed(client: Client, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get("/api/v1/discovery/found", params={"sort": "address", "down": False} | query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def stalling(device: Device, hold: asyncio.Event) -> Device:
    """Tells the time, as a device does, and nothing else before ``hold``."""

    async def stall(request: Request, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if request.operation != "GetSystemDateAndTime":
            await hold.wait()
        writer.write(device.answer(request).encode())
        await writer.drain()

    device.takeover = stall
    return device


PLACE = {"tier": "community", "department": "psb", "area": "north", "zone": "police"}


async def test_addresses_are_searched_found_previewed_approved_and_watched(tmp_path: Path) -> None:
    one, two = camera(1), camera(2)
    async with city(tmp_path) as client, one.serving(), two.serving():
        run = await search(client, one, two)
        assert (run["outcome"], run["found"], run["answered"], run["waiting"]) == ("done", 2, 2, 2)
        assert (run["added"], run["enrolled"]) == (0, 0)
        assert run["asked"] == run["to_ask"] == 4
        assert run["scope"]["addresses"] == ["127.0.30.1", "127.0.30.2"]
        assert run["by"].startswith("token:")
        first, second = await listed(client)
        assert first["status"] == second["status"] == "new"
        assert first["address"] == f"127.0.30.1:{one.port}"
        assert (first["manufacturer"], first["serial"], first["mac"]) == (
            "Acme",
            "ACME-77-1",
            "02:00:00:00:00:01",
        )
        assert (first["how"], first["approvable"], first["run"]) == ("sweep", True, run["id"])
        detail = (await client.get(f"/api/v1/discovery/found/{first['id']}")).json()
        assert detail["told"][0]["profiles"][0]["stream_uri"].startswith("rtsp://127.0.30.1")

        form = {"ids": [first["id"], second["id"]], **PLACE, "camera_name": "{area} {model} {address}"}
        cameras = len(await client.service.database.aread(list_cameras))
        tried = (await client.post("/api/v1/discovery/found/approve", json=form | {"dry_run": True})).json()
        assert len(await client.service.database.aread(list_cameras)) == cameras
        assert {one["status"] for one in await listed(client)} == {"new"}
        assert [one["camera"] for one in tried["cameras"]] == [None] * len(tried["cameras"])

        done = (await client.post("/api/v1/discovery/found/approve", json=form)).json()
        assert done["refused"] == []
        assert [(one["name"], one["code"]) for one in done["cameras"]] == [
            (one["name"], one["code"]) for one in tried["cameras"]
        ]
        assert done["cameras"][0]["name"] == "North One 127.0.30.1"
        assert done["cameras"][0]["code"].startswith("44030500001321")
        assert {one["status"] for one in await listed(client)} == {"enrolled"}
        shown = (await client.get(f"/api/v1/cameras/{done['cameras'][0]['camera']}")).json()
        assert (shown["tier"], shown["department"], shown["area"]) == ("community", "psb", "north")
        events = (await client.get("/api/v1/events", params={"kind": "found_approved"})).json()["items"]
        assert len(events) == 2
        assert run["by"] in events[0]["message"]

        again = await search(client, one, two)
        assert (again["waiting"], again["enrolled"], again["added"]) == (0, 2, 0)
        twice = (await client.post("/api/v1/discovery/found/approve", json=form)).json()
        assert {one["reason"] for one in twice["refused"]} == {"is enrolled already"}


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("addresses", {"addresses": ["169.254.169.254"]}),
    ("addresses", {"addresses": ["127.0.30.1", "8.8.8.8"]}),
    ("addresses", {"addresses": ["127.0.0.1"]}),
    ("addresses", {"addresses": ["::ffff:127.0.30.1"]}),
    ("addresses", {"addresses": ["127.0.30.0-127.0.33.9"]}),
    ("addresses", {"addresses": ["somewhere"]}),
    ("like", {"addresses": ["127.0.30.1"], "like": "10.0.0.0/8@police"}),
    ("credential", {"addresses": ["127.0.30.1"], "credential": "nobody"}),
    ("enrol", {"addresses": ["127.0.30.1"], "enrol": "automatic"}),
    ("networks", {"networks": ["10.0.0.0/8@police"]}),
    ("ports", {"ports": [80]}),
    ("ports", {"addresses": ["127.0.30.1"], "ports": [0]}),
]


async def test_what_may_not_be_searched_is_refused_by_its_field(tmp_path: Path) -> None:
    async with city(tmp_path) as client:
        for field, body in REFUSED:
            answer = await client.post("/api/v1/discovery", json=body)
            assert answer.status_code == 422, body
            assert field in answer.json()["detail"], body
        assert (await client.get("/api/v1/discovery")).json()["last"] is None
        assert (await client.post("/api/v1/discovery")).status_code == 409  # no networks are declared


async def test_one_run_at_a_time_and_it_can_be_stopped(tmp_path: Path) -> None:
    hold = asyncio.Event()
    slow, quick = stalling(camera(1), hold), camera(2)
    async with city(tmp_path) as client, quick.serving():
        async with slow.serving():
            wanted = {"addresses": ["127.0.30.1-127.0.30.2"], "ports": [slow.port, quick.port]}
            begun = await client.post("/api/v1/discovery", json=wanted)
            assert begun.json()["last"]["outcome"] is None
            refused = await client.post("/api/v1/discovery", json=wanted)
            assert refused.status_code == 409
            assert "token:" in refused.json()["detail"]
            async with asyncio.timeout(60):
                while not await listed(client):  # it is on the list before the run has ended
                    await asyncio.sleep(0.05)
            stopped = await client.delete("/api/v1/discovery")
            assert stopped.status_code == 202
            run = await ended(client)
            hold.set()
        assert (run["outcome"], run["stopped_by"]) == ("stopped", run["by"])
        assert [one["address"] for one in await listed(client)] == [f"127.0.30.2:{quick.port}"]
        assert (await client.delete("/api/v1/discovery")).status_code == 409
        [kept] = (await client.get("/api/v1/discovery/runs")).json()
        assert (kept["id"], kept["outcome"]) == (run["id"], "stopped")


async def test_credentials_are_given_kept_sealed_and_tried(tmp_path: Path) -> None:
    device = camera(3, gate=locked)
    async with city(tmp_path) as client, device.serving():
        run = await search(client, device)
        [error] = run["errors"]
        assert error["kind"] == "credentials_missing"
        [row] = await listed(client, status="needs_credentials", kind="credentials_missing")
        assert row["approvable"] is False
        form = {"ids": [row["id"]], "username": "admin", "password": PASSWORD}
        wrong = await client.post("/api/v1/discovery/found/login", json=form | {"password": "guess"})
        assert wrong.status_code == 200
        await ended(client)
        [row] = await listed(client)
        assert (row["status"], row["kind"]) == ("needs_credentials", "auth_failed")
        given = await client.post("/api/v1/discovery/found/login", json=form)
        assert PASSWORD not in given.text
        assert given.json()["run"]["outcome"] is None
        await ended(client)
        [row] = await listed(client)
        assert (row["status"], row["kind"]) == ("new", None)
        done = await client.post("/api/v1/discovery/found/approve", json={"ids": [row["id"]], **PLACE})
        [camera_id] = {one["camera"] for one in done.json()["cameras"]}

        def read(connection: Any) -> Any:
            accounts = open_credentials(connection, client.service._vault)
            return accounts, list_cameras(connection), list_devices(connection)

        accounts, cameras, devices = await client.service.database.aread(read)
        name = next(one.credential for one in cameras if one.id == camera_id)
        assert accounts[name].password.reveal() == PASSWORD
        assert devices[-1].credential == name
        events = (await client.get("/api/v1/events", params={"limit": 200})).text
        assert PASSWORD not in events
        assert "guess" not in events
        # It is asked with its own account from now on, and without any where somebody wants it so.
        again = await search(client, device)
        assert again["errors"][0]["kind"] == "credentials_missing"
        [row] = await listed(client)
        assert row["status"] == "enrolled"
    assert PASSWORD.encode() not in (tmp_path / "data" / "sharpeyes.db").read_bytes()


async def test_what_is_ignored_stays_so_until_that_is_taken_back(tmp_path: Path) -> None:
    device = camera(4)
    async with city(tmp_path) as client, device.serving():
        await search(client, device)
        [row] = await listed(client)
        no = await client.post("/api/v1/discovery/found/ignore", json={"ids": [row["id"]], "reason": " "})
        assert no.status_code == 422
        form = {"ids": [row["id"]], "reason": "the canteen's own"}
        assert (await client.post("/api/v1/discovery/found/ignore", json=form)).json()["done"] == [row["id"]]
        run = await search(client, device)
        assert run["waiting"] == 0
        [row] = await listed(client)
        assert (row["status"], row["remark"]) == ("ignored", "the canteen's own")
        refused = await client.post("/api/v1/discovery/found/approve", json={"ids": [row["id"]], **PLACE})
        assert "ignored" in refused.json()["refused"][0]["reason"]
        await client.post("/api/v1/discovery/found/restore", json={"ids": [row["id"]]})
        [row] = await listed(client)
        assert (row["status"], row["remark"]) == ("new", None)


NETWORK = """
networks:
  - {cidr: 127.0.30.0/29, tier: departmental, department: edu, area: south, ports: [%s], enrol: %s}
"""


async def test_a_network_that_wants_approval_has_it_and_the_others_enrol_by_themselves(
    tmp_path: Path,
) -> None:
    device = camera(5)
    async with device.serving():
        async with city(tmp_path, NETWORK % (device.port, "approve")) as client:
            run = await ended(client)
            assert (run["by"], run["waiting"], run["added"]) == ("schedule", 1, 0)
            [row] = await listed(client)
            assert (row["status"], row["network"]) == ("new", "127.0.30.0/29@police")
            options = (await client.get("/api/v1/discovery/options")).json()
            assert options["networks"][0]["enrol"] == "approve"
            assert options["allowed"] == ["127.0.30.0/23"]
        async with city(tmp_path, NETWORK % (device.port, "automatic")) as client:
            run = await ended_by(client, tmp_path)
            assert run["added"] > 0
            [row] = await listed(client)
            assert row["status"] == "enrolled"


async def test_a_network_enrols_by_itself_who_was_given_a_login_and_the_next_start_keeps_it(
    tmp_path: Path,
) -> None:
    device = camera(3, gate=locked)

    def account(connection: Any) -> tuple[str | None, str | None]:
        found = next(one for one in list_cameras(connection) if one.device is not None)
        return found.credential, list_devices(connection)[0].credential

    async with device.serving():
        async with city(tmp_path, NETWORK % (device.port, "automatic")) as client:
            assert (await ended(client))["added"] == 0
            [row] = await listed(client, status="needs_credentials")
            form = {"ids": [row["id"]], "username": "admin", "password": PASSWORD}
            await client.post("/api/v1/discovery/found/login", json=form)
            assert (await ended(client))["added"] > 0
            [row] = await listed(client)
            assert row["status"] == "enrolled"
            given, _ = await client.service.database.aread(account)
            assert given is not None
            assert given.startswith("found-")
        async with city(tmp_path, NETWORK % (device.port, "automatic")) as client:
            run = await ended_by(client, tmp_path)
            assert run["errors"] == []
            assert await client.service.database.aread(account) == (given, given)


async def test_addresses_are_enrolled_at_once_with_the_defaults_of_a_network_if_somebody_wants_that(
    tmp_path: Path,
) -> None:
    device = camera(40)
    async with device.serving(), city(tmp_path, NETWORK % (device.port, "automatic")) as client:
        await ended(client)
        run = await search(client, device, like="127.0.30.0/29@police", enrol="automatic")
        assert run["added"] > 0
        [row] = await listed(client)
        assert (row["status"], row["network"]) == ("enrolled", "127.0.30.0/29@police")
        cameras = await client.service.database.aread(list_cameras)
        assert {(one.department, one.area, one.tier.value) for one in cameras if one.device} == {
            ("edu", "south", "departmental")
        }


async def ended_by(client: Client, folder: Path) -> dict[str, Any]:
    """As :func:`ended`, for a second start, whose client has no token of its own."""
    from sharpeyes.store.tokens import create_token

    made = await client.service.database.awrite(
        lambda connection: create_token(connection, name="t", scopes=["admin"], now=client.service.clock())
    )
    client.headers["Authorization"] = f"Bearer {made[1].reveal()}"
    return await ended(client)


async def test_a_device_that_claims_to_be_a_known_one_moves_nothing_before_somebody_says_so(
    tmp_path: Path,
) -> None:
    real, liar = camera(6), camera(6)
    liar.host = "127.0.30.66"
    async with city(tmp_path) as client, real.serving(), liar.serving():
        await search(client, real)
        [row] = await listed(client)
        await client.post("/api/v1/discovery/found/approve", json={"ids": [row["id"]], **PLACE})
        await search(client, liar)
        devices = await client.service.database.aread(list_devices)
        assert [one.identity.address for one in devices] == [f"127.0.30.6:{real.port}"]
        rows = await listed(client)
        assert {(one["address"], one["status"]) for one in rows} >= {(f"127.0.30.66:{liar.port}", "new")}
        form = {"ids": [one["id"] for one in rows if one["status"] == "new"], **PLACE, "dry_run": True}
        tried = (await client.post("/api/v1/discovery/found/approve", json=form)).json()
        assert list(tried["moved"].values()) == [f"127.0.30.6:{real.port}"]


async def test_who_does_not_answer_any_more_is_unreachable_and_who_was_not_asked_is_not(
    tmp_path: Path,
) -> None:
    gone, other = camera(7), camera(8)
    async with city(tmp_path) as client:
        async with gone.serving(), other.serving():
            await search(client, gone, other)
        await search(client, gone)
        assert {one["address"].split(":")[0]: one["status"] for one in await listed(client)} == {
            "127.0.30.7": "unreachable",
            "127.0.30.8": "new",
        }


async def test_a_run_that_the_end_of_the_service_cut_short_is_told_so_and_loses_nothing(
    tmp_path: Path,
) -> None:
    hold = asyncio.Event()
    slow, quick = stalling(camera(1), hold), camera(2)
    async with quick.serving(), slow.serving():
        async with city(tmp_path) as client:
            wanted = {"addresses": ["127.0.30.1-2"], "ports": [slow.port, quick.port]}
            await client.post("/api/v1/discovery", json=wanted)
            async with asyncio.timeout(60):
                while not await listed(client):
                    await asyncio.sleep(0.05)
        hold.set()
    async with city(tmp_path) as client:
        database = client.service.database
        [run] = await database.aread(list_runs)
        assert run.outcome is Outcome.CUT_SHORT
        rows, _ = await database.aread(lambda connection: list_found(connection, FoundFilter()))
        assert [(row.address, row.status) for row in rows] == [(f"127.0.30.2:{quick.port}", FoundStatus.NEW)]
        # One that was killed could not say so itself: the next start does.
        dangling = type(run)(id="run-x", started=run.started, by="x", scope=run.scope)
        await database.awrite(lambda connection: put_run(connection, dangling))
    async with city(tmp_path) as client:
        runs = await client.service.database.aread(list_runs)
        assert {one.outcome for one in runs} == {Outcome.CUT_SHORT}
        assert {one.ended is None for one in runs if one.id == "run-x"} == {True}


async def test_the_list_is_filtered_sorted_and_paged(tmp_path: Path) -> None:
    devices = [camera(number) for number in (2, 10, 9)]
    async with city(tmp_path) as client, devices[0].serving(), devices[1].serving(), devices[2].serving():
        await search(client, *devices)
        hosts = [one["address"].split(":")[0] for one in await listed(client)]
        assert hosts == ["127.0.30.2", "127.0.30.9", "127.0.30.10"]
        assert [one["serial"] for one in await listed(client, q="acme 77-10")] == ["ACME-77-10"]
        assert await listed(client, q="100%") == []
        page = (await client.get("/api/v1/discovery/found", params={"limit": 2, "offset": 2})).json()
        assert (len(page["items"]), page["total"]) == (1, 3)
        assert page["by_status"]["new"] == 3
        assert json.dumps(page).count("rtsp://") == 0


class Liar(asyncio.DatagramProtocol):
    """Answers every probe: from another of its addresses if it has one, with what it was told to announce."""

    def __init__(self, answer: bytes, instead: socket.socket | None = None) -> None:
        self.answer = answer
        self.instead = instead

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.instead is None:
            self.transport.sendto(self.answer, addr)
        else:
            self.instead.sendto(self.answer, addr)


def announcement(endpoint: str, xaddr: str) -> bytes:
    return (
        f"<E><Body><ProbeMatches><ProbeMatch><EndpointReference><Address>{endpoint}</Address>"
        f"</EndpointReference><XAddrs>{xaddr}</XAddrs></ProbeMatch></ProbeMatches></Body></E>"
    ).encode()


@asynccontextmanager
async def lying(host: str, answer: bytes, instead: str | None = None) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((instead or host, 0))
        transport, _ = await loop.create_datagram_endpoint(
            lambda: Liar(answer, other if instead else None), local_addr=(host, 3702)
        )
        try:
            yield
        finally:
            transport.close()


async def test_an_announcement_of_anothers_address_is_listed_and_not_believed(tmp_path: Path) -> None:
    real = camera(6)
    lie = announcement("urn:uuid:real", "http://127.0.30.6:1/onvif/device_service")
    async with city(tmp_path) as client, real.serving():
        await search(client, real)
        [row] = await listed(client)
        await client.post("/api/v1/discovery/found/approve", json={"ids": [row["id"]], **PLACE})

        def remember(connection: Any) -> None:  # as if it had announced this endpoint itself
            [device] = list_devices(connection)
            identity = replace(device.identity, endpoint="urn:uuid:real")
            put_devices(connection, [replace(device, identity=identity)], now=Ms(1))

        await client.service.database.awrite(remember)
        async with lying("127.0.30.70", lie):
            run = await search(client, Device(host="127.0.30.70", port=1))
        assert [one["kind"] for one in run["errors"]] == ["xaddr_refused"]
        [device] = await client.service.database.aread(list_devices)
        assert device.identity.address == f"127.0.30.6:{real.port}"
        [row] = await listed(client, kind="xaddr_refused")
        assert (row["status"], row["address"], row["approvable"]) == ("error", "127.0.30.70", False)
        again = await client.post("/api/v1/discovery", json={"devices": [row["id"]]})
        assert again.status_code == 422
        assert "not its own address" in again.json()["detail"]
        form = {"ids": [row["id"]], "username": "admin", "password": PASSWORD}
        login = (await client.post("/api/v1/discovery/found/login", json=form)).json()
        assert (login["done"], login["run"]) == ([], None)


async def test_who_was_not_asked_is_not_followed_whatever_it_answers(tmp_path: Path) -> None:
    other = Device(host="127.0.31.200")
    async with city(tmp_path) as client, other.serving():
        async with lying("127.0.30.71", announcement("urn:uuid:x", other.xaddr), instead="127.0.31.200"):
            run = await search(client, Device(host="127.0.30.71", port=1))
        assert (run["found"], run["answered"], run["errors"]) == (0, 0, [])
        assert other.requests == []


async def test_endless_answers_end_and_are_an_error_by_kind(tmp_path: Path) -> None:
    device = camera(7)
    profiles = "".join(profile(f"p{n}", f"s{n}", (1920, 1080)) for n in range(20_000))
    device.replies["GetProfiles"] = f"<trt:GetProfilesResponse>{profiles}</trt:GetProfilesResponse>"
    async with city(tmp_path) as client, device.serving():
        run = await search(client, device)
        assert [one["kind"] for one in run["errors"]] == ["too_large"]
        [row] = await listed(client, status="error")
        assert (row["kind"], row["mac"], row["approvable"]) == ("too_large", "02:00:00:00:00:07", False)


async def test_operators_see_the_list_without_addresses_and_decide_nothing(tmp_path: Path) -> None:
    device = camera(8)
    async with city(tmp_path) as client, device.serving():
        await search(client, device)
        [row] = await listed(client)
        assert not isinstance(client.service.access, Exception)
        await client.service.access.people.add(
            None,
            username="wang",
            name="Wang",
            department="psb",
            roles=[Role.OPERATOR],
            password=Secret(WORDS),
        )
        client.headers.pop("Authorization")
        entered = await client.post("/api/v1/session", json={"username": "wang", "password": WORDS})
        client.headers["X-CSRF-Token"] = entered.json()["csrf"]
        [seen] = await listed(client)
        assert (seen["model"], seen["address"], seen["mac"]) == ("One", None, None)
        assert await listed(client, q="127.0.30.8") == []
        shown = await client.get(f"/api/v1/discovery/found/{row['id']}")
        runs = await client.get("/api/v1/discovery/runs")
        assert "127.0.30" not in shown.text + runs.text
        for path, body in (
            ("", {}),
            ("/found/approve", {"ids": [row["id"]], **PLACE}),
            ("/found/ignore", {"ids": [row["id"]], "reason": "x"}),
            ("/found/login", {"ids": [row["id"]], "credential": "x"}),
        ):
            answer = await client.post(f"/api/v1/discovery{path}", json=body)
            assert answer.status_code == 403, path
        assert (await client.get("/api/v1/discovery/options")).status_code == 403


def test_accounts_of_found_devices_outlive_a_start(tmp_path: Path) -> None:
    """The next start forgets the accounts that nobody uses: a found device uses its own."""
    vault = Vault([b"k" * 32])
    with Database(f"sqlite:///{tmp_path}/a.db") as database:
        database.upgrade()

        def story(connection: Any) -> list[str]:
            for name in ("found-1", "found-2"):
                put_credential(connection, vault, name, "admin", Secret("x"), now=Ms(1))
            row = Found(
                id="fnd-1",
                identity=Identity(address="10.0.0.1:80"),
                xaddr="http://10.0.0.1",
                status=FoundStatus.NEEDS_CREDENTIALS,
                how=How.SWEEP,
                first=Ms(1),
                last=Ms(1),
                credential="found-1",
            )
            put_found(connection, [row])
            return forget_credentials(connection, keep=frozenset())

        assert database.write(story) == ["found-2"]


async def test_a_run_that_the_store_refused_is_told_so_and_the_next_one_is_begun(tmp_path: Path) -> None:
    device = camera(60)
    async with city(tmp_path) as client, device.serving():
        full = "CREATE TRIGGER full BEFORE INSERT ON discovery_run BEGIN SELECT RAISE(ABORT, 'full'); END"
        await client.service.database.awrite(lambda connection: connection.exec_driver_sql(full))
        run = await search(client, device)
        assert (run["outcome"], [error["kind"] for error in run["errors"]]) == ("failed", ["internal"])
        await client.service.database.awrite(
            lambda connection: connection.exec_driver_sql("DROP TRIGGER full")
        )
        run = await search(client, device)
        assert (run["outcome"], run["found"], run["errors"]) == ("done", 1, [])


async def test_a_run_whose_list_is_refused_asks_nobody_any_more(tmp_path: Path) -> None:
    quick, hold = camera(61), asyncio.Event()
    device = stalling(camera(62), hold)
    async with city(tmp_path) as client, quick.serving(), device.serving():
        full = "CREATE TRIGGER full BEFORE INSERT ON found_device BEGIN SELECT RAISE(ABORT, 'full'); END"
        await client.service.database.awrite(lambda connection: connection.exec_driver_sql(full))
        run = await search(client, quick, device)
        assert run["outcome"] == "failed"
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "enrolment-ask"]


async def test_what_a_run_found_waits_for_an_import_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(enrolment, "AGAIN_S", 0.05)
    caplog.set_level("INFO", enrolment.__name__)
    device = camera(40)
    async with device.serving(), city(tmp_path, NETWORK % (device.port, "automatic")) as client:
        await ended(client)
        form = {"like": "127.0.30.0/29@police", "enrol": "automatic"}
        with client.service.database.reserved(schema.camera, why="an import is being written"):
            sought = asyncio.create_task(search(client, device, **form))
            async with asyncio.timeout(60):
                while "what was found waits: an import is being written" not in caplog.text:
                    await asyncio.sleep(0.02)
            assert not sought.done()
        run = await sought
        assert (run["outcome"], run["errors"]) == ("done", [])
        assert run["added"] > 0
