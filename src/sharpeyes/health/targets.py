"""The cameras of a registry, or of a file, as the fleet is told to look at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import Connection

from sharpeyes.domain.camera import SESSIONS, Camera, Device, StreamRole
from sharpeyes.domain.credentials import Credentials
from sharpeyes.domain.organisation import Tier, TierPolicy
from sharpeyes.domain.time import Ms
from sharpeyes.health.probe import ProbeRequest
from sharpeyes.health.target import Target, host_of
from sharpeyes.net.tls import TlsPolicy
from sharpeyes.registry.trust import Trust
from sharpeyes.store.cameras import list_cameras
from sharpeyes.store.credentials import changes, open_credentials
from sharpeyes.store.devices import list_devices
from sharpeyes.store.organisation import list_tiers
from sharpeyes.store.vault import Vault


def read_targets(
    connection: Connection, vault: Vault, trust: Trust
) -> tuple[list[Target], Mapping[Tier, TierPolicy]]:
    """All cameras of the registry, and what is promised for each tier."""
    policies = {tier: TierPolicy(tier=tier) for tier in Tier}
    policies |= {policy.tier: policy for policy in list_tiers(connection)}
    devices = {device.id: device for device in list_devices(connection)}
    accounts = open_credentials(connection, vault)
    changed = changes(connection)
    cameras = list_cameras(connection)
    return list(targets_of(cameras, devices, accounts, changed, policies, trust)), policies


def targets_of(
    cameras: Iterable[Camera],
    devices: Mapping[str, Device],
    accounts: Mapping[str, Credentials],
    changed: Mapping[str, Ms],
    policies: Mapping[Tier, TierPolicy],
    trust: Trust,
) -> Iterator[Target]:
    """How to look at each camera: at its sub-stream if it has one, with its own or its device's account.

    ``changed`` says when the password of an account was last changed. Cameras without a stream are left out.
    """
    for camera in cameras:
        if not camera.watched:
            continue
        device = devices.get(camera.device or "")
        account = camera.credential or (device.credential if device else None)
        url = camera.stream(StreamRole.SUB).url
        yield Target(
            camera=camera,
            request=ProbeRequest(
                url=url,
                credentials=accounts.get(account or ""),
                transport=camera.transport,
                tls=trust.of(host_of(url), camera) or TlsPolicy(),
            ),
            cadence_s=camera.liveness_s or policies[camera.tier].liveness_s,
            quality_s=camera.quality_s or policies[camera.tier].quality_s,
            sessions=device.session_limit if device else SESSIONS,
            credential=account,
            credential_changed=changed.get(account or ""),
        )
