"""Pictures out of RTP payloads and back."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from rtp_media import Clip, encode, fragment, interleave, is_parameter_set, rtp
from sharpeyes.gateway.picture import MAX_PAYLOAD, Assembler, payloads_of
from sharpeyes.wire.rtp import RtpReceiver

CLIPS = {codec: encode(codec, frames=12, gop=6) for codec in ("h264", "h265")}


@dataclass
class Collected:
    codec: str
    pictures: list[tuple[list[bytes], bool, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.assembler = Assembler(self.codec, lambda *picture: self.pictures.append(picture))
        self.receiver = RtpReceiver(self.assembler, (96,))

    def feed(self, packets: list[bytes], step: int = 5000) -> list[tuple[list[bytes], bool, int]]:
        data = interleave(packets)
        at = 0
        while at < len(data):
            eaten = self.receiver.frames(data[: at + step], at)
            step = step * 2 if eaten == at else step
            at = eaten
        return self.pictures


def slices(codec: str, units: list[bytes]) -> list[bytes]:
    """Without what the assembler leaves out: delimiters and supplementary information."""
    left_out = (6, 9) if codec == "h264" else (35, 39, 40)
    kind = (lambda unit: unit[0] & 31) if codec == "h264" else (lambda unit: unit[0] >> 1 & 63)
    return [unit for unit in units if kind(unit) not in left_out]


@pytest.mark.parametrize("codec", CLIPS)
def test_pictures_come_out_as_they_went_in(codec: str) -> None:
    clip = CLIPS[codec]
    found = Collected(codec).feed([*clip.packets(), rtp(b"\x01end", 9999, 1 << 20)])
    assert [time for _, _, time in found] == clip.times
    assert [units for units, _, _ in found] == [slices(codec, units) for units in clip.pictures]
    assert [at for at, (_, key, _) in enumerate(found) if key] == [0, 6]


@pytest.mark.parametrize("codec", CLIPS)
def test_parameter_sets_of_the_description_go_before_each_key_picture(codec: str) -> None:
    clip = CLIPS[codec]
    collected = Collected(codec)
    import base64

    collected.assembler.parameter_sets(base64.b64encode(unit).decode() for unit in clip.parameter_sets)
    assert collected.assembler.facts is not None
    assert collected.assembler.facts.geometry is not None
    assert collected.assembler.facts.geometry.width == clip.width
    for units, key, _ in collected.feed(clip.packets(in_band=False)):
        sets = [unit for unit in units if is_parameter_set(codec, unit)]
        assert sets == (clip.parameter_sets if key else [])


@pytest.mark.parametrize("codec", CLIPS)
def test_a_picture_with_a_hole_is_left_out_and_no_other(codec: str) -> None:
    clip = CLIPS[codec]
    packets = clip.packets()
    for lost in range(len(packets)):
        collected = Collected(codec)
        found = collected.feed(packets[:lost] + packets[lost + 1 :])
        whole = {time: slices(codec, units) for units, time in zip(clip.pictures, clip.times, strict=True)}
        gone = int.from_bytes(packets[lost][4:8])
        for units, _, time in found:
            if time != gone:
                assert units == whole[time]
        # Of the picture itself either nothing is left, or all but a unit that it can do without.
        assert len(found) >= len(clip.pictures) - 2


@pytest.mark.parametrize("codec", CLIPS)
@pytest.mark.parametrize("limit", [100, 700, MAX_PAYLOAD])
def test_payloads_fit_and_give_the_same_units(codec: str, limit: int) -> None:
    for number, units in enumerate(CLIPS[codec].pictures):
        units = slices(codec, units)
        payloads = payloads_of(codec, units, limit)
        assert max(map(len, payloads)) <= limit
        packets = [
            rtp(payload, at, number * 3600, marker=at == len(payloads) - 1)
            for at, payload in enumerate(payloads)
        ]
        ((again, _, _),) = Collected(codec).feed(packets)
        assert again == units


def test_fragments_are_of_one_size_for_the_kernel_to_cut() -> None:
    unit = bytes((0x65, 0x88)) + random.Random(1).randbytes(76_000)
    sizes = [len(payload) for payload in payloads_of("h264", [unit])]
    assert len(set(sizes[:-1])) == 1
    assert sizes[-1] <= sizes[0]


def test_b_frames_are_noticed() -> None:
    clip = encode("h264", frames=12, gop=12, options={"bf": "2", "preset": "fast"})
    assert sorted(clip.times) != clip.times
    collected = Collected("h264")
    collected.feed(clip.packets())
    facts = collected.assembler.facts
    assert facts is not None
    assert facts.b_frames
    plain = Collected("h264")
    plain.feed(CLIPS["h264"].packets())
    assert plain.assembler.facts is not None
    assert not plain.assembler.facts.b_frames


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_whatever_comes_from_the_network_does_not_raise_and_stays_small(codec: str) -> None:
    chance = random.Random(5)
    real = Clip.packets(CLIPS[codec])
    collected = Collected(codec)
    for number in range(4000):
        payload = bytearray(chance.choice(real)[12:])
        for _ in range(chance.randrange(4)):
            payload[chance.randrange(len(payload))] = chance.randrange(256)
        cut = bytes(payload[: chance.choice((len(payload), chance.randrange(1, 40)))])
        collected.receiver.datagram(
            rtp(cut, number + chance.choice((0, 0, 0, 3)), number // 7 * 3600, marker=chance.random() < 0.1)
        )
    for units, _, _ in collected.pictures:
        assert payloads_of(codec, units)


def test_an_endless_picture_is_given_up() -> None:
    collected = Collected("h264")
    part = bytes(1400)
    collected.receiver.datagram(rtp(b"\x7c\x85" + part, 0, 1))
    for number in range(1, 8000):
        collected.receiver.datagram(rtp(b"\x7c\x05" + part, number, 1))
    assert collected.assembler.fragments is None or len(collected.assembler.fragments) < 7000
    collected.feed([rtp(payload, 9000, 5, marker=True) for payload in fragment("h264", b"\x65\x88\x80\x00")])
    assert collected.pictures[-1][0] == [b"\x65\x88\x80\x00"]
