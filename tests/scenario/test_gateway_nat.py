"""A gateway behind a NAT: viewers reach it by the announced address alone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from gateway_town import HOME, LOOPBACK, LiveCamera, Viewer, gateway, town
from rtp_media import encode
from sharpeyes.app import gateway_settings
from sharpeyes.config import Settings

CLIP = encode("h264", width=320, height=180, frames=50, gop=25)
INSIDE, OUTSIDE = "127.0.0.1", "127.0.90.9"


class Forward(asyncio.DatagramProtocol):
    """One forwarded port: each client outside gets a socket inside, and answers go back by it."""

    def __init__(self, inside: tuple[str, int]) -> None:
        self._inside = inside
        self._mapped: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        self._waiting: dict[tuple[str, int], list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._outside = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if (mapped := self._mapped.get(address)) is not None:
            mapped.sendto(data)
            return
        self._waiting.setdefault(address, []).append(data)
        if len(self._waiting[address]) == 1:
            task = asyncio.create_task(self._map(address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _map(self, address: tuple[str, int]) -> None:
        outside = self._outside

        class Back(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
                outside.sendto(data, address)

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            Back, remote_addr=self._inside, local_addr=("127.0.90.1", 0)
        )
        self._mapped[address] = transport
        for data in self._waiting.pop(address):
            transport.sendto(data)

    def close(self) -> None:
        for transport in (self._outside, *self._mapped.values()):
            transport.close()


@contextlib.asynccontextmanager
async def nat(ports: range) -> AsyncIterator[None]:
    """Forwards these ports of the address outside to the one inside."""
    loop = asyncio.get_running_loop()
    made = [
        (
            await loop.create_datagram_endpoint(
                lambda p=port: Forward((INSIDE, p)), local_addr=(OUTSIDE, port)
            )
        )[1]
        for port in ports
    ]
    try:
        yield
    finally:
        for forward in made:
            forward.close()
        await asyncio.sleep(0)


def free_range(count: int) -> range:
    """Ports that nobody uses, one after the other."""
    for first in range(43_000, 60_000, count):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    for address in (INSIDE, OUTSIDE):
                        one = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                        one.bind((address, port))
            except OSError:
                continue
            return range(first, first + count)
    raise AssertionError("no free ports")


async def test_the_announced_address_and_its_ports_are_all_it_takes(tmp_path: Path) -> None:
    ports = free_range(4)
    settings = gateway_settings(
        Settings.read(
            {
                "SHARPEYES_VIEW_ADDRESSES": INSIDE,
                "SHARPEYES_VIEW_ANNOUNCE": OUTSIDE,
                "SHARPEYES_VIEW_PORTS": f"{ports[0]}-{ports[-1]}",
            }
        )
    )
    camera = LiveCamera(CLIP)
    await camera.start()
    viewer = Viewer()
    try:
        async with (
            nat(ports),
            town(tmp_path, {"park": camera.url}) as city,
            gateway(city, replace(settings, grace_s=LOOPBACK.grace_s)) as running,
        ):
            grant = await city.grant("park")
            offer = await viewer.offer()
            viewer.firewall(lambda address: address[0] == OUTSIDE)
            opened = await running.whep("park", city.ticket("park", grant.id), offer, client=HOME)
            told = [line.split()[4:6] for line in opened.answer.splitlines() if "candidate:" in line]
            assert [(host, int(port) in ports) for host, port in told] == [(OUTSIDE, True)]
            assert INSIDE not in opened.answer.replace(f"o=- 0 0 IN IP4 {INSIDE}", "")
            await viewer.accept(opened.answer)
            await viewer.see(10)
            assert {host for host, _ in viewer.arrived} == {OUTSIDE}
    finally:
        await viewer.close()
        await camera.kill()
