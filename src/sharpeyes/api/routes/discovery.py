"""Runs of discovery, the devices they found, and what is decided about those."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Query
from pydantic import Field, SecretStr
from sqlalchemy import Connection

from sharpeyes.api.auth import ADDRESSES, Admin, AnyCaller, ManagingCaller, OperatorCaller
from sharpeyes.api.context import Rooms
from sharpeyes.api.schemas import Body, Instant, Shape
from sharpeyes.discovery.decisions import Decided
from sharpeyes.discovery.found import FoundChannel, channels_of
from sharpeyes.discovery.intake import AS_FOUND, Approval, Place
from sharpeyes.discovery.scope import MAX_ADDRESSES, MAX_DEVICES, MAX_ENTRIES, MAX_PORTS, Wanted
from sharpeyes.discovery.sweep import PORTS
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.discovery import Enrol, FoundStatus
from sharpeyes.domain.errors import InvalidInputError, NotFoundError
from sharpeyes.domain.organisation import Tier
from sharpeyes.domain.time import Ms, iso
from sharpeyes.registry.declared import CAMERA_NAME, Network
from sharpeyes.store.credentials import list_credentials
from sharpeyes.store.discovery import (
    Found,
    FoundFilter,
    Run,
    get_found,
    list_found,
    list_runs,
    tally_found,
)

router = APIRouter(prefix="/api/v1/discovery", tags=["discovery"])

Id = Annotated[str, Field(min_length=1, max_length=64)]
Ids = Annotated[tuple[Id, ...], Field(min_length=1, max_length=MAX_DEVICES)]
Port = Annotated[int, Field(ge=1, le=65_535)]


class RunError(Shape):
    where: Annotated[
        str | None,
        Field(description="Address of the device, or the network; null for who may not see addresses."),
    ]
    kind: Annotated[
        str, Field(description="A stable word, as in 'auth_failed', 'timeout' or 'xaddr_refused'.")
    ]
    message: Annotated[
        str, Field(description="The same in a sentence; the word again where it is not shown.")
    ]


class ScopeShape(Shape):
    """What was searched, and as whom."""

    networks: Annotated[tuple[str, ...], Field(description="Ids of declared networks.")]
    addresses: Annotated[tuple[str, ...], Field(description="Given to the run.")]
    devices: Annotated[int, Field(description="Found devices that were asked again.")]
    ports: tuple[int, ...]
    like: str | None
    credential: Annotated[str | None, Field(description="Account for the addresses given.")]
    enrol: Enrol | None


class RunShape(Shape):
    """One search."""

    id: str
    by: Annotated[str, Field(description="A user's id, 'token:…', or 'schedule'.")]
    scope: ScopeShape
    started: Instant
    ended: Annotated[Instant | None, Field(description="Null while it goes on, and if it was cut short.")]
    outcome: Annotated[
        str | None, Field(description="'done', 'stopped', 'cut_short' or 'failed'; null while it goes on.")
    ]
    stopped_by: str | None
    step: Annotated[str | None, Field(description="'probe', 'sweep' or 'enrol'.")]
    done: int
    total: Annotated[int, Field(description="Of the step; 0 if that is not known.")]
    asked: Annotated[int, Field(description="Ports of addresses that were asked.")]
    to_ask: int
    answered: Annotated[int, Field(description="Addresses that answer as devices do.")]
    rate: Annotated[float | None, Field(description="Of the step, per second.")]
    remaining_s: Annotated[float | None, Field(description="Of the step, at this rate.")]
    found: Annotated[int, Field(description="Devices.")]
    enrolled: Annotated[int, Field(description="Of those, the ones in the registry; known at the end.")]
    waiting: Annotated[int, Field(description="Of those, the ones that wait for a decision.")]
    added: Annotated[int, Field(description="Cameras that are new in the registry.")]
    errors: tuple[RunError, ...]

    @classmethod
    def of(cls, run: Run, *, addresses: bool) -> Self:
        scope = run.scope if addresses else {**run.scope, "networks": (), "addresses": ()}
        return cls(
            id=run.id,
            by=run.by,
            scope=ScopeShape.model_validate(scope),
            started=iso(run.started),
            ended=_instant(run.ended),
            outcome=run.outcome,
            stopped_by=run.stopped_by,
            step=run.step,
            done=run.done,
            total=run.total,
            asked=run.asked,
            to_ask=run.to_ask,
            answered=run.answered,
            rate=None if run.rate is None else round(run.rate, 1),
            remaining_s=None if run.remaining_s is None else round(run.remaining_s, 1),
            found=run.found,
            enrolled=run.enrolled,
            waiting=run.waiting,
            added=run.added,
            errors=tuple(
                RunError(
                    where=one.where if addresses else None,
                    kind=one.kind,
                    message=one.message if addresses else one.kind,
                )
                for one in run.errors
            ),
        )


class Discovery(Shape):
    last: Annotated[RunShape | None, Field(description="The latest search, if there was one.")]


class SearchForm(Body):
    """Without anything in it: all declared networks."""

    networks: Annotated[
        tuple[Annotated[str, Field(max_length=200)], ...],
        Field(max_length=MAX_ENTRIES, description="Ids of declared networks."),
    ] = ()
    addresses: Annotated[
        tuple[Annotated[str, Field(max_length=100)], ...],
        Field(
            max_length=MAX_ENTRIES,
            description="'10.1.0.0/24', '10.1.0.7', '10.1.0.7-10.1.0.40' or '10.1.0.7-40'; at most "
            f"{MAX_ADDRESSES} addresses, within the declared networks and SHARPEYES_DISCOVERY_ALLOWED.",
        ),
    ] = ()
    devices: Annotated[
        tuple[Id, ...], Field(max_length=MAX_DEVICES, description="Ids of found devices, to be asked again.")
    ] = ()
    ports: Annotated[
        tuple[Port, ...],
        Field(max_length=MAX_PORTS, description="For the addresses; none: those of 'like', or usual ones."),
    ] = ()
    like: Annotated[
        str | None,
        Field(max_length=200, description="Declared network whose defaults hold for the addresses."),
    ] = None
    credential: Annotated[
        str | None,
        Field(max_length=64, description="Account for the addresses; null: they are asked without one."),
    ] = None
    enrol: Annotated[
        Enrol | None,
        Field(description="Null: as each declared network says; what else is found waits for approval."),
    ] = None


class NetworkShape(Shape):
    id: str
    cidr: str
    addresses: int
    tier: str
    department: str
    area: str
    zone: str
    credential: str | None
    ports: tuple[int, ...]
    camera_name: str
    enrol: Enrol

    @classmethod
    def of(cls, network: Network) -> Self:
        return cls(
            id=network.id,
            cidr=str(network.cidr),
            addresses=network.cidr.num_addresses,
            tier=network.tier,
            department=network.department,
            area=network.area,
            zone=network.zone,
            credential=network.credential,
            ports=network.ports,
            camera_name=network.camera_name,
            enrol=network.enrol,
        )


class AccountShape(Shape):
    id: str
    username: str


class SearchOptions(Shape):
    """What a search may be asked for."""

    networks: tuple[NetworkShape, ...]
    allowed: Annotated[tuple[str, ...], Field(description="Where else addresses may be searched.")]
    credentials: tuple[AccountShape, ...]
    ports: Annotated[tuple[int, ...], Field(description="The usual ones.")]
    most_addresses: int
    most_ports: int
    most_devices: int


class ProfileShape(Shape):
    token: str
    codec: str | None
    width: int | None
    height: int | None
    fps: float | None
    stream_uri: Annotated[str | None, Field(description="Null for who may not see addresses.")]


class ChannelShape(Shape):
    token: str
    name: str
    profiles: tuple[ProfileShape, ...]

    @classmethod
    def of(cls, channel: FoundChannel, *, addresses: bool) -> Self:
        return cls(
            token=channel.token,
            name=channel.name,
            profiles=tuple(
                ProfileShape(
                    token=profile.token,
                    codec=profile.codec,
                    width=profile.width,
                    height=profile.height,
                    fps=profile.fps,
                    stream_uri=profile.stream_uri if addresses else None,
                )
                for profile in channel.profiles
            ),
        )


class FoundShape(Shape):
    """A found device, and how it stands with it."""

    id: str
    address: Annotated[str | None, Field(description="host:port; null for who may not see addresses.")]
    name: str | None
    manufacturer: str | None
    model: str | None
    firmware: str | None
    serial: str | None
    mac: str | None
    location: str | None
    channels: int
    streams: int
    status: FoundStatus
    kind: Annotated[str | None, Field(description="Of what stands in the way; a stable word.")]
    reason: Annotated[str | None, Field(description="The same in a sentence, for who may see addresses.")]
    how: Annotated[str, Field(description="'probe', 'sweep' or 'named'.")]
    network: Annotated[str | None, Field(description="Declared network whose defaults apply.")]
    run: Annotated[str | None, Field(description="The last that saw it.")]
    first: Instant
    last: Instant
    clock_offset_s: float | None
    device: Annotated[str | None, Field(description="Of the registry.")]
    credential: Annotated[str | None, Field(description="The account that it was asked with, or will be.")]
    decided_by: str | None
    decided: Instant | None
    remark: str | None
    approvable: Annotated[bool, Field(description="It told streams and is neither enrolled nor ignored.")]

    @classmethod
    def of(cls, item: Found, *, addresses: bool) -> Self:
        identity = item.identity
        return cls(
            id=item.id,
            address=item.address if addresses else None,
            name=item.name,
            manufacturer=identity.manufacturer,
            model=identity.model,
            firmware=item.firmware,
            serial=identity.serial,
            mac=identity.mac if addresses else None,
            location=item.location,
            channels=item.channels,
            streams=item.streams,
            status=item.status,
            kind=item.kind,
            reason=item.reason if addresses else None,
            how=item.how,
            network=item.network if addresses else None,
            run=item.run,
            first=iso(item.first),
            last=iso(item.last),
            clock_offset_s=item.clock_offset_s,
            device=item.device,
            credential=item.credential,
            decided_by=item.decided_by,
            decided=_instant(item.decided),
            remark=item.remark,
            approvable=item.streams > 0 and item.status not in (FoundStatus.ENROLLED, FoundStatus.IGNORED),
        )


class FoundDetail(FoundShape):
    told: Annotated[tuple[ChannelShape, ...], Field(description="Empty once it is enrolled.")]


class FoundPage(Shape):
    items: tuple[FoundShape, ...]
    total: int
    by_status: Annotated[dict[str, int], Field(description="Whatever status was asked for.")]
    by_kind: Annotated[dict[str, int], Field(description="Whatever kind was asked for.")]


class FoundApprove(Body):
    ids: Ids
    tier: Tier
    department: Id
    area: Id
    zone: Id
    camera_name: Annotated[str, Field(min_length=1, max_length=200)] = CAMERA_NAME
    credential: Annotated[
        str | None,
        Field(
            max_length=64,
            description=f"Account for cameras and devices; '{AS_FOUND}': the one that each was asked with; "
            "null: none.",
        ),
    ] = AS_FOUND
    dry_run: Annotated[bool, Field(description="Only tell what would come of it.")] = False


class ApprovedCamera(Shape):
    found: str
    camera: Annotated[str | None, Field(description="Its id; null in a dry run.")]
    name: str
    code: Annotated[str | None, Field(description="Its number, or the one it would get as things stand.")]
    channel: str | None
    known: Annotated[bool, Field(description="It was in the registry, and now has a device.")]


class RefusedDevice(Shape):
    found: str
    reason: str


class FoundApproval(Shape):
    dry_run: bool
    cameras: tuple[ApprovedCamera, ...]
    moved: Annotated[
        dict[str, str], Field(description="Found device: the address that the registry had for it until now.")
    ]
    refused: tuple[RefusedDevice, ...]

    @classmethod
    def of(cls, approval: Approval, *, dry_run: bool) -> Self:
        return cls(
            dry_run=dry_run,
            cameras=tuple(
                ApprovedCamera(
                    found=one.found,
                    camera=one.camera.id if one.known or not dry_run else None,
                    name=one.camera.name,
                    code=one.camera.code,
                    channel=one.camera.channel,
                    known=one.known,
                )
                for one in approval.cameras
            ),
            moved=dict(approval.moved),
            refused=tuple(RefusedDevice(found=key, reason=why) for key, why in approval.refused.items()),
        )


class FoundIgnore(Body):
    ids: Ids
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]


class FoundRestore(Body):
    ids: Ids


class FoundLogin(Body):
    """Either ``credential``, or ``username`` and ``password``."""

    ids: Ids
    credential: Annotated[str | None, Field(max_length=64, description="A stored account.")] = None
    username: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    password: Annotated[
        SecretStr | None, Field(max_length=1000, description="Stored encrypted, and never returned.")
    ] = None
    allow_basic: Annotated[
        bool, Field(description="It may go over the wire readable, to devices that know nothing better.")
    ] = False


class FoundDecided(Shape):
    done: tuple[str, ...]
    refused: tuple[RefusedDevice, ...]
    run: Annotated[RunShape | None, Field(description="The run that asks them again, if one began.")]

    @classmethod
    def of(cls, decided: Decided, run: Run | None = None) -> Self:
        return cls(
            done=decided.done,
            refused=tuple(RefusedDevice(found=key, reason=why) for key, why in decided.refused.items()),
            run=None if run is None else RunShape.of(run, addresses=True),
        )


@router.get("")
async def latest(rooms: Rooms, caller: AnyCaller) -> Discovery:
    """How the latest search for cameras went, or goes."""
    run = rooms.enrolment.last
    return Discovery(last=None if run is None else RunShape.of(run, addresses=caller.may(ADDRESSES)))


@router.post("", status_code=HTTPStatus.ACCEPTED)
async def begin(rooms: Rooms, caller: ManagingCaller, search: SearchForm | None = None) -> Discovery:
    """Search now: all declared networks, some of them, addresses, or found devices again. Follow it with GET.

    One search at a time; 409 says who began the one under way.
    """
    wanted = Wanted() if search is None else Wanted(**dict(search))
    run = await rooms.enrolment.begin(wanted, by=caller.name)
    return Discovery(last=RunShape.of(run, addresses=True))


@router.delete("", status_code=HTTPStatus.ACCEPTED)
async def stop(rooms: Rooms, caller: ManagingCaller) -> Discovery:
    """Stop the search under way. What it found until now is kept."""
    run = await rooms.enrolment.halt(by=caller.name)
    return Discovery(last=RunShape.of(run, addresses=True))


@router.get("/runs")
async def runs(
    rooms: Rooms, caller: OperatorCaller, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> tuple[RunShape, ...]:
    """The last searches, newest first; the one under way is the first, with its figures of now."""
    going = rooms.enrolment.last
    kept = await rooms.database.aread(lambda connection: list_runs(connection, limit=limit))
    if going is not None:
        kept = [going, *(run for run in kept if run.id != going.id)][:limit]
    return tuple(RunShape.of(run, addresses=caller.may(ADDRESSES)) for run in kept)


@router.get("/options", dependencies=[Admin])
async def options(rooms: Rooms) -> SearchOptions:
    """What a search may be asked for: declared networks, other addresses, accounts."""
    accounts = await rooms.database.aread(list_credentials)
    return SearchOptions(
        networks=tuple(NetworkShape.of(network) for network in rooms.enrolment.networks),
        allowed=tuple(str(one) for one in rooms.enrolment.allowed),
        credentials=tuple(AccountShape(id=key, username=name) for key, name in accounts.items()),
        ports=PORTS,
        most_addresses=MAX_ADDRESSES,
        most_ports=MAX_PORTS,
        most_devices=MAX_DEVICES,
    )


@router.get("/found")
async def found(
    rooms: Rooms,
    caller: OperatorCaller,
    status: Annotated[list[FoundStatus], Query(description="Any of these.")] = [],  # noqa: B006
    kind: Annotated[list[str], Query(max_length=50, description="Any of these.")] = [],  # noqa: B006
    run: Annotated[str | None, Query(max_length=64, description="That saw it, among others.")] = None,
    q: Annotated[str, Query(max_length=200, description="Words in address, name, model, serial, MAC.")] = "",
    sort: Annotated[
        Literal["address", "first", "last", "model", "name", "status"],
        Query(description="'status': first what somebody can do something about."),
    ] = "status",
    down: bool = False,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_DEVICES)] = 100,
) -> FoundPage:
    """The devices that were found, and how it stands with each."""
    addresses = caller.may(ADDRESSES)
    wanted = FoundFilter(statuses=tuple(status), kinds=tuple(kind), run=run, search=q, addresses=addresses)

    def read(
        connection: Connection,
    ) -> tuple[tuple[list[Found], int], dict[str, int], dict[str, int]]:
        page = list_found(connection, wanted, sort=sort, down=down, offset=offset, limit=limit)
        return page, tally_found(connection, wanted, "status"), tally_found(connection, wanted, "kind")

    (items, total), by_status, by_kind = await rooms.database.aread(read)
    return FoundPage(
        items=tuple(FoundShape.of(item, addresses=addresses) for item in items),
        total=total,
        by_status={status.value: by_status.get(status, 0) for status in FoundStatus},
        by_kind=by_kind,
    )


@router.get("/found/{found_id}")
async def one_found(rooms: Rooms, caller: OperatorCaller, found_id: str) -> FoundDetail:
    """One found device with the channels that it told."""
    rows = await rooms.database.aread(lambda connection: get_found(connection, [found_id]))
    if (row := rows.get(found_id)) is None:
        raise NotFoundError(f"no device {found_id[:64]} was found")
    addresses = caller.may(ADDRESSES)
    channels = channels_of(row.told) if row.told is not None else ()
    return FoundDetail(
        **dict(FoundShape.of(row, addresses=addresses)),
        told=tuple(ChannelShape.of(channel, addresses=addresses) for channel in channels),
    )


@router.post("/found/approve")
async def approve(rooms: Rooms, caller: ManagingCaller, form: FoundApprove) -> FoundApproval:
    """Enrol found devices. A dry run tells the names and numbers that their cameras would get."""
    place = Place(
        tier=form.tier,
        department=form.department,
        area=form.area,
        zone=form.zone,
        camera_name=form.camera_name,
        credential=form.credential,
    )
    done = await rooms.enrolment.approve(form.ids, place, by=caller.name, dry_run=form.dry_run)
    return FoundApproval.of(done, dry_run=form.dry_run)


@router.post("/found/ignore")
async def ignore(rooms: Rooms, caller: ManagingCaller, form: FoundIgnore) -> FoundDecided:
    """Leave devices out of this and all later runs, until that is taken back."""
    return FoundDecided.of(await rooms.enrolment.ignore(form.ids, form.reason.strip(), by=caller.name))


@router.post("/found/restore")
async def restore(rooms: Rooms, caller: ManagingCaller, form: FoundRestore) -> FoundDecided:
    """Take back that devices are ignored."""
    return FoundDecided.of(await rooms.enrolment.restore(form.ids, by=caller.name))


@router.post("/found/login")
async def login(rooms: Rooms, caller: ManagingCaller, form: FoundLogin) -> FoundDecided:
    """Give devices an account and ask them again with it: at once, or in the next run if one is under way."""
    account: str | tuple[str, Secret, bool]
    if form.credential is not None and form.username is None and form.password is None:
        account = form.credential
    elif form.credential is None and form.username is not None and form.password is not None:
        account = (form.username, Secret(form.password.get_secret_value()), form.allow_basic)
    else:
        raise InvalidInputError(
            "credential: either a stored account, or user name and password", mend="Give one of the two"
        )
    decided, run = await rooms.enrolment.give(form.ids, account, by=caller.name)
    return FoundDecided.of(decided, run)


def _instant(at: Ms | None) -> str | None:
    return None if at is None else iso(at)
