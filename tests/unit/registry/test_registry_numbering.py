"""20-digit numbers: one table of rows, parsed, put together and doubted."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.domain.errors import ConflictError, InvalidInputError
from sharpeyes.registry.numbering import Code, Rule, compose, doubts, free_codes, parse

ROWS = [
    # text, rule, centre, industry, type, network, serial, number of doubts
    ("33010801001321000001", Rule.Y2022, "33010801", "00", "132", "1", "000001", 0),
    ("33010801001321000001", Rule.Y2016, "33010801", "00", "132", None, "1000001", 0),
    ("44000000111317999999", Rule.Y2022, "44000000", "11", "131", "7", "999999", 0),
    ("34020000001110000001", Rule.Y2016, "34020000", "00", "111", None, "0000001", 1),
    ("34020000995009000001", Rule.Y2022, "34020000", "99", "500", "9", "000001", 3),
    ("34020000009997000001", Rule.Y2022, "34020000", "00", "999", "7", "000001", 1),
]


@pytest.mark.parametrize(("text", "rule", "centre", "industry", "kind", "network", "serial", "odd"), ROWS)
def test_taken_apart_and_put_together(
    text: str,
    rule: Rule,
    centre: str,
    industry: str,
    kind: str,
    network: str | None,
    serial: str,
    odd: int,
) -> None:
    code = parse(text, rule)
    assert code == Code(centre=centre, industry=industry, type=kind, network=network, serial=serial)
    assert (str(code), code.rule) == (text, rule)
    assert code.prefix + code.serial == text
    again = compose(region=centre, industry=industry, type_code=kind, network=network, serial=int(serial))
    assert again == code
    assert len(doubts(code)) == odd


@pytest.mark.parametrize(
    ("region", "centre"),
    [("33", "33000000"), ("3301", "33010000"), ("330108", "33010800"), ("33010801", "33010801")],
)
def test_a_region_is_padded_to_a_centre(region: str, centre: str) -> None:
    assert compose(region=region, industry="00", network="1", serial=1).centre == centre


@pytest.mark.parametrize(
    "text",
    ["", "1" * 19, "1" * 21, "3301080100132100000x", "33010801 0132100000", "٣" * 20, "²" * 20],
)
def test_what_is_no_code(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse(text)
    assert caught.value.mend


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"region": "330"}, "region"),
        ({"region": "33010x"}, "region"),
        ({"industry": "1"}, "industry"),
        ({"type_code": "1320"}, "type code"),
        ({"network": "12"}, "network"),
        ({"serial": 1_000_000}, "serial"),
        ({"serial": -1}, "serial"),
    ],
)
def test_what_cannot_be_put_together(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        compose(**({"region": "33", "industry": "00", "network": "1", "serial": 1} | wrong))


def test_the_2016_serial_has_seven_digits() -> None:
    assert str(compose(region="33", industry="00", network=None, serial=9_999_999)) == "33000000001329999999"


FIRST = compose(region="330108", industry="00", network="1", serial=1)


def numbers(*serials: int) -> list[str]:
    return [FIRST.prefix + f"{serial:06}" for serial in serials]


@pytest.mark.parametrize(
    ("used", "free"),
    [
        ([], [1, 2, 3]),
        (numbers(1, 2), [3, 4, 5]),
        (numbers(7), [8, 9, 10]),  # a gap may have been given away elsewhere
        (numbers(999_998), [999_999, 1, 2]),
        (numbers(999_999, 2), [1, 3, 4]),
        (["33010800001327000009", "330108000013210000", "rubbish"], [1, 2, 3]),
    ],
)
def test_the_next_free_number(used: list[str], free: list[int]) -> None:
    assert list(map(str, islice(free_codes(FIRST, used), 3))) == numbers(*free)


def test_no_number_left() -> None:
    free = free_codes(FIRST, numbers(*range(1, 1_000_000)))
    with pytest.raises(ConflictError, match="33010800001321 are given"):
        next(free)


@given(st.text(alphabet="0123456789", min_size=20, max_size=20), st.sampled_from(Rule))
def test_any_20_digits_survive(text: str, rule: Rule) -> None:
    code = parse(text, rule)
    assert str(code) == text
    assert code.rule is rule
    doubts(code)


@given(st.text())
def test_any_text_is_a_code_or_refused(text: str) -> None:
    try:
        assert str(parse(text)) == text
    except InvalidInputError:
        assert not (len(text) == 20 and text.isascii() and text.isdigit())
