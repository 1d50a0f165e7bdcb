"""Which of the declared policies holds for a camera, and for a device that is none yet."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from sharpeyes.domain.camera import Camera
from sharpeyes.domain.organisation import Tier
from sharpeyes.net.tls import TlsPolicy
from sharpeyes.registry.declared import CAMERA_NAME, Method, Network
from sharpeyes.registry.trust import Trust

ANY, CITY, YARD, OWN = (TlsPolicy(fingerprints=each) for each in ((), ("c",), ("d",), ("e",)))


def network(cidr: str, tls: TlsPolicy | None, zone: str = "sector") -> Network:
    return Network(
        cidr=ip_network(cidr),
        tier=Tier.DEPARTMENTAL,
        department="edu",
        area="north",
        zone=zone,
        ports=(80,),
        methods=frozenset(Method),
        camera_name=CAMERA_NAME,
        tls=tls,
    )


def camera(name: str, zone: str = "sector") -> Camera:
    return Camera(
        id=name, name=name, tier=Tier.DEPARTMENTAL, department="edu", area="north", zone=zone, streams=()
    )


TRUST = Trust(
    cameras={"gate": OWN},
    networks=(
        network("10.0.0.0/8", CITY),
        network("10.1.0.0/16", YARD),
        network("10.1.2.0/24", None),
        network("10.9.0.0/16", ANY),
        network("10.1.0.0/16", OWN, zone="police"),
        network("2001:db8::/64", CITY),
    ),
)


def test_the_cameras_own_counts_before_that_of_its_network() -> None:
    assert TRUST.of("10.1.0.7", camera("hall"), camera("gate")) == OWN
    assert TRUST.of("10.1.0.7", camera("hall")) == YARD


def test_the_smallest_network_that_says_something_counts() -> None:
    assert TRUST.of("10.2.0.7") == CITY
    assert TRUST.of("10.1.0.7") == YARD
    assert TRUST.of("10.1.2.7") == YARD, "one that says nothing takes nothing away"
    assert TRUST.of("10.9.0.7") == ANY, "any, if that is what is said"
    assert TRUST.of("2001:db8::7") == CITY


def test_networks_apart_may_have_the_same_addresses() -> None:
    assert TRUST.of("10.1.0.7", camera("hall", "police")) == OWN
    assert TRUST.of("10.2.0.7", camera("hall", "police")) == CITY, "and what it is moved to leaves none bare"


def test_nothing_is_declared_for_others() -> None:
    for host in ("192.168.0.1", "2001:db9::1", "camera.example", ""):
        assert TRUST.of(host, camera("hall")) is None
        assert replace(TRUST, otherwise=CITY).of(host) == CITY
    assert Trust().of("10.1.0.7", camera("gate")) is None
