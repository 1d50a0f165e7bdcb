"""The shapes of the register, its proofs and its figures. Instants are RFC 3339 in UTC."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AwareDatetime, ConfigDict, Field

from sharpeyes.access.register.entry import Kind, decode
from sharpeyes.api.schemas import Body, Instant, Shape, example
from sharpeyes.domain.time import iso
from sharpeyes.store.register import EntryRow

_ENTRY: dict[str, Any] = {
    "seq": 4711,
    "kind": "refusal",
    "at": "2026-10-01T12:00:01.000Z",
    "user": "u-0b7d3f6a91c2",
    "name": "Wang Li",
    "unit": "traffic",
    "camera": "gate-3-north",
    "grant": "g-9a8b7c6d5e4f3021",
    "request": None,
    "purpose": None,
    "address": "10.20.0.5",
    "details": {"reason": "expired", "step": "live", "message": "The grant has expired"},
}


class RegisterEntry(Shape):
    model_config = example(**_ENTRY)

    seq: int
    kind: Kind
    at: Instant
    user: str | None
    name: str | None
    unit: str | None
    camera: str | None
    grant: str | None
    request: str | None
    purpose: str | None
    address: str | None
    details: dict[str, Any]

    @classmethod
    def of(cls, row: EntryRow) -> Self:
        entry = decode(row.body)
        return cls(
            seq=row.seq,
            kind=entry.kind,
            at=iso(entry.at),
            user=entry.user,
            name=entry.name,
            unit=entry.unit,
            camera=entry.camera,
            grant=entry.grant,
            request=entry.request,
            purpose=entry.purpose,
            address=entry.address,
            details=dict(entry.details),
        )


class RegisterPage(Shape):
    model_config = example(items=[_ENTRY], next=None)

    items: tuple[RegisterEntry, ...]
    next: Annotated[int | None, Field(description="'before' of the next page; null on the last.")]


_NOTE = "sharpeyes/register\n4711\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— sharpeyes/register ...\n"


class CheckpointShape(Shape):
    model_config = example(
        size=4711,
        at="2026-10-01T12:01:00.000Z",
        note=_NOTE,
        keys=["sharpeyes/register+5d7f2c1e+AbCd"],
    )

    size: int
    at: Instant
    note: Annotated[str, Field(description="Signed note in the form of C2SP checkpoints.")]
    keys: Annotated[tuple[str, ...], Field(description="Public keys; the one in use first.")]


class InclusionShape(Shape):
    model_config = example(
        format="sharpeyes-register-1",
        seq=4711,
        entry='{"at":1790049600000,"kind":"login","v":1}',
        size=5000,
        hashes=["CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="],
        checkpoint=_NOTE,
    )

    format: str
    seq: int
    entry: Annotated[str, Field(description="As it was hashed.")]
    size: int
    hashes: Annotated[tuple[str, ...], Field(description="Base64 of SHA-256, as in RFC 6962, 2.1.1.")]
    checkpoint: str


class ConsistencyShape(Shape):
    model_config = example(old=4000, new=4711, hashes=["CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="])

    old: int
    new: int
    hashes: Annotated[tuple[str, ...], Field(description="Base64 of SHA-256, as in RFC 6962, 2.1.2.")]


class NewExport(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {"from": "2026-10-01T00:00:00+08:00", "to": "2026-11-01T00:00:00+08:00"}
        }
    )

    start: Annotated[AwareDatetime, Field(alias="from")]
    end: Annotated[AwareDatetime, Field(alias="to")]


_FIGURES: dict[str, Any] = {
    "department": "traffic",
    "purpose": "traffic",
    "requests": 12,
    "approvals": 10,
    "rejections": 2,
    "grants": 10,
    "revocations": 1,
    "views": 31,
    "view_seconds": 8_412,
    "snapshots": 3,
    "overrides": 0,
    "refusals": 4,
    "exports": 0,
    "withdrawn": 0,
    "expired": 0,
    "reviews": 0,
    "unjustified": 0,
}


class FiguresRow(Shape):
    """Counts only: no person, camera or case is in them."""

    model_config = example(**_FIGURES)

    department: Annotated[str, Field(description="That asked; empty if nobody did.")]
    purpose: str
    requests: int
    approvals: int
    rejections: int
    grants: int
    revocations: int
    views: int
    view_seconds: int
    snapshots: int
    overrides: int
    refusals: int
    exports: int
    withdrawn: Annotated[int, Field(description="Requests that their applicants took back.")]
    expired: Annotated[int, Field(description="Requests that nobody decided on in time.")]
    reviews: Annotated[int, Field(description="Overrides that somebody looked at.")]
    unjustified: Annotated[int, Field(description="Of these, found to be none.")]


_PUBLIC: dict[str, Any] = {
    "department": "traffic",
    "purpose": "traffic",
    "counts": {"requests": 10, "grants": 10, "views": 30, "refusals": None, "overrides": 0},
    "view_hours": 2,
}


class PublicFiguresRow(Shape):
    """Counts rounded down to a multiple of 5; null: from 1 to 4."""

    model_config = example(**_PUBLIC)

    department: str
    purpose: str
    counts: dict[str, int | None]
    view_hours: Annotated[int | None, Field(description="null where there were fewer than 5 views.")]


class PublicFiguresShape(Shape):
    """A month that is over, for everybody."""

    model_config = example(month="2026-10", zone="Asia/Shanghai", public=[_PUBLIC], against={"traffic": None})

    month: str
    zone: str
    public: tuple[PublicFiguresRow, ...]
    against: Annotated[
        dict[str, int | None], Field(description="Overrides that count against a department, as coarse.")
    ]


class FiguresShape(Shape):
    model_config = example(
        month="2026-10", zone="Asia/Shanghai", complete=True, items=[_FIGURES], against={"traffic": 1}
    )

    month: str
    zone: str
    complete: Annotated[
        bool, Field(description="false: retention removed entries of this month, and they are not counted.")
    ]
    items: tuple[FiguresRow, ...]
    against: Annotated[
        dict[str, int], Field(description="Overrides of the month that count against a department.")
    ]
