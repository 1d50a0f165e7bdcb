"""Places among the looks at pictures: how many there are, and who is next."""

from __future__ import annotations

from sharpeyes.health.quality import Places


def test_half_of_all_are_for_those_whose_keyframe_came_late() -> None:
    places = Places[str](4)
    assert [places.take(who, 0) for who in "abc"] == [True, True, False]
    assert places.retake("d", 0)
    assert places.retake("e", 0)
    assert not places.retake("f", 0)
    assert (places.taken, places.waiting) == (4, 2)


def test_who_has_waited_longest_is_next_when_there_is_room_to_begin() -> None:
    places = Places[str](4)
    for who in "abcd":
        places.take(who, 0)
    assert places.retake("x", 0)
    assert places.give() is None, "as many are at it as may begin"
    assert [places.give(), places.give()] == ["c", "d"]


def test_who_comes_last_lets_all_others_go_ahead() -> None:
    places = Places[str](4)
    for who in "abc":
        places.take(who, 0)
    assert not places.take("second", 0, last=True)
    assert not places.take("d", 0)
    assert places.give() == "c"
    assert not places.take("other second", 0, last=True), "there is room, but it is for who waits"
    assert places.take("c", 0)
    assert [places.give(), places.give()] == ["d", "second"]


def test_who_leaves_waits_no_more() -> None:
    places = Places[str](2)
    places.take("a", 0)
    places.take("b", 0)
    places.take("c", 0, last=True)
    places.leave("b")
    places.leave("c")
    assert places.waiting == 0
    assert places.give() is None


def test_how_long_who_waits_longest_has_waited() -> None:
    places = Places[str](2)
    assert places.waited_s(5) == 0
    assert places.take("a", 5)
    assert places.waited_s(9) == 0
    assert not places.take("second", 10, last=True)
    assert not places.take("b", 12)
    assert not places.take("second", 20, last=True), "asks again, and has waited since it asked first"
    assert places.waited_s(30) == 20
    places.leave("second")
    assert places.waited_s(30) == 18
    assert places.give() == "b"
    assert places.waited_s(30) == 0


def test_who_was_called_and_finds_the_place_taken_is_the_next_again() -> None:
    places = Places[str](2)
    assert places.take("a", 0)
    assert [places.take(who, at) for at, who in enumerate("bcd", 1)] == [False, False, False]
    assert places.give() == "b"
    assert places.take("newcomer", 10), "it was at hand when the place was free"
    assert not places.take("b", 11)
    assert places.waited_s(21) == 20, "since it asked first"
    assert places.give() == "b"
    assert places.take("b", 22)
    assert [places.give(), places.waiting] == ["c", 1]


def test_who_was_called_and_left_comes_back_as_a_newcomer() -> None:
    places = Places[str](2)
    assert places.take("a", 0)
    assert not places.take("b", 1)
    assert places.give() == "b"
    places.leave("b")
    assert places.take("c", 2)
    assert not places.take("d", 3)
    assert not places.take("b", 4)
    assert places.waited_s(5) == 2
    assert places.give() == "d"
