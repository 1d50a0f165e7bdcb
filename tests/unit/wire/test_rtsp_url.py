from __future__ import annotations

import pytest

from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.wire.rtsp.url import mask, parse_url, with_login

GOOD = [
    ("rtsp://10.0.0.1/live", "rtsp://10.0.0.1/live", "10.0.0.1", 554, None),
    ("RTSP://10.0.0.1", "rtsp://10.0.0.1/", "10.0.0.1", 554, None),
    ("rtsps://cam.example:8322/a?b=c&d", "rtsps://cam.example:8322/a?b=c&d", "cam.example", 8322, None),
    ("rtsp://[fe80::1]:8554/x", "rtsp://[fe80::1]:8554/x", "fe80::1", 8554, None),
    ("rtsp://admin:12345@10.0.0.1:554/", "rtsp://10.0.0.1:554/", "10.0.0.1", 554, ("admin", "12345")),
    ("rtsp://admin:p%40ss@cam/", "rtsp://cam/", "cam", 554, ("admin", "p@ss")),
    ("rtsp://admin:p@ss:w@cam/", "rtsp://cam/", "cam", 554, ("admin", "p@ss:w")),
    ("rtsp://admin@cam/x#frag", "rtsp://cam/x", "cam", 554, ("admin", "")),
]


@pytest.mark.parametrize(("url", "text", "host", "port", "account"), GOOD, ids=[row[0] for row in GOOD])
def test_parses(url: str, text: str, host: str, port: int, account: tuple[str, str] | None) -> None:
    target, credentials = parse_url(url)
    assert (target.text, target.host, target.port) == (text, host, port)
    found = credentials and (credentials.username, credentials.password.reveal())
    assert found == account


@pytest.mark.parametrize(
    "url",
    [
        *("", "cam", "http://cam/", "rtsp://", "rtsp:///x", "rtsp://admin:pa/ss@cam/", "rtsp://cam:0/"),
        *("rtsp://cam:65536/", "rtsp://cam:²/", "rtsp://[::g]/", "rtsp://[::1", "rtsp://cam/a b"),
        *("rtsp://cam/\r\nX:", "rtsp://-cam/", "rtsp://c/" + "x" * 5000),
    ],
)
def test_refuses_without_quoting_what_may_be_a_password(url: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_url(url)
    assert "ss@cam" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://admin:hush@10.0.0.1/x",
        "> DESCRIBE rtsp://c/user=admin&password=hush&channel=1.sdp",
        "rtsp://c/?Pwd=hush&x=1",
        "rtsp://c/x?token=hush",
    ],
)
def test_masks(text: str) -> None:
    assert "hush" not in mask(text)


@pytest.mark.parametrize(
    ("url", "filled"),
    [
        ("/user=&password=&channel=1&stream=0.sdp", "/user=admin&password=p%26_1&channel=1&stream=0.sdp"),
        ("/user=_password=_ch=1.sdp?real", "/user=admin_password=p%26_1_ch=1.sdp?real"),
        ("/cam?username=&pwd=", "/cam?username=admin&pwd=p%26_1"),
        ("/user=other&password=set", "/user=other&password=set"),
        ("/live/main", "/live/main"),
    ],
)
def test_an_account_is_filled_in_where_the_url_leaves_it_empty(url: str, filled: str) -> None:
    """XiongMai and its many names: the login stands in the path."""
    parsed, _ = parse_url(f"rtsp://10.0.0.1{url}")
    with_account = with_login(parsed, Credentials("admin", Secret("p&_1")))
    assert with_account.text == f"rtsp://10.0.0.1{filled}"
    assert "p%26_1" not in with_account.masked
