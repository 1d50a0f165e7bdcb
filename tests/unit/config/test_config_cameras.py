"""configs/cameras.yaml: every mistake is a file in testdata, with the sentences that the user reads.

A line ``# expect LINE: message. mend`` in a file is one error, in the order in which they are told.
"""

import time
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certificates import certificate
from sharpeyes.config import Config, ConfigErrors, load
from sharpeyes.domain.access import Schedule
from sharpeyes.domain.camera import Camera, Stream, StreamRole
from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import ConfigError
from sharpeyes.domain.faults import FaultKind, Scope, Severity
from sharpeyes.domain.organisation import Area, Department, Tier, TierPolicy, Zone
from sharpeyes.faults.notify.channels import DingTalk, Email, SecretRef, Webhook, WeCom
from sharpeyes.faults.notify.recipients import Language, Recipient
from sharpeyes.faults.policy import RouteRule
from sharpeyes.net.tls import TlsPolicy, read_authorities
from sharpeyes.registry.declared import DeclaredCredential, Method, Network

TESTDATA = Path(__file__).parent / "testdata"
EXAMPLE = Path(__file__).parents[3] / "configs" / "cameras.yaml"
ENVIRON = {"CAMERA_PASSWORD": "hunter2"}

LEAST = (TESTDATA / "valid-least.yaml").read_text()


def read(tmp_path: Path, body: str | bytes, environ: dict[str, str] = ENVIRON) -> Config:
    file = tmp_path / "cameras.yaml"
    file.write_bytes(body.encode() if isinstance(body, str) else body)
    return load(file, environ)


@pytest.mark.parametrize("file", sorted(TESTDATA.glob("invalid-*.yaml")), ids=lambda file: file.stem)
def test_a_mistake_is_told_with_its_line_and_mend(file: Path) -> None:
    marked = [line.removeprefix("# expect ") for line in file.read_text().splitlines() if "# expect " in line]
    assert marked, "the file says what it expects"
    with pytest.raises(ConfigErrors) as caught:
        load(file, ENVIRON)
    told = [str(error).removeprefix(f"{file}:") for error in caught.value.errors]
    assert told == marked
    assert str(caught.value).splitlines() == [f"{file}:{line}" for line in marked]
    assert "hunter" not in str(caught.value) + repr(caught.value), "a password is never repeated"
    assert all(error.mend for error in caught.value.errors)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "1: the file is empty. Start from configs/cameras.yaml, the example"),
        ("区".encode("gb18030"), "1: the file is not UTF-8 text. Save it as UTF-8 (it looks like GB18030)"),
        (b"a: 1\nb: \xff\xff\n", "2: the file is not UTF-8 text. Save it as UTF-8"),
        ("a: 1\n".encode("utf-16"), "1: the file is not UTF-8 text. Save it as UTF-8 (it looks like UTF-16)"),
        (b"a: 1\nb: \x00\n", "2: the file holds a control character. Remove the character"),
        (b"[" * 100_000, "1: nested deeper than 64 levels. Check the brackets"),
        (b"- " * 100_000, "1: nested deeper than 64 levels. Check the brackets"),
        (b"a: " + b"x" * (33 << 20), "1: the file is larger than 32 MiB. Split it, or declare networks"),
    ],
    ids=["empty", "gb18030", "latin", "utf-16", "nul", "brackets", "dashes", "huge"],
)  # fmt: skip
def test_a_file_that_is_no_yaml_text(tmp_path: Path, data: bytes, told: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, data)
    assert str(caught.value) == f"{tmp_path / 'cameras.yaml'}:{told}"


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match=r"nothing.yaml:1: the file cannot be read \(No such file"):
        load(tmp_path / "nothing.yaml")
    with pytest.raises(ConfigErrors, match="directory"):
        load(tmp_path)


def test_a_bom_and_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    config = read(tmp_path, b"\xef\xbb\xbf" + LEAST.replace("\n", "\r\n").encode())
    assert len(config.declared.cameras) == 1


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    declared = config.declared
    assert config.site.timezone == "Asia/Shanghai"
    assert declared.tiers == tuple(TierPolicy(tier=tier) for tier in Tier)
    assert declared.zones == (Zone(id="video", name="视频专网", network="1"),)
    assert declared.departments[1] == Department(id="education", name="教育局", industry="11")
    assert declared.cameras == (
        Camera(
            id="gate",
            name="东门",
            tier=Tier.DEPARTMENTAL,
            department="education",
            area="north",
            zone="video",
            streams=(Stream(role=StreamRole.MAIN, url="rtsp://10.0.0.1/main"),),
        ),
    )
    assert declared.credentials == (
        DeclaredCredential(id="viewer", username="viewer", password=Secret("hunter2")),
    )
    assert config.warnings == ()
    assert "hunter2" not in repr(config)


def test_a_password_goes_out_readable_only_where_that_is_said(tmp_path: Path) -> None:
    for word, said in (("", False), (", allow_basic: false", False), (", allow_basic: true", True)):
        config = read(tmp_path, LEAST.replace("username: viewer", "username: viewer" + word))
        assert config.declared.credentials[0].allow_basic is said


def test_one_zone_need_not_be_named_and_none_is_one(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST.replace("    zone: video\n", "")).declared.cameras[0].zone == "video"
    bare = LEAST.replace("    zone: video\n", "").replace(
        "zones:\n  video: {name: 视频专网, network: 1}\n", ""
    )
    config = read(tmp_path, bare)
    assert config.declared.cameras[0].zone == config.declared.zones[0].id
    several = LEAST.replace("    zone: video\n", "").replace("zones:\n", "zones:\n  other: {}\n")
    with pytest.raises(ConfigErrors, match="several zones"):
        read(tmp_path, several)


def test_everything_of_a_camera(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        LEAST
        + """    sub: RTSP://10.0.0.1:8554/sub
    snapshot: https://10.0.0.1/snap.jpg
    credential: viewer
    transport: udp
    liveness_s: 7.5
    quality_s: 60
    maintenance: true
    tags: [校门, 001]
    code: 33010800111327000001
""",
    )
    camera = config.declared.cameras[0]
    assert camera.streams[1] == Stream(role=StreamRole.SUB, url="rtsp://10.0.0.1:8554/sub")
    assert (camera.snapshot_url, camera.credential, camera.transport) == (
        "https://10.0.0.1/snap.jpg",
        "viewer",
        "udp",
    )
    assert (camera.liveness_s, camera.quality_s, camera.maintenance, camera.tags) == (
        7.5,
        60,
        True,
        ("校门", "001"),
    )
    assert camera.code == "33010800111327000001", "digits stay as written, quoted or not"
    assert config.warnings == ()


def test_a_network_and_its_defaults(tmp_path: Path) -> None:
    body = (
        LEAST
        + """networks:
  - {cidr: 10.20.0.0/24, tier: community, department: police, area: north}
  - cidr: 2001:db8::/120
    tier: community
    department: police
    area: north
    credential: viewer
    ports: [80, 8000, 80]
    methods: [multicast]
    interface: eth1
    camera_name: "{model} {{x}} {address}"
"""
    )
    first, second = read(tmp_path, body).networks
    assert first == Network(
        cidr=ip_network("10.20.0.0/24"),
        tier=Tier.COMMUNITY,
        department="police",
        area="north",
        zone="video",
        ports=(80,),
        methods=frozenset({Method.UNICAST, Method.SWEEP}),
        camera_name="{area} {model} {number}",
    )
    assert (second.ports, second.methods, second.interface) == ((80, 8000), {Method.MULTICAST}, "eth1")
    assert second.camera_name.format(model="m", address="a") == "m {x} a"
    assert read(tmp_path, body).addresses == 512


def test_whose_certificates_are_trusted(tmp_path: Path) -> None:
    own = certificate(tmp_path, "city")
    colons = ":".join(own.fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    body = (
        LEAST
        + f"""    tls: {{fingerprints: ["{colons}", {"0" * 64}]}}
networks:
  - {{cidr: 10.20.0.0/24, tier: community, department: police, area: north, tls: any}}
  - {{cidr: 10.20.1.0/24, tier: community, department: police, area: north, tls: {{ca_file: city.pem}}}}
  - cidr: 10.20.2.0/24
    tier: community
    department: police
    area: north
    tls: {{ca_file: {own.file}, check_host: false}}
"""
    )
    config = read(tmp_path, body)
    authorities = read_authorities(own.file)
    assert config.declared.tls == {"gate": TlsPolicy(fingerprints=(own.fingerprint, "0" * 64))}
    assert [network.tls for network in config.networks] == [
        TlsPolicy(),
        TlsPolicy(authorities=authorities),
        TlsPolicy(authorities=authorities, check_host=False),
    ]
    assert config.trust.of("10.20.1.7") == TlsPolicy(authorities=authorities)
    assert config.trust.of("10.20.1.7", *config.declared.cameras) == config.declared.tls["gate"]
    assert config.warnings == ()


def test_areas_come_with_parents_first(tmp_path: Path) -> None:
    nested = "  north: {name: 城北, code: 330108, children: {market: {name: 市场, children: {hall: }}}}\n"
    config = read(tmp_path, LEAST.replace("  north: {name: 城北}\n", nested))
    assert config.declared.areas == (
        Area(id="north", name="城北", code="330108"),
        Area(id="market", name="市场", parent="north"),
        Area(id="hall", name="hall", parent="market"),
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("industry: \"11\"", "industry: 77"), "industry code 77 is not in the table"),
        (("    main:", "    code: 33010800991327000001\n    main:"), "industry code 99 is not in the table"),
        (("    main:", "    code: 33010800112157000001\n    main:"), "type code 215 is not a camera's"),
        (("password_env: CAMERA_PASSWORD", "password_env: NOT_SET"), "variable NOT_SET is not set"),
        (("password_env: CAMERA_PASSWORD", "password_file: no.txt"), "no.txt cannot be read"),
    ],
)  # fmt: skip
def test_what_looks_odd_is_a_warning(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    (warning,) = read(tmp_path, LEAST.replace(*change)).warnings
    assert told in str(warning)
    assert warning.line > 1


def test_overlapping_networks_are_a_warning(tmp_path: Path) -> None:
    line = "  - {cidr: CIDR, tier: community, department: police, area: north}\n"
    body = LEAST + "networks:\n" + line.replace("CIDR", "10.0.0.0/24") + line.replace("CIDR", "10.0.0.0/25")
    (warning,) = read(tmp_path, body).warnings
    assert "10.0.0.0/25 overlaps 10.0.0.0/24 of line 19" in str(warning)


def test_a_password_file_is_read_beside_the_config(tmp_path: Path) -> None:
    body = LEAST.replace("password_env: CAMERA_PASSWORD", "password_file: viewer.txt")
    secret = tmp_path / "viewer.txt"
    secret.write_text("hunter2 and more\n")
    secret.chmod(0o600)
    config = read(tmp_path, body)
    assert config.declared.credentials[0].password == Secret("hunter2 and more")
    assert config.warnings == ()
    secret.chmod(0o644)
    assert "everybody on this machine may read" in str(read(tmp_path, body).warnings[0])


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\xff\xfe", b"x" * 5000])
def test_a_password_file_that_holds_no_password(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "viewer.txt").write_bytes(content)
    (tmp_path / "viewer.txt").chmod(0o600)
    config = read(tmp_path, LEAST.replace("password_env: CAMERA_PASSWORD", "password_file: viewer.txt"))
    assert config.declared.credentials[0].password is None
    assert len(config.warnings) == 1


def test_a_broken_declaration_is_not_told_again_where_it_is_used(tmp_path: Path) -> None:
    body = LEAST.replace('industry: "11"', "industry: x")
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, body)
    assert len(caught.value.errors) == 1


def test_the_example_is_valid_as_it_stands() -> None:
    config = load(EXAMPLE, {})
    assert {camera.tier for camera in config.declared.cameras} | {n.tier for n in config.networks} == set(
        Tier
    )
    assert [w.message for w in config.warnings if "password" not in w.mend] == []
    secrets = {"CAMERA_PASSWORD_POLICE": "a", "CAMERA_PASSWORD_SCHOOLS": "b"}
    assert len(load(EXAMPLE, secrets).warnings) == 1, "only the file is missing"


def test_names_may_hold_wide_spaces_but_nothing_unseen(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST.replace("东门", "东门　一")).declared.cameras[0].name == "东门　一"
    with pytest.raises(ConfigErrors, match="visible characters"):
        read(tmp_path, LEAST.replace("东门", "东门\u202e一"))


WORDS = st.sampled_from(
    [
        *("", "~", "x", "[", "]", "{", "}", ":", "- ", "*a", "&a", "|", ">", "'", '"', "\t", "{0}"),
        *("rtsp://[", "rtsp://a@b", "http://[::1", "10.0.0.0/33", "::/0", "1e999", "٣", "!!int 1", "../x"),
        *("\ud7ff", "区", "330108" * 9),
    ]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 30), WORDS), max_size=6))
def test_any_damage_is_told_or_harmless(tmp_path: Path, cuts: list[tuple[int, int, str]]) -> None:
    body = EXAMPLE.read_text()
    for at, length, put in cuts:
        start = at % len(body)
        body = body[:start] + put + body[start + length :]
    told: tuple[ConfigError, ...] = ()
    try:
        read(tmp_path, body)
    except ConfigErrors as errors:
        told = errors.errors
    assert all(1 <= error.line <= body.count("\n") + 2 for error in told)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_are_told_or_harmless(tmp_path: Path, data: bytes) -> None:
    with suppress(ConfigErrors):
        read(tmp_path, data)


def test_a_city_with_a_wrong_name_everywhere_is_told_soon(tmp_path: Path) -> None:
    areas = "areas:\n  north: {}\n" + "".join(f"  area-{n:04}: {{}}\n" for n in range(1000))
    camera = LEAST[LEAST.index("  - id: gate") :].replace("area: north", "area: area_9999")
    cameras = "".join(camera.replace("gate", f"g{n}").replace("10.0.0.1", f"h{n}") for n in range(2000))
    body = LEAST.replace("areas:\n  north: {name: 城北}\n", areas) + cameras
    before = time.process_time()
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, body)
    assert len(caught.value.errors) == 2000
    print(f"{time.process_time() - before:.2f} s for 2,000 mistakes")


def test_networks_apart_may_use_the_same_address(tmp_path: Path) -> None:
    camera = LEAST[LEAST.index("  - id: gate") :]
    body = LEAST.replace("zones:\n", "zones:\n  other: {}\n")
    twin = camera.replace("id: gate", "id: gate-2").replace("zone: video", "zone: other")
    assert len(read(tmp_path, body + twin).declared.cameras) == 2


def test_two_cameras_in_one_line_are_still_two(tmp_path: Path) -> None:
    one = "{id: a, tier: community, department: police, area: north, main: rtsp://h/}"
    body = LEAST[: LEAST.index("cameras:")] + f"cameras: [{one}, {one}]\n"
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, body)
    assert len(caught.value.errors) == 2, "the id and the URL"


def test_who_mends_what_and_who_is_told(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        LEAST
        + """
faults:
  fallback_unit: education
  allow: [10.0.0.0/8]
  routes:
    - {unit: telecom, scopes: [node], kinds: [offline], causes: [no_route], tiers: [departmental],
       departments: [education], areas: [north], zones: [video], tags: [gate]}
  recipients:
    - id: duty
      email: {to: duty@city.example, sender: eyes@city.example, host: mail.city.example, security: tls,
              username: eyes, password_file: smtp.txt}
      language: en
      units: [education]
      least: major
      level: 1
      quiet: {start: "22:00", end: "07:00", days: [mon, sun]}
      digests: ["08:00", "24:00"]
    - {id: hook, webhook: {url: "https://hook.city.example/x", secret_env: HOOK_SECRET}}
    - {id: room, wecom: {url_env: WECOM_URL}}
    - {id: hall, dingtalk: {url_file: /run/ding, sign_env: DING_SIGN}}
""",
    )
    faults = config.faults
    assert faults.fallback_unit == "education"
    assert faults.guard.allow == (ip_network("10.0.0.0/8"),)
    assert faults.rules == (
        RouteRule(
            unit="telecom",
            scopes=frozenset({Scope.NODE}),
            kinds=frozenset({FaultKind.OFFLINE}),
            causes=frozenset({"no_route"}),
            tiers=frozenset({"departmental"}),
            departments=frozenset({"education"}),
            areas=frozenset({"north"}),
            zones=frozenset({"video"}),
            tags=frozenset({"gate"}),
        ),
    )
    duty, hook, room, hall = faults.recipients
    assert duty == Recipient(
        id="duty",
        channel=Email(
            to="duty@city.example",
            sender="eyes@city.example",
            host="mail.city.example",
            port=465,
            security="tls",
            username="eyes",
            password=SecretRef(file=tmp_path / "smtp.txt"),
        ),
        timezone=ZoneInfo("Asia/Shanghai"),
        language=Language.EN,
        units=frozenset({"education"}),
        least=Severity.MAJOR,
        level=1,
        quiet=Schedule(start=22 * 60, end=7 * 60, days=frozenset({0, 6})),
        digests=(8 * 60, 0),
    )
    assert hook.channel == Webhook(url="https://hook.city.example/x", secret=SecretRef(env="HOOK_SECRET"))
    assert room.channel == WeCom(url=SecretRef(env="WECOM_URL"))
    assert hall.channel == DingTalk(url=SecretRef(file=Path("/run/ding")), sign=SecretRef(env="DING_SIGN"))
    (warning,) = config.warnings
    assert "the unit telecom is no department" in str(warning)
