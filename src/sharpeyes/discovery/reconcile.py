"""Compare what was found with what is known: pure, the same for any order of the findings, idempotent.

Which found device is which known one is told by, strongest first: MAC; manufacturer, model and serial, unless
the serial is a placeholder; WS-Discovery endpoint; address. A weaker sign never joins what a stronger one
keeps apart: that is noted as a conflict. What was not found this time stays as it is: absence in one search
is no removal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
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
from sharpeyes.registry.declared import Network, network_of

NewId = Callable[[str], str]
"""Makes an id that was never used, for ``"device"`` or ``"camera"``."""
_Key = Callable[[Identity], object]

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
class _Cluster:
    """Everything found in this search that is held to be one device."""

    seen: list[FoundDevice]
    known: Device | None = None
    joined: _Cluster | None = None
    """The cluster that took this one over."""

    def now(self) -> _Cluster:
        cluster = self
        while cluster.joined is not None:
            cluster = cluster.joined
        return cluster

    def values(self, key: _Key) -> frozenset[object]:
        return frozenset(value for one in self.seen if (value := key(one.identity)))

    def take(self, other: _Cluster) -> None:
        self.seen += other.seen
        other.joined = self


def _mac(identity: Identity) -> object:
    return identity.mac


_SIGNS: tuple[tuple[str, _Key, tuple[_Key, ...]], ...] = (
    ("mac", _mac, ()),
    ("serial", serial_key, (_mac,)),
    ("endpoint", lambda identity: identity.endpoint, (_mac, serial_key)),
    ("address", lambda identity: identity.address, (_mac, serial_key)),
)
"""What tells devices apart, strongest first, each with the signs that outweigh it."""


class _Reconciliation:
    def __init__(
        self,
        inventory: Inventory,
        found: Iterable[FoundDevice],
        networks: Sequence[Network],
        new_id: NewId,
        area_names: Mapping[str, str],
    ) -> None:
        self.networks = networks
        self.new_id = new_id
        self.area_names = area_names
        self.changes: list[Change] = []
        self.attached: set[str] = set()
        self.cameras = sorted(inventory.cameras, key=lambda camera: camera.id)
        self.names = {camera.name for camera in inventory.cameras}
        self.numbers: dict[str, count[int]] = {}
        self.by_channel = {
            (camera.device, camera.channel): camera
            for camera in reversed(self.cameras)
            if camera.device is not None
        }
        by_id = {camera.id: camera for camera in self.cameras}
        self.awaited = {host: by_id[key] for host, key in inventory.awaited.items() if key in by_id}
        self.by_url: dict[str, Camera] = {}
        for camera in reversed(self.cameras):
            for stream in camera.streams:
                self.by_url[_url_key(stream.url)] = camera
        # An order of their own for what came in any order: everything below then follows it.
        self.devices = sorted(inventory.devices, key=lambda device: device.id)
        # One address is one device in one search: of several answers the best is taken.
        seen: dict[str, FoundDevice] = {}
        for one in sorted(found, key=lambda one: (one.address, _worth(one), repr(one))):
            seen.setdefault(one.address, one)
        self.clusters = [_Cluster([one]) for one in seen.values()]

    def run(self) -> list[Change]:
        for sign, key, stronger in _SIGNS:
            self._join(sign, key, stronger)
        free = list(self.devices)
        for sign, key, stronger in _SIGNS:
            self._match(sign, key, stronger, free)
        for cluster in self.clusters:
            self._settle(cluster, free)
        return self.changes

    # -- which is which ------------------------------------------------------------------------------------

    def _join(self, sign: str, key: _Key, stronger: Sequence[_Key]) -> None:
        """Join what was found and has the same sign, unless stronger signs differ.

        Then only those are joined whose stronger signs are the very same.
        """
        carriers: dict[object, list[_Cluster]] = {}
        for cluster in self.clusters:
            for value in sorted(cluster.values(key), key=str):
                carriers.setdefault(value, []).append(cluster)
        for value, several in carriers.items():
            clusters = list(dict.fromkeys(cluster.now() for cluster in several))
            signs = [tuple(cluster.values(one) for one in stronger) for cluster in clusters]
            apart = any(len(frozenset().union(*kind)) > 1 for kind in zip(*signs, strict=True))
            parts: dict[object, _Cluster] = {}
            for cluster, own in zip(clusters, signs, strict=True):
                first = parts.setdefault(own if apart else None, cluster)
                if first is not cluster:
                    first.take(cluster)
            if len(parts) > 1:
                self._note(sign, value, parts.values())
        self.clusters = [cluster for cluster in self.clusters if cluster.joined is None]

    def _match(self, sign: str, key: _Key, stronger: Sequence[_Key], free: list[Device]) -> None:
        """Give clusters their known device: one each, by the strongest sign that any two share."""
        for cluster in self.clusters:
            if cluster.known is not None:
                continue
            values = cluster.values(key)
            for device in free:
                value = key(device.identity)
                if value is None or value not in values:
                    continue
                if any((other := one(device.identity)) and cluster.values(one) - {other} for one in stronger):
                    if sign != "address":  # at one address two devices may be in turn: that is no conflict
                        self._note(sign, value, [cluster], device)
                    continue
                cluster.known = device
                free.remove(device)
                break

    def _note(
        self, sign: str, value: object, clusters: Iterable[_Cluster], device: Device | None = None
    ) -> None:
        what = _shown(value)
        carriers = [f"{one.address} {_shown_identity(one.identity)}" for c in clusters for one in c.seen]
        carriers += [f"{device.id} {_shown_identity(device.identity)}"] if device is not None else []
        self.changes.append(
            NoteConflict(
                subject=device.id if device is not None else carriers[0].split(" ")[0],
                message=f"several devices have the {sign} {what}",
                detail={f"device {number}": text for number, text in enumerate(carriers[:8], start=1)},
            )
        )

    # -- what changes --------------------------------------------------------------------------------------

    def _settle(self, cluster: _Cluster, free: Sequence[Device]) -> None:
        device = cluster.known
        best = self._best(cluster)
        serials = cluster.values(serial_key)
        serials |= {key for known in (device,) if known is not None and (key := serial_key(known.identity))}
        if len(serials) > 1:
            self.changes.append(
                NoteConflict(
                    subject=device.id if device is not None else best.address,
                    message=f"one device, several serials: {', '.join(sorted(map(_shown, serials)))}",
                )
            )
        if device is None:
            self._add(cluster, best)
            return
        identity, firmware = self._learned(device, cluster.seen, best)
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
            self.changes.append(
                NoteConflict(
                    subject=device.id,
                    message="the device shows another TLS certificate than the one pinned",
                    detail={"pinned": device.fingerprint, "shown": best.fingerprint},
                )
            )
        if best.address != device.identity.address:
            self.changes.append(
                MoveDevice(
                    device=device.id, address=best.address, xaddr=best.xaddr, was=device.identity.address
                )
            )
        for double in free:
            if identity.mac is not None and double.identity.mac == identity.mac:
                self._absorb(device, double)
        self._channels(device.id, device.credential, best)

    @staticmethod
    def _best(cluster: _Cluster) -> FoundDevice:
        """The sighting to go by: enrolled wholly, at the known address, knowing most."""
        address = cluster.known.identity.address if cluster.known is not None else None
        return min(
            cluster.seen,
            key=lambda one: (one.error is not None, one.address != address, _worth(one), one.address),
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

        # Maker, model and serial say something together: a whole set replaces a placeholder.
        plate = next(
            (one for one in (device.identity, *(s.identity for s in order)) if serial_key(one)), None
        )
        identity = Identity(
            mac=first("mac"),
            manufacturer=plate.manufacturer if plate else first("manufacturer"),
            model=plate.model if plate else first("model"),
            serial=plate.serial if plate else first("serial"),
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

    def _add(self, cluster: _Cluster, best: FoundDevice) -> None:
        if best.error is not None and not (
            best.channels or cluster.values(_mac) or cluster.values(serial_key)
        ):
            return  # somebody is there, but who it is was not learned
        network = self._network(best.address)
        known = Device(id="", identity=best.identity)
        identity, firmware = self._learned(known, cluster.seen, best)
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
                camera = self._of_url(streams) or self._of_address(best)
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

    def _of_address(self, best: FoundDevice) -> Camera | None:
        """A camera that was registered by its address, before anything was known of its streams."""
        camera = self.awaited.get(_host(best.address))
        if camera is None or camera.id in self.attached or sum(bool(_streams(c)) for c in best.channels) != 1:
            return None  # which of a recorder's channels it would be, its address does not tell
        self.attached.add(camera.id)
        return camera

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
        words = " ".join(name.split())
        if "{number}" not in words:
            return words[:200] or channel.token
        if "{number}" not in words[:190]:
            words = f"{words.replace('{number}', '')[:180]} {{number}}"
        numbers = self.numbers.setdefault(words, count(1))
        names = (words.replace("{number}", str(number))[:200] for number in numbers)
        name = next(one for one in names if one not in self.names)
        self.names.add(name)
        return name

    def _network(self, address: str) -> Network | None:
        return network_of(self.networks, address)


def _worth(one: FoundDevice) -> tuple[bool, bool, int]:
    """Smaller is better: enrolled wholly, with a MAC, with many streams."""
    streams = sum(len(_streams(channel)) for channel in one.channels)
    return one.error is not None, one.identity.mac is None, -streams


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


def _shown_identity(identity: Identity) -> str:
    words = (identity.mac, identity.manufacturer, identity.model, identity.serial)
    return " ".join(filter(None, words)) or "unidentified"
