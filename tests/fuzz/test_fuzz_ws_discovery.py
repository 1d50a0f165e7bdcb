"""Whatever bytes arrive: a value or the typed error, nothing else, and within the bounds."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from sharpeyes.wire import soap, xml
from sharpeyes.wire.service_url import HTTP, RTSP, pin_url
from sharpeyes.wire.ws_discovery import DiscoverySyntaxError, parse, scope_values

SEED = (
    b'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    b' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:a="urn:a"><s:Header><a:RelatesTo>u'
    b"</a:RelatesTo></s:Header><s:Body><d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>e"
    b"</a:Address></a:EndpointReference><d:Types>dn:Device</d:Types><d:Scopes>onvif://www.onvif.org/name/a b"
    b"</d:Scopes><d:XAddrs>http://10.0.0.1/x</d:XAddrs></d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
)
FAULT = (
    b'<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Fault><Code><Value>a:b</Value><Subcode>'
    b"<Value>c</Value></Subcode></Code><Reason><Text>no</Text></Reason></Fault></Body></Envelope>"
)


def check(data: bytes) -> None:
    with contextlib.suppress(DiscoverySyntaxError):
        message = parse(data)
        assert len(message.matches) <= 64
        for match in message.matches:
            assert all(len(scope) <= 1_024 for scope in match.scopes)
            assert all(url.startswith(("http://", "https://")) for url in match.xaddrs)
            assert not any("@" in url.split("/")[2] for url in match.xaddrs)
            scope_values(match.scopes, "name")
    with contextlib.suppress(xml.XmlSyntaxError):
        read = soap.read(xml.decode(data), xml.XmlLimits(elements=100))
        if isinstance(read, soap.Fault):
            assert read.text.isprintable()
            assert isinstance(read.about_login, bool)


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    check(data)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A real answer with some pieces cut out, doubled or replaced."""
    data = bytearray(draw(st.sampled_from([SEED, FAULT])))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        piece = bytes(data[start:end])
        other = draw(st.sampled_from([b"", piece * 2, b"<", b">", b"&a;", b"\xff\xfe", b"]]>", b"%E5"]))
        data[start:end] = draw(st.one_of(st.just(other), st.binary(max_size=12)))
    return bytes(data)


@settings(max_examples=300)
@given(broken())
def test_broken_answers(data: bytes) -> None:
    check(data)


def test_cut_at_every_point() -> None:
    for data in (SEED, FAULT):
        for end in range(len(data)):
            check(data[:end])


@given(st.binary(max_size=200), st.sampled_from([None, "utf-8", "gb2312", "rot13", "zlib", "utf-16"]))
def test_decoding_never_fails(data: bytes, charset: str | None) -> None:
    text = xml.decode(data, charset)
    assert not any(c in text for c in "\x00\x08\x1f")


@settings(max_examples=300)
@given(
    st.one_of(
        st.text(max_size=80),
        st.builds("{}://{}/{}".format, st.sampled_from(["rtsp", "http"]), st.text(max_size=40), st.text()),
    )
)
def test_a_pinned_url_leads_to_the_host_or_nowhere(text: str) -> None:
    for schemes in (HTTP, RTSP):
        url = pin_url(text, "192.0.2.7", schemes)
        if url is not None:
            authority = url.split("/")[2]
            assert authority.split(":")[0] == "192.0.2.7"
            assert "@" not in authority
            assert url.isascii()
            assert url.isprintable()
