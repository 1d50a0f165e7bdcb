"""Challenges as cameras send them, and answers as the RFCs compute them."""

from __future__ import annotations

import hashlib
import re

import pytest

from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.wire.rtsp.digest import Authenticator, Outcome, parse_challenges

MUFASA = Credentials("Mufasa", Secret("Circle Of Life"))


def answer(challenge: str, *, credentials: Credentials = MUFASA, cnonce: str = "0a4f113b") -> dict[str, str]:
    auth = Authenticator(credentials, cnonce=cnonce)
    assert auth.challenged([challenge], again=False) is Outcome.RETRY
    value = auth.authorize("GET", "/dir/index.html")
    assert value is not None
    return {k: v.strip('"') for k, v in re.findall(r'(\w+)=("[^"]*"|[^,\s]+)', value)}


def test_rfc_2617_example() -> None:
    found = answer(
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"',
    )
    assert found["response"] == "6629fae49393a05397450978507c4ef1"
    assert found["opaque"] == "5ccc069c403ebaf9f0171e9517f40e41"
    assert found["qop"] == "auth"
    assert found["nc"] == "00000001"


RFC_7616 = 'realm="http-auth@example.org", qop="auth, auth-int", ' + (
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"'
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_example(algorithm: str, response: str) -> None:
    found = answer(
        f"Digest {RFC_7616}, algorithm={algorithm}",
        credentials=Credentials("Mufasa", Secret("Circle of Life")),
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert found["response"] == response
    assert found["algorithm"] == algorithm


def test_auth_int_digests_the_empty_body_too() -> None:
    given = answer('Digest realm="r", nonce="n", qop="auth-int"')

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    empty = "d41d8cd98f00b204e9800998ecf8427e"
    ha1 = md5(f"{MUFASA.username}:r:{MUFASA.password.reveal()}")
    ha2 = md5(f"GET:{given['uri']}:{empty}")
    assert given["qop"] == "auth-int"
    assert given["response"] == md5(f"{ha1}:n:{given['nc']}:{given['cnonce']}:auth-int:{ha2}")


def test_sess_mixes_the_nonces_into_the_secret() -> None:
    plain = answer('Digest realm="r", nonce="n", algorithm=MD5, qop="auth"')
    sess = answer('Digest realm="r", nonce="n", algorithm=MD5-sess, qop="auth"')
    assert sess["response"] != plain["response"]
    assert sess["algorithm"] == "MD5-sess"


def test_without_qop_there_is_no_count() -> None:
    found = answer('Digest realm="LIVE555 Streaming Media", nonce="9c3bd5d40e8c1e1bc9f1d9e4dd17ae66"')
    assert "qop" not in found
    assert "nc" not in found
    assert "algorithm" not in found


# (camera, values of the headers, schemes, one parameter to check)
CHALLENGES = [
    ("comma-joined", ['Digest realm="a", nonce="b", Basic realm="c"'], ["digest", "basic"], ("nonce", "b")),
    ("two headers", ['Basic realm="c"', 'Digest realm="a", nonce="b"'], ["basic", "digest"], ("realm", "c")),
    ("unquoted (Vstarcam)", ["Digest realm=IPCam, nonce=b64==, qop=auth"], ["digest"], ("nonce", "b64==")),
    ("single quotes", ["Digest realm='IP Cam', nonce='x'"], ["digest"], ("realm", "IP Cam")),
    ("no space after comma", ['Digest realm="a",nonce="b",stale="FALSE"'], ["digest"], ("stale", "FALSE")),
    ("spaces around =", ['Digest realm = "a" , nonce = "b"'], ["digest"], ("nonce", "b")),
    ("comma in the quotes", ['Digest realm="a, b", nonce="c,d"'], ["digest"], ("nonce", "c,d")),
    ("unterminated quote", ['Digest nonce="b", realm="a'], ["digest"], ("nonce", "b")),
    ("lower case scheme", ['digest realm="a", nonce="b"'], ["digest"], ("realm", "a")),
    ("escaped quote stays as sent", [r'Digest realm="a\"b", nonce="c"'], ["digest"], ("realm", r"a\"b")),
    (
        "Dahua",
        ['Digest realm="Login to 4K", nonce="1", qop="auth", opaque="", algorithm="SHA-256"'],
        ["digest"],
        ("algorithm", "SHA-256"),
    ),
    ("nothing", [""], [], None),
    ("nonsense", ["=,=,==\"'"], [], None),
]


@pytest.mark.parametrize(
    ("values", "schemes", "parameter"), [row[1:] for row in CHALLENGES], ids=[row[0] for row in CHALLENGES]
)
def test_parses_challenges(values: list[str], schemes: list[str], parameter: tuple[str, str] | None) -> None:
    found = parse_challenges(values)
    assert [challenge.scheme for challenge in found] == schemes
    if parameter:
        assert found[0].parameters[parameter[0]] == parameter[1]


def test_the_strongest_digest_is_answered() -> None:
    auth = Authenticator(MUFASA, cnonce="c")
    offers = [
        'Digest realm="a", nonce="b", algorithm=MD5',
        'Digest realm="a", nonce="b", algorithm=SHA-256',
        'Basic realm="a"',
    ]
    assert auth.challenged(offers, again=False) is Outcome.RETRY
    assert auth.label == "Digest SHA-256"


def test_one_attempt_a_scheme_then_it_is_over() -> None:
    auth = Authenticator(MUFASA, cnonce="c", allow_basic=True)
    offers = ['Digest realm="a", nonce="b"', 'Basic realm="a"']
    assert auth.challenged(offers, again=False) is Outcome.RETRY
    assert auth.challenged(offers, again=True) is Outcome.RETRY
    assert (auth.authorize("DESCRIBE", "x") or "").startswith("Basic ")
    assert auth.challenged(offers, again=True) is Outcome.REJECTED
    # a fresh nonce is no invitation to send a refused password again
    assert auth.challenged(['Digest realm="a", nonce="fresh"'], again=True) is Outcome.REJECTED


def test_basic_only_if_allowed() -> None:
    assert (
        Authenticator(MUFASA, cnonce="c").challenged(['Basic realm="a"'], again=False) is Outcome.UNSUPPORTED
    )


@pytest.mark.parametrize(
    "challenge",
    [
        'Digest realm="a", nonce="b", qop="auth-conf"',
        'Digest realm="a", nonce="b", algorithm=TIGER',
        'Digest realm="a"',
        "Negotiate",
    ],
)
def test_what_cannot_be_answered_is_unsupported(challenge: str) -> None:
    assert Authenticator(MUFASA, cnonce="c").challenged([challenge], again=False) is Outcome.UNSUPPORTED


def test_a_stale_nonce_is_replaced_once() -> None:
    auth = Authenticator(MUFASA, cnonce="c")
    assert auth.challenged(['Digest realm="a", nonce="1"'], again=False) is Outcome.RETRY
    assert auth.challenged(['Digest realm="a", nonce="2", stale=TRUE'], again=False) is Outcome.RETRY
    assert 'nonce="2"' in (auth.authorize("PLAY", "x") or "")
    assert auth.challenged(['Digest realm="a", nonce="3", stale=true'], again=True) is Outcome.REJECTED


def test_a_new_nonce_without_stale_is_taken_if_the_password_was_accepted() -> None:
    auth = Authenticator(MUFASA, cnonce="c")
    auth.challenged(['Digest realm="a", nonce="1"'], again=False)
    assert auth.challenged(['Digest realm="a", nonce="2"'], again=False) is Outcome.REJECTED
    auth.accepted()
    assert auth.challenged(['Digest realm="a", nonce="2"'], again=False) is Outcome.RETRY


def test_the_count_goes_up_with_each_request_and_begins_anew_with_a_nonce() -> None:
    auth = Authenticator(MUFASA, cnonce="c")
    auth.challenged(['Digest realm="a", nonce="1", qop=auth'], again=False)
    assert "nc=00000001" in (auth.authorize("DESCRIBE", "x") or "")
    assert "nc=00000002" in (auth.authorize("SETUP", "x") or "")
    auth.challenged(['Digest realm="a", nonce="2", qop=auth, stale=true'], again=False)
    assert "nc=00000001" in (auth.authorize("SETUP", "x") or "")


def test_control_characters_of_a_nonce_cannot_reach_a_header() -> None:
    auth = Authenticator(MUFASA, cnonce="c")
    auth.challenged(['Digest realm="a\r\nX: y", nonce="\x00b"'], again=False)
    value = auth.authorize("DESCRIBE", "x") or ""
    assert "\r" not in value
    assert "\n" not in value
    assert "\x00" not in value
