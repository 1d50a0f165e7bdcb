"""Probes as they are sent; answers as devices really send them."""

from __future__ import annotations

import pytest

from sharpeyes.wire import xml
from sharpeyes.wire.service_url import HTTP, RTSP, device_service_url, pin_url
from sharpeyes.wire.ws_discovery import DiscoverySyntaxError, ProbeType, parse, probe, scope_values

HIKVISION = """<?xml version="1.0" encoding="UTF-8"?>
<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"
 xmlns:wsadis="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">
<env:Header><wsadis:MessageID>urn:uuid:1</wsadis:MessageID><wsadis:RelatesTo>urn:uuid:2</wsadis:RelatesTo>
</env:Header><env:Body><d:ProbeMatches><d:ProbeMatch>
<wsadis:EndpointReference><wsadis:Address>urn:uuid:7b6a-4419b60a0b0c</wsadis:Address></wsadis:EndpointReference>
<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>
<d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/MAC/44:19:b6:0a:0b:0c
 onvif://www.onvif.org/name/HIKVISION%20DS-2CD onvif://www.onvif.org/location/city/hangzhou</d:Scopes>
<d:XAddrs>http://192.168.1.64/onvif/device_service http://[fe80::4619:b6ff:fe0a:b0c]/onvif/device_service</d:XAddrs>
<d:MetadataVersion>10</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></env:Body></env:Envelope>"""

LONE_MATCH = """<Envelope xmlns="http://www.w3.org/2003/05/soap-envelope"><Body><ProbeMatch>
<EndpointReference><Address>urn:uuid:x</Address></EndpointReference>
<Scopes>onvif://www.onvif.org/name/Loading Bay 2 onvif://www.onvif.org/name/Loading Bay 2
onvif:// broken</Scopes>
<XAddrs>http://admin:pw@10.0.0.7:8899/onvif/device_service,http://10.0.0.7:8899:8899/
ftp://x/ http://[/ nonsense</XAddrs>
</ProbeMatch></Body></Envelope>"""

HELLO = HIKVISION.replace("d:ProbeMatches><d:ProbeMatch>", "d:Hello>").replace(
    "</d:ProbeMatch></d:ProbeMatches>", "</d:Hello>"
)


def test_a_probe_is_read_back() -> None:
    for kind, name in ((ProbeType.TRANSMITTER, "NetworkVideoTransmitter"), (ProbeType.DEVICE, "Device")):
        root = xml.parse(xml.decode(probe("urn:uuid:a&b", kind)))
        assert xml.text_of(xml.child(root, "Header", "MessageID")) == "urn:uuid:a&b"
        assert xml.text_of(xml.child(root, "Body", "Probe", "Types")).endswith(f":{name}")


@pytest.mark.parametrize("text", [HIKVISION, HELLO])
def test_a_usual_answer(text: str) -> None:
    message = parse(text.encode())
    assert message.kind in ("ProbeMatches", "Hello")
    assert (message.message_id, message.relates_to) == ("urn:uuid:1", "urn:uuid:2")
    [match] = message.matches
    assert match.endpoint == "urn:uuid:7b6a-4419b60a0b0c"
    assert match.types == ("NetworkVideoTransmitter", "Device")
    assert match.xaddrs == (
        "http://192.168.1.64/onvif/device_service",
        "http://[fe80::4619:b6ff:fe0a:b0c]/onvif/device_service",
    )
    assert scope_values(match.scopes, "name") == ("HIKVISION DS-2CD",)
    assert scope_values(match.scopes, "mac") == ("44:19:b6:0a:0b:0c",)
    assert scope_values(match.scopes, "location") == ("city/hangzhou",)


def test_no_wrapper_no_namespaces_spaces_repeats_and_broken_addresses() -> None:
    message = parse(LONE_MATCH.encode())
    [match] = message.matches
    assert message.relates_to is None
    assert scope_values(match.scopes, "name") == ("Loading Bay 2",)
    assert match.xaddrs == ("http://10.0.0.7:8899/onvif/device_service", "http://10.0.0.7:8899/")


def test_what_is_missing_is_none() -> None:
    [match] = parse(b"<E><Body><ProbeMatches><ProbeMatch/></ProbeMatches></Body></E>").matches
    assert (match.endpoint, match.types, match.scopes, match.xaddrs) == (None, (), (), ())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("%E5%8C%97%E9%97%A8", "北门"),
        ("%B1%B1%C3%C5", "北门"),
        ("100%", "100%"),
        ("%ZZ", "%ZZ"),
        ("a%0Ab%1B", "a b"),
    ],
)
def test_scopes_are_percent_decoded_in_utf_8_or_gb2312(value: str, text: str) -> None:
    assert scope_values((f"ONVIF://www.onvif.org/Name/{value}",), "name") == (text,)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 100,
        b"<E>",
        b"<E/>",
        b"<E><Body><Probe/></Body></E>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><E><Body><ProbeMatches/></Body></E>',
        b"<E>" + b"<a>" * 30 + b"</a>" * 30 + b"</E>",
        b"<E>" + b"<a/>" * 3_000 + b"</E>",
        b"<E>" + b"x" * 70_000 + b"</E>",
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(DiscoverySyntaxError):
        parse(data)


def test_lists_are_bounded() -> None:
    urls = " ".join(f"http://10.0.0.{n}/" for n in range(250))
    scopes = " ".join(f"onvif://www.onvif.org/name/{n}" for n in range(1_000))
    one = f"<ProbeMatch><XAddrs>{urls}</XAddrs><Scopes>{scopes}</Scopes></ProbeMatch>"
    message = parse(f"<E><Body><ProbeMatches>{one}{'<ProbeMatch/>' * 200}</ProbeMatches></Body></E>".encode())
    assert len(message.matches) == 64
    assert len(message.matches[0].xaddrs) == 16
    assert len(message.matches[0].scopes) == 128


# -- URLs that devices name ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "pinned"),
    [
        ("rtsp://10.0.0.9:554/a?b=c", "rtsp://192.0.2.7:554/a?b=c"),
        ("rtsp://admin:p@ss@10.0.0.9/live", "rtsp://192.0.2.7/live"),
        ("rtsp://10.0.0.9:8106:8106/x", "rtsp://192.0.2.7:8106/x"),
        ("rtsp://[fe80::1]:554/x", "rtsp://192.0.2.7:554/x"),
        ("rtsp://h/cam?user=admin&password=abc&channel=1", "rtsp://192.0.2.7/cam?user=&password=&channel=1"),
        (
            "rtsp://h/user=admin_password=tlJwpbo6_channel=1_stream=0.sdp?real_stream",
            "rtsp://192.0.2.7/user=_password=_channel=1_stream=0.sdp?real_stream",
        ),
        ("rtsp://h/cam?password=a_b_c&x=1", "rtsp://192.0.2.7/cam?password=&x=1"),
        (" rtsp://h/a b ", "rtsp://192.0.2.7/a%20b"),
        ("http://h/a", None),
        ("rtsp:///a", None),
        ("rtsp://h:99999/a", None),
        ("rtsp://h:0/a", None),
        ("rtsp://[bad/a", None),
        ("rtsp://h/\r\nHost: evil", None),
        ("rtsp://h/" + "a" * 3_000, None),
        ("", None),
        (None, None),
    ],
)
def test_urls_are_pinned_to_the_dialled_host_and_freed_of_credentials(
    url: str | None, pinned: str | None
) -> None:
    assert pin_url(url, "192.0.2.7", RTSP) == pinned


def test_an_address_is_enough_to_name_a_device_service() -> None:
    assert device_service_url("192.0.2.7:8000") == "http://192.0.2.7:8000/onvif/device_service"
    assert device_service_url("https://cam/") == "https://cam/onvif/device_service"
    assert device_service_url("http://cam/other") == "http://cam/other"
    assert pin_url("http://h/", "fe80::1", HTTP) == "http://[fe80::1]/"
