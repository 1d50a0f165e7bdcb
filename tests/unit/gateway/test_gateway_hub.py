"""Numbers, cache, ring and fan-out."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from sharpeyes.gateway.hub import Hub, Viewer
from sharpeyes.gateway.sender import Chunk, CongestedError, chunks_of, packets_of


class Wire:
    """A sender that keeps what it is given, or is full."""

    tag = 0

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.tried: list[bytes] = []
        self.full = False
        self.controls: list[bytes] = []
        self.closed = False

    def send(self, chunk: Chunk) -> int:
        assert not self.closed
        packets = [chunk.data[at : at + length] for at, length in chunk.slots]
        self.tried += packets
        if self.full:
            raise CongestedError
        self.packets += packets
        return len(chunk.data)

    def control(self, packet: bytes) -> None:
        self.controls.append(packet)

    def close(self) -> None:
        self.closed = True

    @property
    def numbers(self) -> list[int]:
        return [int.from_bytes(packet[2:4]) for packet in self.packets]

    @property
    def times(self) -> list[int]:
        return [int.from_bytes(packet[4:8]) for packet in self.packets]

    def payloads(self) -> list[bytes]:
        return [packet[12:] for packet in self.packets]


def viewer_of(hub: Hub) -> tuple[Viewer, Wire]:
    wire = Wire()
    return Viewer(hub, wire, 102, gone=lambda: None), wire


def unit(name: str, *, key: bool = False, size: int = 50) -> bytes:
    return (b"\x65\x88" if key else b"\x41\x9a") + name.encode().ljust(size, b".")


def play(hub: Hub, *names: str, size: int = 50) -> None:
    """Pictures by name; those that begin with K are key pictures."""
    for name in names:
        hub.picture([unit(name, key=name.startswith("K"), size=size)], name.startswith("K"), play.time)
        play.time += 3600


play.time = 5000  # type: ignore[attr-defined]


def names(wire: Wire) -> list[str]:
    return [payload[2:].rstrip(b".").decode() for payload in wire.payloads()]


def gapless(numbers: list[int]) -> bool:
    return all((b - a) & 0xFFFF == 1 for a, b in pairwise(numbers))


async def test_a_newcomer_begins_with_the_last_key_picture() -> None:
    hub = Hub()
    play(hub, "p0", "K1", "p2", "K3", "p4", "p5")
    viewer, wire = viewer_of(hub)
    hub.add(viewer)
    play(hub, "p6")
    assert names(wire) == ["K3", "p4", "p5", "p6"]
    assert gapless(wire.numbers)
    assert wire.numbers[0] < 0x8000
    assert [b - a for a, b in pairwise(wire.times)] == [3600] * 3
    hub.remove(viewer)


async def test_without_a_key_picture_it_waits_for_one() -> None:
    hub = Hub()
    play(hub, "p0")
    viewer, wire = viewer_of(hub)
    hub.add(viewer)
    play(hub, "p1", "K2", "p3")
    assert names(wire) == ["K2", "p3"]
    hub.remove(viewer)


async def test_nothing_after_it_was_removed() -> None:
    left = []
    hub = Hub(idle=lambda: left.append(1))
    viewer, wire = viewer_of(hub)
    hub.add(viewer)
    play(hub, "K0", "p1")
    viewer.close()
    play(hub, "p2", "K3")
    viewer.lost(wire.numbers)
    viewer.lost_picture()
    assert names(wire) == ["K0", "p1"]
    assert (wire.closed, left, len(hub)) == (True, [1], 0)


async def test_a_backlog_is_paced_and_overtaken_by_a_key_picture() -> None:
    hub = Hub()
    play(hub, "K0", *(f"p{n}" for n in range(1, 200)))
    viewer, wire = viewer_of(hub)
    hub.add(viewer)
    begun = len(wire.packets)
    assert 0 < begun < 100
    play(hub, "p200")
    assert len(wire.packets) == begun  # in order, behind what it has not had yet
    async with asyncio.timeout(60):
        while len(wire.packets) < 201:
            await asyncio.sleep(0.002)
    play(hub, "p201")
    assert names(wire) == ["K0", *(f"p{n}" for n in range(1, 202))]
    late, other = viewer_of(hub)
    hub.add(late)
    play(hub, "K202", "p203")
    async with asyncio.timeout(60):
        while "p203" not in names(other):
            await asyncio.sleep(0.002)
    assert names(other)[-2:] == ["K202", "p203"]
    assert gapless(other.numbers)
    for each in (viewer, late):
        hub.remove(each)


async def test_a_full_socket_skips_to_the_next_key_picture_and_no_number_has_two_contents() -> None:
    hub = Hub()
    viewer, wire = viewer_of(hub)
    hub.add(viewer)
    play(hub, "K0", "p1", size=4000)
    wire.full = True
    play(hub, "p2", "p3", size=4000)
    wire.full = False
    play(hub, "p4", "K5", "p6", size=4000)
    sent = b"".join(wire.payloads())
    assert b"p3" not in sent
    assert b"p4" not in sent
    assert b"K5" in sent
    contents: dict[bytes, bytes] = {}
    for packet in wire.tried:
        assert contents.setdefault(packet[2:4], packet) == packet
    assert viewer.skipped == 1
    hub.remove(viewer)


async def test_what_was_lost_is_sent_again_as_it_was() -> None:
    hub = Hub()
    viewer, wire = viewer_of(hub)
    hub.add(viewer)
    play(hub, "K0", "p1", "p2", size=3000)
    first = list(wire.packets)
    viewer.lost([wire.numbers[1], wire.numbers[4]])
    assert wire.packets[len(first) :] == [first[1], first[4]]
    viewer.lost([(wire.numbers[-1] + 5) & 0xFFFF, (wire.numbers[0] - 3) & 0xFFFF])
    assert len(wire.packets) == len(first) + 2
    viewer.lost([wire.numbers[0]] * 10_000)
    assert len(wire.packets) <= len(first) + 2 + 256
    hub.remove(viewer)


async def test_what_is_too_old_is_not_sent_again() -> None:
    hub = Hub()
    viewer, wire = viewer_of(hub)
    hub.add(viewer)
    play(hub, "K0", *(f"p{n}" for n in range(1, 1000)))
    count = len(wire.packets)
    viewer.lost([wire.numbers[0], wire.numbers[50]])
    assert len(wire.packets) == count
    viewer.lost([wire.numbers[-800]])
    assert len(wire.packets) == count + 1
    hub.remove(viewer)


async def test_a_viewer_that_cannot_go_on_begins_again_under_new_numbers() -> None:
    hub = Hub()
    viewer, wire = viewer_of(hub)
    hub.add(viewer)
    play(hub, "K0", "p1", "p2")
    viewer.lost_picture()
    viewer.lost_picture()  # at once again: one answer does
    play(hub, "p3")
    assert names(wire) == ["K0", "p1", "p2", "K0", "p1", "p2", "p3"]
    assert gapless(wire.numbers)
    before = list(wire.packets)
    viewer.lost([wire.numbers[1], wire.numbers[4]])  # p1, under its old number and its new one
    assert wire.packets[len(before) :] == [before[1], before[4]]
    hub.remove(viewer)


async def test_the_camera_begins_anew_and_viewers_go_on() -> None:
    hub = Hub()
    viewer, wire = viewer_of(hub)
    hub.add(viewer)
    play(hub, "K0", "p1")
    hub.restarted()
    hub.picture([unit("p9")], False, 3)
    hub.picture([unit("K10", key=True)], True, 3603)
    hub.picture([unit("p11")], False, 7203)
    assert names(wire) == ["K0", "p1", "K10", "p11"]
    assert gapless(wire.numbers)
    steps = [(b - a) & 0xFFFFFFFF for a, b in pairwise(wire.times)]
    assert all(0 < step < 90_000 for step in steps)
    hub.remove(viewer)


async def test_an_endless_group_of_pictures_is_not_kept() -> None:
    hub = Hub()
    play(hub, "K0", *(f"p{n}" for n in range(1100)))
    assert hub.gop == ()
    assert not hub.key_picture.is_set()
    play(hub, "K1")
    assert hub.key_picture.is_set()


async def test_reports_tell_the_stream_s_time() -> None:
    hub = Hub()
    viewer, wire = viewer_of(hub)
    hub.add(viewer)
    play(hub, "K0")
    viewer.report(4_000_000_000.5, 77)
    (report,) = wire.controls
    assert report[1] == 200
    assert int.from_bytes(report[4:8]) == hub.ssrc
    assert int.from_bytes(report[8:12]) == 4_000_000_000
    assert int.from_bytes(report[12:16]) == 1 << 31
    assert int.from_bytes(report[16:20]) == 77
    assert int.from_bytes(report[20:24]) == len(wire.packets)
    hub.remove(viewer)


@pytest.mark.parametrize("tag", [10, 16])
def test_chunks_hold_runs_of_one_size_and_room_for_tags(tag: int) -> None:
    payloads = (b"s" * 40, *[b"a" * 1000] * 100, b"b" * 500, b"c" * 900, b"d" * 900)
    packets = packets_of(payloads, 96, 65_500, 9, 5)
    chunks = chunks_of(packets, tag)
    found = []
    for chunk in chunks:
        sizes = [length + tag for _, length in chunk.slots]
        assert len(chunk.data) == sum(sizes) <= 65_507
        assert len(sizes) <= 64
        assert all(size == sizes[0] for size in sizes[:-1])
        assert sizes[-1] <= sizes[0]
        assert chunk.segment == (sizes[0] if len(sizes) > 1 else 0)
        found += [chunk.data[at : at + length] for at, length in chunk.slots]
    assert found == packets
    assert [packet[1] >> 7 for packet in packets] == [0] * 103 + [1]
    assert int.from_bytes(packets[-1][2:4]) == (65_500 + 103) & 0xFFFF
