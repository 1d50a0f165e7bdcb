"""Whatever a caller sends as an offer or a candidate is answered or refused; nothing stays open."""

from __future__ import annotations

import asyncio
import random

from gateway_town import Viewer
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.gateway.hub import Hub
from sharpeyes.gateway.peer import Peer
from sharpeyes.gateway.picture import StreamFacts
from sharpeyes.gateway.preflight import Viewable, preflight, video_offered
from sharpeyes.gateway.settings import IceSettings

LOOPBACK = IceSettings(addresses=("127.0.0.1",))


def mutated(offer: str, chance: random.Random) -> str:
    lines = offer.splitlines()
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(lines))
        match chance.randrange(5):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, chance.choice(lines))
            case 2:
                lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
            case 3:
                place = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + chance.choice("\x00é 9:=/;-m") + lines[at][place:]
            case _:
                lines[at] = lines[at].replace(chance.choice("0123456789"), str(chance.randrange(10**9)))
        if not lines:
            break
    return "\r\n".join(lines) + "\r\n"


async def test_mutated_offers() -> None:
    chance = random.Random(11)
    viewer = Viewer(sound=True)
    offer = await viewer.offer()
    await viewer.close()
    before = len(asyncio.all_tasks())
    answered = refused = 0
    for _ in range(250):
        text = mutated(offer, chance)
        chosen = preflight(StreamFacts(codec="h264"), video_offered(text))
        if not isinstance(chosen, Viewable):
            continue
        hub = Hub()
        peer = Peer(LOOPBACK, gso=True, connected=lambda: None, lost=lambda: None)
        try:
            await peer.answer(text, chosen.offered, hub)
            answered += 1
        except InvalidInputError:
            refused += 1
        finally:
            await peer.close()
    assert answered
    assert refused
    await asyncio.sleep(0.1)
    assert len(asyncio.all_tasks()) == before


async def test_junk_for_candidates() -> None:
    viewer = Viewer()
    text = await viewer.offer()
    chosen = preflight(StreamFacts(codec="h264"), video_offered(text))
    assert isinstance(chosen, Viewable)
    peer = Peer(LOOPBACK, gso=True, connected=lambda: None, lost=lambda: None)
    await peer.answer(text, chosen.offered, Hub())
    chance = random.Random(3)
    good = "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"
    for _ in range(60):
        words = good.split()
        words[chance.randrange(len(words))] = chance.choice(
            ("", "x", "-1", "99999999999", "\x00", "tcp", "::1")
        )
        try:
            await peer.candidate(" ".join(words), chance.choice((None, "0", "7", "\x00")))
        except InvalidInputError:
            continue
    await peer.close()
    await viewer.close()
