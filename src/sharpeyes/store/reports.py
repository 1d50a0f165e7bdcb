"""Reports that were given out: their manifests, by the digest of their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from sharpeyes.domain.errors import NotFoundError
from sharpeyes.domain.time import Ms
from sharpeyes.store.rates_schema import report_issued
from sharpeyes.store.telemetry import upsert


def put_manifest(connection: Connection, manifest: Mapping[str, Any], *, now: Ms) -> None:
    row = {"sha256": manifest["sha256"], "at_ms": now, "manifest": dict(manifest)}
    connection.execute(upsert(connection, report_issued, ("sha256",)), row)


def get_manifest(connection: Connection, sha256: str) -> dict[str, Any]:
    """NotFoundError if no report of these bytes was given out."""
    found: dict[str, Any] | None = connection.scalar(
        select(report_issued.c.manifest).where(report_issued.c.sha256 == sha256.lower())
    )
    if found is None:
        raise NotFoundError("no report with this digest was given out here")
    return found
