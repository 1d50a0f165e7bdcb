"""What is asked of a camera's certificate, as its page tells it."""

from __future__ import annotations

import textwrap
from pathlib import Path

from api_client import CITY, client_of
from api_people import staff_of
from certificates import certificate

PIN = "9f" * 32
SECURE = f"""
      - {{id: pinned, name: A, tier: public_security, department: psb, area: north, zone: police,
         main: "rtsps://127.0.0.1:1/d", tls: {{fingerprints: ["{PIN}"]}}}}
      - {{id: signed, name: B, tier: public_security, department: psb, area: north, zone: police,
         main: "rtsps://127.0.0.1:1/e", tls: {{ca_file: ca.pem}}}}
      - {{id: anyone, name: C, tier: public_security, department: psb, area: north, zone: police,
         main: "rtsp://127.0.0.1:1/f", sub: "rtsps://127.0.0.1:1/f", tls: any}}
      - {{id: unsaid, name: D, tier: public_security, department: psb, area: north, zone: police,
         main: "rtsps://localhost:1/g"}}
      - {{id: in-network, name: E, tier: public_security, department: psb, area: north, zone: police,
         main: "rtsps://127.0.90.1:1/h"}}
    networks:
      - {{cidr: 127.0.90.0/30, tier: public_security, department: psb, area: north, zone: police,
         ports: [1], methods: [sweep], tls: {{fingerprints: ["{PIN}", "{"2c" * 32}"]}}}}
"""


async def test_a_camera_tells_whose_certificates_are_believed(tmp_path: Path) -> None:
    certificate(tmp_path, "ca")
    (tmp_path / "cameras.yaml").write_text(textwrap.dedent(CITY.rstrip() + SECURE), encoding="utf-8")
    async with client_of(tmp_path) as client, staff_of(client) as staff:

        async def asked(camera: str, name: str = "ma") -> tuple[str, int] | None:
            found = (await staff[name].get(f"/api/v1/cameras/{camera}")).json()["certificate"]
            return None if found is None else (found["policy"], len(found["fingerprints"]))

        assert await asked("pinned") == ("pinned", 1)
        assert await asked("signed") == ("authority", 0)
        assert await asked("anyone") == ("any", 0)
        assert await asked("unsaid") == ("undeclared", 0)
        assert await asked("in-network") == ("pinned", 2)
        assert await asked("gate-1") is None  # nothing is encrypted
        assert await asked("pinned", "wang") is None  # who does not mend cameras
