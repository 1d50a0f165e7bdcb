"""Places among the looks at pictures: how many there are, and who is next."""

from __future__ import annotations

from sharpeyes.health.quality import Places


def test_half_of_all_are_for_those_whose_keyframe_came_late() -> None:
    places = Places[str](4)
    assert [places.take(who) for who in "abc"] == [True, True, False]
    assert places.retake("d")
    assert places.retake("e")
    assert not places.retake("f")
    assert (places.taken, places.waiting) == (4, 2)


def test_who_has_waited_longest_is_next_when_there_is_room_to_begin() -> None:
    places = Places[str](4)
    for who in "abcd":
        places.take(who)
    assert places.retake("x")
    assert places.give() is None, "as many are at it as may begin"
    assert [places.give(), places.give()] == ["c", "d"]


def test_who_comes_last_lets_all_others_go_ahead() -> None:
    places = Places[str](4)
    for who in "abc":
        places.take(who)
    assert not places.take("second", last=True)
    assert not places.take("d")
    assert places.give() == "c"
    assert not places.take("other second", last=True), "there is room, but it is for who waits"
    assert places.take("c")
    assert [places.give(), places.give()] == ["d", "second"]


def test_who_leaves_waits_no_more() -> None:
    places = Places[str](2)
    places.take("a")
    places.take("b")
    places.take("c", last=True)
    places.leave("b")
    places.leave("c")
    assert places.waiting == 0
    assert places.give() is None
