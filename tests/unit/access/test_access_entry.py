"""One entry, one form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.access.register.entry import Entry, Kind, decode, encode
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.time import Ms

details = st.dictionaries(
    st.text(st.characters(codec="ascii", exclude_categories=("Cs",)), min_size=1, max_size=8),
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(max_size=20)
    | st.lists(st.text(max_size=5)),
    max_size=4,
)


def test_the_bytes_of_version_1() -> None:
    """These bytes are in registers out there: they never change."""
    entry = Entry(
        kind=Kind.VIEW_STARTED,
        at=Ms(1_790_000_000_000),
        user="u1",
        name="王芳",
        unit="traffic",
        camera="c1",
        grant="g1",
        purpose="traffic",
        address="192.0.2.7",
        details={"path": "webrtc", "action": "live", "bytes": 0, "ok": True, "list": ["b", "a"]},
    )
    assert encode(entry).decode() == (
        '{"address":"192.0.2.7","at":1790000000000,"camera":"c1",'
        '"details":{"action":"live","bytes":0,"list":["b","a"],"ok":true,"path":"webrtc"},'
        '"grant":"g1","kind":"view_started","name":"王芳","purpose":"traffic","unit":"traffic","user":"u1","v":1}'
    )
    assert decode(encode(entry)) == entry


@given(st.sampled_from(Kind), st.integers(0, 2**52), st.none() | st.text(max_size=10), details)
def test_there_and_back(kind: Kind, at: int, user: str | None, more: dict[str, object]) -> None:
    try:
        data = encode(Entry(kind=kind, at=Ms(at), user=user, details=more))  # type: ignore[arg-type]
    except InvalidInputError:  # lone surrogates
        return
    assert encode(decode(data)) == data


@pytest.mark.parametrize(
    "bad",
    [
        {"x": 1.5},
        {"x": 2**53},
        {"ключ": 1},
        {"x": "\ud800"},
        {"x": b""},
        {"x": [[[[[1]]]]]},
        {"x": "y" * 70_000},
    ],
)
def test_what_has_no_canonical_form_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        encode(Entry(kind=Kind.LOGIN, at=Ms(1), details=bad))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"at":1,"kind":"login","v":2}',
        b'{"at":1,"kind":"unheard","v":1}',
        b'{"at":1, "kind":"login","v":1}',
        b'{"kind":"login","at":1,"v":1}',
        b'{"at":1,"extra":1,"kind":"login","v":1}',
        b'{"at":1,"at":1,"kind":"login","v":1}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_other_forms_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidInputError):
        decode(body)
