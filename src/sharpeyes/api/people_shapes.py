"""The shapes of accounts, log-ins and sessions. Instants are RFC 3339 in UTC."""

# ruff: noqa: S106 (the passwords here are examples)

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, SecretStr

from sharpeyes.api.schemas import Body, Id, Instant, Shape, example
from sharpeyes.domain.access import Role, Session, Subject
from sharpeyes.domain.time import iso
from sharpeyes.store.people import Account


class LogIn(Body):
    model_config = example(username="wang", password="a long phrase of words", code="492039")

    username: Annotated[str, Field(min_length=1, max_length=200)]
    password: Annotated[SecretStr, Field(max_length=1000)]
    code: Annotated[
        str | None, Field(max_length=20, description="Of the authenticator app, if the account wants one.")
    ] = None


_PERSON: dict[str, Any] = {
    "id": "u-0b7d3f6a91c2",
    "name": "Wang Li",
    "department": "traffic",
    "roles": ["requester"],
    "enabled": True,
}


class PersonShape(Shape):
    model_config = example(**_PERSON)

    id: str
    name: str
    department: str
    roles: tuple[Role, ...]
    enabled: bool

    @classmethod
    def of(cls, subject: Subject) -> Self:
        return cls(
            id=subject.id,
            name=subject.name,
            department=subject.department,
            roles=tuple(sorted(subject.roles)),
            enabled=subject.enabled,
        )


class UserShape(Shape):
    model_config = example(
        **_PERSON, username="wang", code=True, created="2026-10-01T08:00:00.000Z", keyed_by=None
    )

    id: str
    username: str
    name: str
    department: str
    roles: tuple[Role, ...]
    enabled: bool
    code: Annotated[bool, Field(description="Whether a log-in takes a code of an authenticator app.")]
    created: Instant
    keyed_by: Annotated[
        str | None,
        Field(
            description="The administrator who gave it its password: until another has confirmed the "
            "account, it counts as nobody else where it is about theirs."
        ),
    ]

    @classmethod
    def of(cls, account: Account) -> Self:
        return cls(
            **dict(PersonShape.of(account.subject)),
            username=account.username,
            code=account.totp is not None,
            created=iso(account.created),
            keyed_by=account.keyed_by,
        )


class NewUser(Body):
    model_config = example(
        username="wang",
        name="Wang Li",
        department="traffic",
        roles=["requester"],
        password="a long phrase of words",
    )

    username: Annotated[str, Field(min_length=1, max_length=100)]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    department: Id
    roles: Annotated[frozenset[Role], Field(min_length=1)]
    password: Annotated[SecretStr | None, Field(description="None: cannot log in until one is set.")] = None


class UserChange(Body):
    """What is left out stays."""

    model_config = example(enabled=False)

    enabled: bool | None = None
    name: Annotated[
        str | None,
        Field(min_length=1, max_length=100, description="That is shown. The one to log in with stays."),
    ] = None
    roles: Annotated[frozenset[Role] | None, Field(min_length=1)] = None
    department: Id | None = None


class NewPassword(Body):
    model_config = example(password="another long phrase of words")

    password: SecretStr


class OwnName(Body):
    model_config = example(name="Wang Li")

    name: Annotated[str, Field(min_length=1, max_length=100)]


class OwnPassword(Body):
    model_config = example(old="a long phrase of words", password="another long phrase of words")

    old: SecretStr
    password: SecretStr


class TotpOffer(Shape):
    model_config = example(
        secret="JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        uri="otpauth://totp/SharpEyes:wang?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=SharpEyes",
    )

    secret: str
    uri: Annotated[str, Field(description="What an app reads from a QR code.")]


class TotpProof(Body):
    model_config = example(secret="JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", code="492039")

    secret: Annotated[SecretStr, Field(description="As offered.")]
    code: Annotated[str, Field(max_length=20)]


class TotpRemoval(Body):
    model_config = example(password="a long phrase of words", code="492039")

    password: Annotated[SecretStr, Field(max_length=1000)]
    code: Annotated[str, Field(max_length=20)]


_SESSION: dict[str, Any] = {
    "id": "5f2c9a7d1e3b4c60",
    "created": "2026-10-01T08:00:00.000Z",
    "seen": "2026-10-01T08:41:00.000Z",
    "expires": "2026-10-01T20:00:00.000Z",
    "address": "10.20.0.5",
    "client": "Mozilla/5.0",
    "current": True,
}


class SignInWays(Shape):
    model_config = example(password=True, sign_on="Government portal")

    password: bool
    sign_on: Annotated[str | None, Field(description="What the button of single sign-on says; null: none.")]


class SessionShape(Shape):
    model_config = example(**_SESSION)

    id: str
    created: Instant
    seen: Annotated[Instant, Field(description="Last use, to the minute.")]
    expires: Instant
    address: str
    client: str
    current: Annotated[bool, Field(description="Whether it is the one that asks.")]

    @classmethod
    def of(cls, session: Session, current: str) -> Self:
        return cls(
            id=session.id,
            created=iso(session.created),
            seen=iso(session.seen),
            expires=iso(session.expires),
            address=session.address,
            client=session.client,
            current=session.id == current,
        )


class WhoAmI(Shape):
    model_config = example(
        user=_PERSON,
        session=_SESSION,
        csrf="q0n0xX0yT0mT0b8vT5s2b0XJr0y6b2a0m1c3d4e5f6g",
        may=["ask for views, decide on them and watch", "see cameras, states and rates"],
    )

    user: PersonShape
    session: SessionShape
    csrf: Annotated[str, Field(description="To be sent as X-CSRF-Token with everything that changes.")]
    may: tuple[str, ...]
