"""The demo's town: who owns its cameras, where they stand, what hangs from what, who works there. Pure.

Names are written in English here; ``demo_names`` has what they are in the language of a town.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import yaml

from sharpeyes.cli.demo_names import Language
from sharpeyes.domain.access import Role
from sharpeyes.domain.camera import Codec, StreamRole
from sharpeyes.domain.dossier import COLUMNS, DUTIES, PLACING
from sharpeyes.domain.organisation import Tier
from sharpeyes.simulator.fault import Fault
from sharpeyes.simulator.fleet import SIMULATED, DevicePlan, Endpoint, Fleet

Point = tuple[float, float]
"""Longitude and latitude, degrees."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A department with cameras, and the network that they are in."""

    department: str
    name: str
    industry: str
    tier: Tier
    area: str
    zone: str


OWNERS = (
    Owner("police", "Public Security Bureau", "00", Tier.PUBLIC_SECURITY, "riverside", "police-video"),
    Owner("traffic", "Traffic Police", "04", Tier.PUBLIC_SECURITY, "old-town", "police-video"),
    Owner("education", "Education Bureau", "11", Tier.DEPARTMENTAL, "old-town", "sector"),
    Owner("health", "Health Commission", "09", Tier.DEPARTMENTAL, "riverside", "sector"),
    Owner("streets", "Riverside Street Office", "01", Tier.COMMUNITY, "riverside-east", "community"),
    Owner("estates", "Housing Estates", "01", Tier.COMMUNITY, "old-town", "community"),
)
PORT = Owner("port", "Harbour Police", "14", Tier.PUBLIC_SECURITY, "harbour", "police-video")
"""Its few cameras are switched off from the beginning: a blind area."""
SUPERVISION = ("supervision", "Supervision Office")
"""Owns no camera: whoever audits the others belongs to none of them."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who works here."""

    username: str
    name: str
    department: str
    role: Role


ACCOUNTS = (
    Account("admin", "Administrator", "supervision", Role.ADMIN),
    Account("auditor", "Auditor", "supervision", Role.AUDITOR),
    Account("police", "Police control room", "police", Role.OPERATOR),
    Account("police-chief", "Police chief", "police", Role.APPROVER),
    Account("police-deputy", "Police deputy", "police", Role.APPROVER),
    Account("police-repair", "Police workshop", "police", Role.MAINTAINER),
    Account("traffic", "Traffic control room", "traffic", Role.OPERATOR),
    Account("traffic-chief", "Traffic chief", "traffic", Role.APPROVER),
    Account("traffic-deputy", "Traffic deputy", "traffic", Role.APPROVER),
    Account("school", "School office", "education", Role.REQUESTER),
    Account("school-head", "Head of schools", "education", Role.APPROVER),
    Account("clinic", "Clinic control room", "health", Role.OPERATOR),
    Account("clinic-head", "Head of clinics", "health", Role.APPROVER),
    Account("street", "Street office", "streets", Role.REQUESTER),
    Account("street-head", "Head of the street office", "streets", Role.APPROVER),
    Account("street-repair", "Street workshop", "streets", Role.MAINTAINER),
    Account("estates-head", "Head of estates", "estates", Role.APPROVER),
)
"""Each role, and enough approvers that every owner can decide: two where two are wanted."""

OUTLINES: Mapping[str, Sequence[Point]] = {
    "city": (
        (120.149, 30.186), (120.163, 30.168), (120.186, 30.158), (120.214, 30.156), (120.240, 30.165),
        (120.252, 30.184), (120.246, 30.203), (120.222, 30.214), (120.198, 30.221), (120.172, 30.217),
        (120.150, 30.205),
    ),
    "old-town": (
        (120.149, 30.186), (120.163, 30.168), (120.186, 30.158), (120.193, 30.176), (120.200, 30.192),
        (120.194, 30.205), (120.198, 30.221), (120.172, 30.217), (120.150, 30.205),
    ),
    "riverside": (
        (120.200, 30.192), (120.217, 30.186), (120.236, 30.181), (120.252, 30.184), (120.246, 30.203),
        (120.222, 30.214), (120.198, 30.221), (120.194, 30.205),
    ),
    "riverside-east": (
        (120.236, 30.181), (120.252, 30.184), (120.246, 30.203), (120.222, 30.214), (120.229, 30.198),
    ),
    "harbour": (
        (120.186, 30.158), (120.214, 30.156), (120.240, 30.165), (120.252, 30.184), (120.236, 30.181),
        (120.217, 30.186), (120.200, 30.192), (120.193, 30.176),
    ),
}  # fmt: skip
PARENTS = {"old-town": "city", "riverside": "city", "riverside-east": "riverside", "harbour": "city"}
REGIONS = {
    "old-town": "33010802",
    "riverside": "33010801",
    "riverside-east": "33010801",
    "harbour": "33010803",
}
"""Code that the numbers of an area's cameras begin with."""
NAMES = {
    "city": "Demo city",
    "old-town": "Old Town",
    "riverside": "Riverside",
    "riverside-east": "Riverside East",
    "harbour": "Harbour",
}

EDGE = 0.0025
"""Degrees that recorders and cameras keep from the outline of their area: some 250 m."""
UNWIRED = ("Ferry pier", "gangway")
"""Place and spot of a camera with a dossier, of which nobody knows a stream."""
UNWIRED_PLACE = (120.1785, 30.2125)


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """A city of the simulator with owners and addresses, and who plays which part in its story."""

    language: Language
    fleet: Fleet
    """All healthy, and called as this language has it."""
    owners: Mapping[str, Owner]
    """By device."""
    places: Mapping[str, Point]
    """By camera."""
    spots: Mapping[str, tuple[str, str]]
    """By camera: its place, and where there, in English."""
    standing: Mapping[str, Fault]
    """Devices that fall once the city is enrolled, and what with."""
    switch: tuple[str, ...]
    """Devices behind one switch."""
    dark: tuple[str, ...]
    """The harbour's: switched off for good."""
    actors: tuple[str, ...]
    """Single cameras, healthy else, whose pictures will go wrong."""


def settle(city: Fleet, *, seed: int, language: Language = Language.EN) -> Town:
    """Give every device of a city an owner, an address in the owner's network, and a place in its area."""
    quiet = [device for device in city.devices if len(device.channels) == 1 and device.fault is None]
    dark = tuple(device.id for device in quiet if device.tier is PORT.tier)[4:][-2:]
    owners: dict[str, Owner] = {}
    for number, device in enumerate(city.devices):
        choice = [owner for owner in OWNERS if owner.tier is device.tier]
        owners[device.id] = PORT if device.id in dark else choice[number % len(choice)]
    hosts: dict[Owner, int] = defaultdict(int)
    devices = []
    spots: dict[str, tuple[str, str]] = {}
    for device in city.devices:
        owner = owners[device.id]
        hosts[owner] += 1
        address = f"127.0.{_third(owner)}.{hosts[owner]}"
        channels = []
        for channel in device.channels:
            place, _, rest = channel.name.partition(", ")
            spot, _, count = rest.rpartition(" ")
            # What the city calls by a street is called after where it stands now.
            spots[channel.id] = ("Quay", "crane") if owner is PORT else (place, spot)
            channels.append(replace(channel, name=language.camera(*spots[channel.id], count)))
        devices.append(replace(device, address=address, fault=None, channels=tuple(channels)))
    free = [device for device in quiet if device.id not in dark]
    switch = tuple(device.id for device in free if owners[device.id].department == "police")[:5]
    actors = [device.id for device in free if device.id not in switch and _codec(device) is Codec.H264]
    return Town(
        language=language,
        spots=spots,
        fleet=replace(city, devices=tuple(devices)),
        owners=owners,
        places=_places(city, owners, random.Random(seed)),
        standing={device.id: device.fault for device in city.devices if device.fault is not None},
        switch=switch,
        dark=dark,
        # From all over the list: neighbours show the same kind of camera.
        actors=tuple(actors[:: max(1, len(actors) // 3)][:3]),
    )


def _third(owner: Owner) -> int:
    return 11 + (*OWNERS, PORT).index(owner)


def _codec(device: DevicePlan) -> Codec:
    return device.channels[0].streams[0][1].codec


# --- where they stand -----------------------------------------------------------------------------------


def _places(city: Fleet, owners: Mapping[str, Owner], chance: random.Random) -> dict[str, Point]:
    """A place for each camera: apart from the others of its area; a recorder's stand together."""
    found: dict[str, Point] = {}
    for device in city.devices:
        area = owners[device.id].area
        centre = _apart(area, [UNWIRED_PLACE, *found.values()], chance)
        for number, channel in enumerate(device.channels):
            turn = number * 2.4
            away = 0.0009 * math.sqrt(number)
            near = (centre[0] + away * math.cos(turn), centre[1] + 0.86 * away * math.sin(turn))
            found[channel.id] = near if stands_in(area, near) else centre
    return {key: (round(x, 6), round(y, 6)) for key, (x, y) in found.items()}


def _apart(area: str, others: Sequence[Point], chance: random.Random) -> Point:
    """Of some points in the area, the one farthest from all others (best candidate)."""
    candidates = [_somewhere(area, chance) for _ in range(12)]
    return max(candidates, key=lambda one: min(math.dist(one, other) for other in others))


def _somewhere(area: str, chance: random.Random) -> Point:
    """A point in the area, and not at its edge."""
    columns, rows = zip(*OUTLINES[area], strict=True)
    while True:
        x, y = chance.uniform(min(columns), max(columns)), chance.uniform(min(rows), max(rows))
        around = ((x + east, y + north) for east in (-EDGE, EDGE) for north in (-EDGE, EDGE))
        if all(stands_in(area, point) for point in around):
            return x, y


def stands_in(area: str, point: Point) -> bool:
    """Whether a point lies in an area, and in none of the areas below it."""
    below = [one for one, parent in PARENTS.items() if parent == area]
    return _within(OUTLINES[area], point) and not any(_within(OUTLINES[one], point) for one in below)


def _within(outline: Sequence[Point], point: Point) -> bool:
    """Even-odd rule."""
    x, y = point
    inside = False
    for (ax, ay), (bx, by) in zip(outline, (*outline[1:], outline[0]), strict=True):
        if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax):
            inside = not inside
    return inside


# --- cameras.yaml ---------------------------------------------------------------------------------------


def cameras_yaml(town: Town, endpoints: Mapping[str, Endpoint], onvif_port: int, password_file: str) -> str:
    """The town as a cameras.yaml: its networks are searched; the cameras behind the switch are declared, so
    that they can be named as what hangs from it."""
    plans = {device.id: device for device in town.fleet.devices}
    owners = [owner for owner in (*OWNERS, PORT) if owner in town.owners.values()]
    say = town.language.say
    document = {
        "site": {"name": say(NAMES["city"]), "timezone": "Asia/Shanghai"},
        # Checked and looked at more often than a real city: a visitor has minutes.
        "tiers": {
            tier.value: {"target": target, "liveness_s": 10, "quality_s": 60}
            for tier, target in zip(Tier, (0.98, 0.95, 0.90), strict=True)
        },
        "zones": {
            "police-video": {"name": say("Police video network"), "network": "1"},
            "sector": {"name": say("Government extranet"), "network": "6"},
            "community": {"name": say("Community network"), "network": "7"},
        },
        "departments": {
            **{one.department: {"name": say(one.name), "industry": one.industry} for one in (*OWNERS, PORT)},
            SUPERVISION[0]: {"name": say(SUPERVISION[1])},
        },
        "areas": {"city": _area("city", town.language)},
        "credentials": {"simulated": {"username": SIMULATED.username, "password_file": password_file}},
        "cameras": [_declared(town.owners[one], plans[one], endpoints) for one in town.switch],
        "causes": {
            "riverside-switch": {
                "kind": "switch",
                "name": say("Switch in the cabinet at Riverside"),
                "department": "police",
                "cameras": [plans[one].channels[0].id for one in town.switch],
            }
        },
        "networks": [_network(owner, town, onvif_port) for owner in owners],
        "faults": {"fallback_unit": "police", "allow": ["127.0.0.0/8"]},
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    return f"# The demo's city, written by 'sharpeyes demo': an example of a cameras.yaml.\n{text}"


def _area(key: str, language: Language) -> dict[str, object]:
    above = REGIONS.get(PARENTS.get(key, ""))
    code = "330108" if key == "city" else REGIONS[key]
    below = {one: _area(one, language) for one, parent in PARENTS.items() if parent == key}
    return {
        "name": language.say(NAMES[key]),
        **({"code": code} if code != above else {}),
        "boundary": [list(point) for point in OUTLINES[key]],
        **({"children": below} if below else {}),
    }


def _declared(owner: Owner, plan: DevicePlan, endpoints: Mapping[str, Endpoint]) -> dict[str, object]:
    channel = plan.channels[0]
    urls = endpoints[channel.id].streams
    return {
        "id": channel.id,
        "name": channel.name,
        "tier": owner.tier.value,
        "department": owner.department,
        "area": owner.area,
        "zone": owner.zone,
        "main": urls[StreamRole.MAIN],
        "sub": urls[StreamRole.SUB],
        "credential": "simulated",
        "tags": ["switch"],
    }


def _network(owner: Owner, town: Town, onvif_port: int) -> dict[str, object]:
    hosts = sum(one is owner for one in town.owners.values())
    # The smallest network that holds them, its own address and its broadcast address left out.
    prefix = 32 - max(2, (hosts + 1).bit_length())
    return {
        "cidr": f"127.0.{_third(owner)}.0/{prefix}",
        "tier": owner.tier.value,
        "department": owner.department,
        "area": owner.area,
        "zone": owner.zone,
        "credential": "simulated",
        "ports": [onvif_port],
        "methods": ["sweep"],
        "camera_name": "{channel}",
    }


# --- dossiers -------------------------------------------------------------------------------------------

_DIRECTIONS = ("东", "南", "西", "北", "东南", "西北")
_POINTS = {Tier.PUBLIC_SECURITY: "1类", Tier.DEPARTMENTAL: "2类", Tier.COMMUNITY: "3类"}


def dossier_rows(town: Town) -> list[list[str]]:
    """The dossier file of the town: headings, then a row a camera. Not everybody has filled in everything,
    and one camera has a dossier and nothing else."""
    columns = (*COLUMNS, *DUTIES, *PLACING)
    cells = [*_cells(town), _unwired(town.language)]
    return [
        [column.heading for column in columns],
        *([one.get(column.field, "") for column in columns] for one in cells),
    ]


def _cells(town: Town) -> Iterator[dict[str, str]]:
    number, say = 0, town.language.say
    for device in town.fleet.devices:
        owner = town.owners[device.id]
        for channel in device.channels:
            number += 1
            place, spot = map(say, town.spots[channel.id])
            row = {
                **_shared(owner, number, town.language),
                "name": channel.name,
                "manufacturer": device.manufacturer,
                "model": device.model,
                "alias": place,
                "ipv4": device.address or "",
                "mac": device.hardware_address,
                "camera_type": "枪机" if number % 3 else "球机",
                "function_type": "普通",
                "fill_light": "红外" if number % 2 else "无",
                "encoding": channel.streams[0][1].codec.value.upper(),
                "address": say(NAMES[owner.area], *town.spots[channel.id], gap=", "),
                "longitude": str(town.places[channel.id][0]),
                "latitude": str(town.places[channel.id][1]),
                "place_type": spot,
                "direction": _DIRECTIONS[number % len(_DIRECTIONS)],
                "networked": "已联网",
            }
            gaps = frozenset(_gaps(owner.tier, number))
            yield {field: text for field, text in row.items() if field not in gaps}


def _shared(owner: Owner, number: int, language: Language) -> dict[str, str]:
    """What a department writes into each of its rows. Nobody can be called under such a number."""
    installed = f"20{18 + number % 8}-{1 + number % 12:02d}-{1 + number % 28:02d}"
    return {
        "region": REGIONS[owner.area],
        "point_type": _POINTS[owner.tier],
        "police_unit": language.say(NAMES[owner.area], "police station"),
        "installed": installed,
        "keeper": language.say(owner.name),
        "contact": f"0571-0000{number:04d}",
        "retention_days": "90" if owner.tier is Tier.PUBLIC_SECURITY else "30",
        "status": "在用",
        "industry": language.say(owner.name),
        "filing_number": f"DEMO-{REGIONS[owner.area]}-{number:04d}",
        "filing_date": installed,
        "sign": f"{language.say('photo')} {number:04d}",
    }


def _gaps(tier: Tier, number: int) -> Iterable[str]:
    """Cells that were left empty: more of them, the further from the police."""
    if number % 4 == 0:
        yield from ("filing_number", "filing_date", "sign")
    if tier is not Tier.PUBLIC_SECURITY and number % 3 == 0:
        yield from ("contact", "retention_days")
    if tier is Tier.COMMUNITY and number % 2 == 0:
        yield from ("installed", "police_unit", "direction", "fill_light")


def _unwired(language: Language) -> dict[str, str]:
    owner = next(one for one in OWNERS if one.department == "estates")
    return {
        **_shared(owner, 9_999, language),
        "name": language.say(*UNWIRED, gap=", "),
        "address": language.say(NAMES[owner.area], *UNWIRED, gap=", "),
        "longitude": str(UNWIRED_PLACE[0]),
        "latitude": str(UNWIRED_PLACE[1]),
        "place_type": language.say(UNWIRED[1]),
        "networked": "未联网",
        "id": "ferry-pier",
        "tier": owner.tier.value,
        "department": owner.department,
        "area": owner.area,
        "zone": owner.zone,
    }
