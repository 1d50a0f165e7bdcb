"""Flap detection: Nagios' weights and thresholds."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharpeyes.domain.health import State
from sharpeyes.faults.flap import LENGTH, START, flapping, push, share, steady

histories = st.text("ofd", max_size=LENGTH)


def test_weights() -> None:
    assert share("of" + "f" * 19) == pytest.approx(0.75 / 20), "the oldest change weighs least"
    assert share("o" * 20 + "f") == pytest.approx(1.25 / 20), "the newest weighs most"
    assert share("of" * 10 + "o") == pytest.approx(1.0), "always changing is all of it"
    assert share("o" * 21) == 0


def test_nagios_own_example() -> None:
    """Seven changes among the 21 states, evenly old and new, are 7/20 = 35 % unweighted."""
    history = "ooofffooofffooofffooo"[:21]
    changes = sum(a != b for a, b in pairwise(history))
    assert share(history) == pytest.approx(changes / 20, abs=0.02)


@pytest.mark.parametrize(
    ("history", "was", "now"),
    [
        ("of" * 10 + "o", False, True),
        ("o" * 20 + "f", False, False),
        ("o" * 20 + "f", True, True),
        ("of" + "f" * 19, True, False),
        ("o" * 21, True, False),
        ("", False, False),
    ],
)
def test_thresholds(history: str, was: bool, now: bool) -> None:
    assert flapping(history, was) is now


def test_what_says_nothing_leaves_no_trace() -> None:
    assert push("of", State.UNKNOWN) == push("of", State.MAINTENANCE) == "of"


@given(histories)
def test_share_is_a_share(history: str) -> None:
    assert 0 <= share(history) <= 1


@given(histories, st.booleans())
def test_steady_time_ends_any_flapping(history: str, was: bool) -> None:
    for _ in range(LENGTH):
        history = push(history, State.ONLINE)
        was = flapping(history, was)
    assert steady(history)
    assert not was


@given(histories)
def test_a_short_history_flaps_no_sooner_than_if_it_had_been_steady_before(history: str) -> None:
    before = (history[:1] or "o") * (LENGTH - len(history))
    assert share(history) == pytest.approx(share(before + history))
    if share(history) >= START:
        assert flapping(history, False)
