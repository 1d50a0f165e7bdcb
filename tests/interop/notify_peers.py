"""Receivers of messages, on real sockets: an HTTP server and an SMTP server that do as they are told."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Self


@dataclass
class Received:
    """A request as it came in."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Server:
    def __init__(self) -> None:
        self.port = 0
        self._connections: set[asyncio.StreamWriter] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()
        await self._server.wait_closed()
        await asyncio.sleep(0)


class HttpServer(_Server):
    """Answers every POST with what ``answers`` holds next, else with ``answer``.

    An answer is the bytes to send; empty bytes: none at all, the connection stays open until the end.
    """

    def __init__(self, answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n") -> None:
        super().__init__()
        self.answer = answer
        self.answers: list[bytes] = []
        self.received: list[Received] = []
        self.arrived = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=sesame"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head[:-4].split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.received.append(Received(first.split(" ")[1], headers, body))
        self.arrived.set()
        answer = self.answers.pop(0) if self.answers else self.answer
        if not answer:
            await reader.read()  # until the other side hangs up
        writer.write(answer)
        await writer.drain()


@dataclass
class Mail:
    """A message as it was handed over."""

    sender: str
    to: str
    user: str | None
    encrypted: bool
    content: EmailMessage = field(repr=False)


class SmtpServer(_Server):
    """Enough of RFC 5321 for one client: EHLO, STARTTLS, AUTH PLAIN and LOGIN, MAIL, RCPT, DATA, QUIT.

    ``replies`` overrides the answer to a command by its first word, ``"."`` for the end of DATA; an empty
    one means silence.
    """

    def __init__(self, *, starttls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._starttls = starttls
        self.replies: dict[str, list[str]] = {}
        self.mails: list[Mail] = []
        self.arrived = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        encrypted, user, sender, to = self.tls is not None, None, "", ""

        async def say(word: str, line: str) -> None:
            if self.replies.get(word):
                line = self.replies[word].pop(0)
                if not line:
                    await reader.read()
                    raise ConnectionResetError
            writer.write(f"{line}\r\n".encode())
            await writer.drain()

        await say("banner", "220 peer")
        while line := (await reader.readline()).decode().strip():
            word = line.split(" ")[0].upper()
            match word:
                case "EHLO":
                    offers = ["peer", "AUTH PLAIN LOGIN"]
                    offers += ["STARTTLS"] if self._starttls and not encrypted else []
                    await say(word, "\r\n".join([*(f"250-{offer}" for offer in offers), "250 8BITMIME"]))
                case "STARTTLS":
                    await say(word, "220 go")
                    assert self._starttls is not None
                    await writer.start_tls(self._starttls)
                    encrypted = True
                case "AUTH":
                    user = base64.b64decode(line.split(" ")[2]).decode().split("\0")[1]
                    await say(word, "235 welcome")
                case "MAIL":
                    sender = line
                    await say(word, "250 ok")
                case "RCPT":
                    to = line
                    await say(word, "250 ok")
                case "DATA":
                    await say(word, "354 go on")
                    content = await reader.readuntil(b"\r\n.\r\n")
                    mail = message_from_bytes(content[:-3], policy=default)
                    assert isinstance(mail, EmailMessage)
                    self.mails.append(Mail(sender, to, user, encrypted, mail))
                    self.arrived.set()
                    await say(".", "250 taken")
                case "QUIT":
                    await say(word, "221 bye")
                    return
                case _:
                    await say(word, "250 ok")
