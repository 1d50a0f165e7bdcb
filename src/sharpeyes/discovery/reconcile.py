"""Compare what was found with what is known: pure, the same for any order of the findings, idempotent.

Which found device is which known one is told by, strongest first: MAC; manufacturer, model and serial, unless
the serial is a placeholder; WS-Discovery endpoint; address. A weaker sign never joins what a stronger one
keeps apart: that is noted as a conflict. What was not found this time stays as it is: absence in one search
is no removal.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from sharpeyes.discovery.found import FoundChannel, FoundDevice
from sharpeyes.domain.camera import Camera, Device, Identity, Origin, Stream, StreamRole
from sharpeyes.registry.changes import (
    AddCamera,
    AddDevice,
    AttachCamera,
    Change,
    ChangeDevice,
    Inventory,
    MoveDevice,
    NoteConflict,
    UpdateStreams,
)
from sharpeyes.registry.declared import Network

NewId = Callable[[str], str]
"""Makes an id that was never used, for ``"device"`` or ``"camera"``."""

# fmt: off
_JUNK = frozenset({
    "unknown", "none", "null", "n/a", "default", "undefined", "empty", "serial", "serialnumber", "test",
    "admin", "camera", "ipcam", "ipcamera", "tobefilledbyoem", "123456", "1234567", "12345678", "123456789",
    "1234567890", "0123456", "01234567", "012345678", "0123456789", "654321", "987654321", "abcdef",
})
# fmt: on


def is_junk_serial(serial: str | None) -> bool:
    """Whether a serial is a placeholder that a factory gave to thousands."""
    text = (serial or "").strip().lower()
    plain = "".join(c for c in text if c.isalnum())
    return len(plain) < 4 or len(set(plain)) == 1 or text in _JUNK or plain in _JUNK


def serial_key(identity: Identity) -> tuple[str, str, str] | None:
    """Manufacturer, model and serial, comparable; None where they identify nothing."""
    if is_junk_serial(identity.serial) or not (identity.manufacturer or identity.model):
        return None
    words = (identity.manufacturer, identity.model, identity.serial)
    manufacturer, model, serial = (" ".join((word or "").lower().split()) for word in words)
    return manufacturer, model, serial


def reconcile(
    inventory: Inventory,
    found: Iterable[FoundDevice],
    networks: Sequence[Network] = (),
    *,
    new_id: NewId,
    area_names: Mapping[str, str] | None = None,
) -> list[Change]:
    """What has to be changed for the registry to know what was found.

    :param inventory: all known devices and cameras, the declared ones included.
    :param networks: defaults for new cameras; the smallest that holds the device's address counts.
    :param new_id: called in an order that does not depend on the order of ``found``.
    :param area_names: names of areas by id, for the names of new cameras.
    """
    return _Reconciliation(inventory, found, networks, new_id, area_names or {}).run()


@dataclass(slots=True, eq=False)
class _Group:
    """Everything that is held to be one device."""

    known: list[Device] = field(default_factory=list)
    seen: list[FoundDevice] = field(default_factory=list)
    joined: _Group | None = None
    """The group that took this one over."""

    def now(self) -> _Group:
        group = self
        while group.joined is not None:
            group = group.joined
        return group

    def identities(self) -> Iterable[Identity]:
        yield from (device.identity for device in self.known)
        yield from (device.identity for device in self.seen)

    def macs(self) -> set[str]:
        return {identity.mac for identity in self.identities() if identity.mac}

    def serials(self) -> set[tuple[str, str, str]]:
        return {key for identity in self.identities() if (key := serial_key(identity))}

    def take(self, other: _Group) -> None:
        self.known += other.known
        self.seen += other.seen
        other.joined = self


class _Reconciliation:
    def __init__(
        self,
        inventory: Inventory,
        found: Iterable[FoundDevice],
        networks: Sequence[Network],
        new_id: NewId,
        area_names: Mapping[str, str],
    ) -> None:
        self.networks = sorted(networks, key=lambda network: (-network.cidr.prefixlen, str(network.cidr)))
        self.new_id = new_id
        self.area_names = area_names
        self.changes: list[Change] = []
        self.attached: set[str] = set()
        self.cameras = sorted(inventory.cameras, key=lambda camera: camera.id)
        self.by_channel = {
            (camera.device, camera.channel): camera
            for camera in reversed(self.cameras)
            if camera.device is not None
        }
        self.by_url: dict[str, Camera] = {}
        for camera in reversed(self.cameras):
            for stream in camera.streams:
                self.by_url[_url_key(stream.url)] = camera
        # An order of their own for what came in any order: everything below then follows it.
        known = sorted(inventory.devices, key=lambda device: device.id)
        # One address is one device in one search: of several answers the best is taken.
        seen: dict[str, FoundDevice] = {}
        for one in sorted(found, key=lambda one: (one.address, _worth(one), repr(one))):
            seen.setdefault(one.address, one)
        self.groups = [_Group(known=[device]) for device in known] + [
            _Group(seen=[one]) for one in seen.values()
        ]

    def run(self) -> list[Change]:
        self._join("mac", lambda identity: identity.mac, _nothing)
        self._join("serial", serial_key, _macs)
        self._join("endpoint", lambda identity: identity.endpoint, _macs_and_serials, weak=True)
        self._join("address", lambda identity: identity.address, _macs_and_serials, weak=True)
        for group in self.groups:
            if group.seen:
                self._settle(group)
        return self.changes

    # -- which is which ------------------------------------------------------------------------------------

    def _join(
        self,
        sign: str,
        key: Callable[[Identity], object],
        stronger: Callable[[_Group], tuple[frozenset[object], ...]],
        *,
        weak: bool = False,
    ) -> None:
        """Join the groups that carry one value of a sign, unless their stronger signs differ.

        Then only those whose stronger signs are the very same are joined. A weak sign joins what was seen
        with what is known, but no two known devices; and what was seen now outweighs what was known: at the
        old address of a device that moved there may be another one.
        """
        carriers: dict[object, list[_Group]] = {}
        for group in self.groups:
            values = [key(one.identity) for one in group.seen] if weak else []
            if not any(values):
                values = [key(identity) for identity in group.identities()]
            for value in dict.fromkeys(filter(None, values)):
                carriers.setdefault(value, []).append(group)
        for value, several in carriers.items():
            groups = list(dict.fromkeys(group.now() for group in several))
            signs = [stronger(group) for group in groups]
            parts: dict[tuple[frozenset[object], ...], list[_Group]] = {(): groups}
            if any(len(frozenset().union(*kind)) > 1 for kind in zip(*signs, strict=True)):
                parts = {}
                for group, own in zip(groups, signs, strict=True):
                    parts.setdefault(own, []).append(group)
                if sign != "address":  # two devices at one address in turn: that is DHCP, not a conflict
                    self._note(groups, f"several devices have the {sign} {_shown(value)}")
            for part in parts.values():
                first = next((group for group in part if group.known), part[0])
                for other in part:
                    if other is not first and not (weak and first.known and other.known):
                        first.take(other)
        self.groups = [group for group in self.groups if group.joined is None]

    def _note(self, groups: list[_Group], message: str) -> None:
        if not any(group.seen for group in groups):
            return
        self.changes.append(
            NoteConflict(
                subject=[
                    *(device.id for group in groups for device in group.known),
                    *(one.address for group in groups for one in group.seen),
                ][0],
                message=message,
                detail={
                    f"device {number}": _described(group) for number, group in enumerate(groups[:8], start=1)
                },
            )
        )

    # -- what changes --------------------------------------------------------------------------------------

    def _settle(self, group: _Group) -> None:
        serials = sorted(group.serials())
        if len(serials) > 1:
            self._note([group], f"one device, several serials: {', '.join(map(_shown, serials))}")
        best = self._best(group)
        if not group.known:
            self._add(group, best)
            return
        device, *doubles = group.known
        for double in doubles:
            self._absorb(device, double)
        identity, firmware = self._learned(device, group.seen, best)
        changed = replace(
            device,
            identity=identity,
            firmware=firmware,
            xaddr=device.xaddr or best.xaddr,
            fingerprint=device.fingerprint or best.fingerprint,
        )
        if changed != device:
            self.changes.append(ChangeDevice(device=changed, message="the device tells more about itself"))
        if best.fingerprint and device.fingerprint and best.fingerprint != device.fingerprint:
            self._note([group], "the device shows another TLS certificate than the one pinned")
        if best.address != device.identity.address:
            self.changes.append(
                MoveDevice(
                    device=device.id, address=best.address, xaddr=best.xaddr, was=device.identity.address
                )
            )
        self._channels(device.id, device.credential, best)

    @staticmethod
    def _best(group: _Group) -> FoundDevice:
        """The sighting to go by: enrolled wholly, at a known address, knowing most."""
        addresses = {device.identity.address for device in group.known}
        return min(
            group.seen,
            key=lambda one: (one.error is not None, one.address not in addresses, _worth(one), one.address),
        )

    @staticmethod
    def _learned(
        device: Device, seen: Sequence[FoundDevice], best: FoundDevice
    ) -> tuple[Identity, str | None]:
        """What was missing is filled in; what was known stays, but for the endpoint, which may change."""
        order = [best, *(one for one in seen if one is not best)]

        def first(name: str) -> str | None:
            values = (getattr(one.identity, name) for one in order)
            return getattr(device.identity, name) or next(filter(None, values), None)

        identity = Identity(
            mac=first("mac"),
            manufacturer=first("manufacturer"),
            model=first("model"),
            serial=first("serial"),
            endpoint=best.identity.endpoint or first("endpoint"),
            address=device.identity.address,
        )
        return identity, best.firmware or device.firmware

    def _absorb(self, kept: Device, double: Device) -> None:
        """Two entries turn out to be one device: its cameras go to the first; the second stays, empty."""
        moved = False
        for camera in self.cameras:
            if camera.device != double.id:
                continue
            if (kept.id, camera.channel) in self.by_channel:
                self.changes.append(
                    NoteConflict(
                        subject=camera.id,
                        message="is the same channel of the same device as another camera",
                        detail={"other": self.by_channel[kept.id, camera.channel].id, "device": kept.id},
                    )
                )
                continue
            self.changes.append(AttachCamera(camera=camera.id, device=kept.id, channel=camera.channel))
            self.by_channel[kept.id, camera.channel] = camera
            moved = True
        if moved:
            self.changes.append(
                NoteConflict(
                    subject=double.id,
                    message="is the same device as another entry, which now has its cameras",
                    detail={"device": kept.id},
                )
            )

    def _add(self, group: _Group, best: FoundDevice) -> None:
        if not best.channels and best.error is not None:
            return  # somebody is there, but who it is was not learned
        network = self._network(best.address)
        known = Device(id="", identity=best.identity)
        identity, firmware = self._learned(known, group.seen, best)
        device = Device(
            id=self.new_id("device"),
            identity=identity,
            xaddr=best.xaddr,
            firmware=firmware,
            credential=network.credential if network is not None else None,
            fingerprint=best.fingerprint,
        )
        self.changes.append(AddDevice(device=device))
        self._channels(device.id, device.credential, best)

    def _channels(self, device: str, credential: str | None, best: FoundDevice) -> None:
        unplaced = 0
        for channel in best.channels:
            streams = _streams(channel)
            if not streams:
                continue
            camera = self.by_channel.get((device, channel.token))
            if camera is None:
                camera = self._of_url(streams)
                if camera is not None:
                    self.changes.append(AttachCamera(camera=camera.id, device=device, channel=channel.token))
                    self.by_channel[device, channel.token] = camera
            if camera is not None:
                self._update(camera, streams, channel.snapshot_uri)
            elif (network := self._network(best.address)) is None:
                unplaced += 1
            else:
                self._add_camera(device, credential, best, channel, streams, network)
        if unplaced:
            self.changes.append(
                NoteConflict(
                    subject=device,
                    message="its address lies in no declared network, so whose its cameras are is unknown",
                    detail={"address": best.address, "channels": unplaced},
                )
            )

    def _of_url(self, streams: tuple[Stream, ...]) -> Camera | None:
        """A camera that was declared by one of these URLs and belongs to no device yet."""
        for stream in streams:
            camera = self.by_url.get(_url_key(stream.url))
            if camera is not None and camera.device is None and camera.id not in self.attached:
                self.attached.add(camera.id)
                return camera
        return None

    def _update(self, camera: Camera, streams: tuple[Stream, ...], snapshot: str | None) -> None:
        if camera.origin is Origin.CONFIG:
            return  # the operator's word on URLs stands
        roles = {stream.role: stream for stream in camera.streams}
        # A role that was not learned this time (an error, a profile without URI) keeps what it had.
        now = tuple(dict(roles | {stream.role: stream for stream in streams}).values())
        if set(now) != set(camera.streams) or (snapshot or camera.snapshot_url) != camera.snapshot_url:
            self.changes.append(
                UpdateStreams(camera=camera.id, streams=now, snapshot_url=snapshot or camera.snapshot_url)
            )

    def _add_camera(
        self,
        device: str,
        credential: str | None,
        best: FoundDevice,
        channel: FoundChannel,
        streams: tuple[Stream, ...],
        network: Network,
    ) -> None:
        camera = Camera(
            id=self.new_id("camera"),
            name=self._name(best, channel, network),
            tier=network.tier,
            department=network.department,
            area=network.area,
            zone=network.zone,
            streams=streams,
            origin=Origin.DISCOVERED,
            device=device,
            channel=channel.token,
            snapshot_url=channel.snapshot_uri,
            credential=credential or network.credential,
        )
        self.by_channel[device, channel.token] = camera
        self.changes.append(AddCamera(camera=camera))

    def _name(self, best: FoundDevice, channel: FoundChannel, network: Network) -> str:
        values = {
            "area": self.area_names.get(network.area, network.area),
            "address": _host(best.address),
            "channel": channel.name if len(best.channels) > 1 else best.name or channel.name,
            "manufacturer": best.identity.manufacturer or "",
            "model": best.identity.model or "",
        }
        name = network.camera_name
        for field_name, value in values.items():
            name = name.replace(f"{{{field_name}}}", value.replace("{", "(").replace("}", ")"))
        return " ".join(name.split())[:200] or channel.token

    def _network(self, address: str) -> Network | None:
        try:
            host = ipaddress.ip_address(_host(address))
        except ValueError:
            return None
        return next((network for network in self.networks if host in network.cidr), None)


def _worth(one: FoundDevice) -> tuple[bool, bool, int]:
    """Smaller is better: enrolled wholly, with a MAC, with many streams."""
    streams = sum(len(_streams(channel)) for channel in one.channels)
    return one.error is not None, one.identity.mac is None, -streams


def _nothing(_: _Group) -> tuple[frozenset[object], ...]:
    return ()


def _macs(group: _Group) -> tuple[frozenset[object], ...]:
    return (frozenset(group.macs()),)


def _macs_and_serials(group: _Group) -> tuple[frozenset[object], ...]:
    return frozenset(group.macs()), frozenset(group.serials())


def _streams(channel: FoundChannel) -> tuple[Stream, ...]:
    """Main is the largest profile that has a URI, sub the smallest other one."""
    usable = [profile for profile in channel.profiles if profile.stream_uri is not None]
    chosen = list(zip((StreamRole.MAIN, StreamRole.SUB), [*usable[:1], *usable[1:][-1:]], strict=False))
    return tuple(
        Stream(
            role=role,
            url=profile.stream_uri or "",
            codec=profile.codec,
            width=profile.width,
            height=profile.height,
            fps=profile.fps,
            profile=profile.token,
        )
        for role, profile in chosen
    )


def _url_key(url: str) -> str:
    """A URL as two people may write it: default port and final slash do not tell streams apart."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    query = f"?{parts.query}" if parts.query else ""
    return f"{(parts.hostname or '').lower()}:{port or 554}{parts.path.rstrip('/')}{query}"


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _described(group: _Group) -> str:
    identity = next(iter(group.identities()))
    ids = [device.id for device in group.known] + [one.address for one in group.seen]
    words = [identity.mac, identity.manufacturer, identity.model, identity.serial]
    return f"{', '.join(ids[:4])} ({' '.join(filter(None, words))})"
