"""On a data directory of an older version what was learnt is learnt anew, and nobody is blamed meanwhile."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert

from api_client import client_of
from scenario.test_pictures_end_to_end import CITY
from sharpeyes.app import Service
from sharpeyes.domain.health import State
from sharpeyes.health.diagnose.reference import FORMAT, MODES, ModeReference
from sharpeyes.simulator.fleet import Addressing, uniform
from sharpeyes.simulator.simulator import Simulator
from sharpeyes.store.quality_schema import picture_reference


def older(mode: str, number: int = FORMAT - 1) -> bytes:
    """What another version may have left: the names that it had for what it kept are not ours."""
    out = io.BytesIO()
    np.savez_compressed(
        out, format=np.array(number), mode=np.array(mode), learned_ms=np.array(1), edges=np.zeros((9, 9))
    )
    return out.getvalue()


def broken(data: bytes, at: int) -> bytes:
    return data[:at] + bytes(256 - byte if byte else 1 for byte in data[at : at + 40]) + data[at + 40 :]


@pytest.mark.parametrize(
    "data",
    [
        older("day"),
        older("day", FORMAT + 1),
        b"",
        b"PK\x03\x04",
        b"PK\x03\x04" + b"x" * 400,
        older("day", FORMAT),
        older("day")[:-30],
        older("day")[:60],
        b"\x93NUMPY" + b"\x01\x00" * 20,
        b"\x80\x04K\x01.",
        *(broken(older("day"), at) for at in range(30, 400, 37)),
    ],
)
def test_what_is_no_reference_of_this_version_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError, match="reference"):
        ModeReference.from_bytes(data)


@pytest.mark.parametrize("kept", ["older", "cut"])
async def test_references_of_an_older_format_are_learnt_anew_and_nobody_is_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    monkeypatch.setattr("sharpeyes.health.quality.LEARN_SOON_S", 0.1)
    place = Addressing(rtsp_port=0, onvif_port=0, discovery_port=None, network="127.0.61.1")
    async with Simulator(uniform(1, scenes=1), addressing=place) as simulator:
        (endpoint,) = simulator.endpoints.values()
        (tmp_path / "password").write_text("simulated", encoding="utf-8")
        (tmp_path / "password").chmod(0o600)
        streams = {role.value: url for role, url in endpoint.streams.items()}
        (tmp_path / "cameras.yaml").write_text(CITY.format(**streams), encoding="utf-8")
        async with client_of(tmp_path, prepare=unlearning) as client:
            token = client.headers["Authorization"]
        states: list[State] = []
        async with client_of(tmp_path, prepare=lambda service: older_city(service, kept)) as client:
            client.headers["Authorization"] = token
            service = client.service
            with service.board.subscribe() as changes:
                async with asyncio.timeout(60):
                    while not service.quality.stats.learnt:
                        await asyncio.sleep(0.05)
                    looks = service.quality.stats.full
                    service.fleet.see_anew("gate", None)
                    while service.quality.stats.full == looks:  # a full check beside what was learnt now
                        await asyncio.sleep(0.05)
                states = [change.after for change in changes.taken()]
            assert set(states) <= {State.UNKNOWN, State.ONLINE}
            assert service.quality.stats.failed == 0
            page = (await client.get("/api/v1/cameras/gate/probes")).json()
            assert page["picture"]["faults"] == []
            holds = [one for one in page["references"] if one["retired"] is None and one["version"] == 2]
            (mode,) = [one["mode"] for one in holds]
            (before,) = [one for one in page["references"] if (one["mode"], one["version"]) == (mode, 1)]
            assert before["retired"] is not None
            assert "sharpeyes_references_learnt_total 1.0" in (await client.get("/metrics")).text
            tickets = (await client.get("/api/v1/tickets")).json()["items"]
            assert tickets == []


def unlearning(service: Service) -> None:
    """The first run learns nothing: it is there for the registry."""
    service.quality.evidence = None


def older_city(service: Service, kept: str) -> None:
    service.quality.pair_s = 0.3

    def write(connection: Any) -> None:
        for mode in MODES:
            data = older(mode) if kept == "older" else older(mode)[:60]
            row = {"camera_id": "gate", "mode": mode, "version": 1, "learned_ms": 1, "pictures": 8}
            connection.execute(insert(picture_reference), {**row, "data": data})

    service.database.write(write)
