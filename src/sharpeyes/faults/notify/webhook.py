"""Signed JSON over HTTP, as Standard Webhooks 1.0 has it (standardwebhooks.com).

``webhook-id`` is the key of the delivery, the same at every attempt; ``webhook-signature`` is ``v1,`` and the
base64 of HMAC-SHA256 over ``id.timestamp.body``. ``Idempotency-Key`` repeats the id for receivers that look
there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import asdict

from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.time import Ms, iso
from sharpeyes.faults.notify.channels import Webhook
from sharpeyes.faults.notify.post import DeliveryError, Guard, check_status, host_of, post
from sharpeyes.faults.notify.text import Message

PREFIX = "whsec_"


def body(message: Message) -> bytes:
    """The JSON of a message: the same bytes at every attempt. Instants are RFC 3339. Pure."""
    notices = []
    for notice in message.notices:
        row = asdict(notice)
        for name in ("started", "at", "due", "ended"):
            row[name] = iso(row[name]) if row[name] is not None else None
        notices.append(row)
    one = len(notices) == 1
    topic = f"fault.{message.notices[0].topic}" if one else "fault.digest" if notices else "test"
    return json.dumps(
        {
            "type": topic,
            "id": message.key,
            "timestamp": iso(message.created),
            "title": message.subject,
            "text": message.text,
            "data": notices[0] if one else {"notices": notices},
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def sign(secret: Secret, key: str, timestamp: int, payload: bytes) -> str:
    """The value of ``webhook-signature``; ``timestamp`` in seconds. Pure."""
    text = secret.reveal()
    raw = text.encode()
    if text.startswith(PREFIX):
        try:
            raw = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise InvalidInputError(
                "the webhook's secret is not base64", mend="Copy it whole, or leave out whsec_"
            ) from None
    digest = hmac.new(raw, f"{key}.{timestamp}.".encode() + payload, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


async def send(channel: Webhook, message: Message, now: Ms, guard: Guard) -> None:
    """Deliver it. Raises DeliveryError."""
    payload, timestamp = body(message), now // 1000
    try:
        signature = sign(channel.secret.read(), message.key, timestamp, payload)
    except InvalidInputError as error:
        raise DeliveryError(error.message, mend=error.mend) from None
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "SharpEyes",
        "Idempotency-Key": message.key,
        "webhook-id": message.key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }
    answer = await post(
        channel.url, payload, headers, guard=guard, timeout_s=channel.timeout_s, ca_file=channel.ca_file
    )
    check_status(answer, host_of(channel.url))
