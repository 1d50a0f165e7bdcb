"""Group robots of WeCom (developer.work.weixin.qq.com, document 91770) and DingTalk (open.dingtalk.com,
custom robots): Markdown in JSON, HTTP 200 always, the outcome in ``errcode``.

Neither knows idempotency keys; the number of the ticket in the text tells a reader a repetition.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import quote_plus

from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.domain.time import Ms
from sharpeyes.faults.notify.channels import DingTalk, WeCom
from sharpeyes.faults.notify.post import DeliveryError, Guard, check_status, host_of, post
from sharpeyes.faults.notify.text import Message

WECOM_BYTES = 4096
"""Of the Markdown, in UTF-8."""
DINGTALK_BYTES = 16_000
"""Of the text; the limit is 20,000 for the whole message."""

PAUSE_S = {45009: 60.0, 130101: 600.0}
"""20 messages a minute are allowed; then WeCom refuses for one, DingTalk for ten minutes, by these codes."""


def wecom_body(message: Message) -> bytes:
    """Pure; cut at a line, within the limit."""
    text = _cut([f"**{message.subject}**", *(f"> {line}" for line in message.lines)], WECOM_BYTES)
    return _json({"msgtype": "markdown", "markdown": {"content": text}})


def dingtalk_body(message: Message) -> bytes:
    """Pure; an empty line between two lines, or DingTalk joins them."""
    text = _cut([f"### {message.subject}", *(f"\n{line}" for line in message.lines)], DINGTALK_BYTES)
    return _json({"msgtype": "markdown", "markdown": {"title": message.subject, "text": text}})


def dingtalk_url(url: str, sign: Secret | None, now: Ms) -> str:
    """The URL with ``timestamp`` (ms) and ``sign``: base64 of HMAC-SHA256, keyed with the secret, over the
    timestamp, a line feed and the secret. Pure."""
    if sign is None:
        return url
    key = sign.reveal().encode()
    digest = hmac.new(key, f"{now}\n".encode() + key, hashlib.sha256).digest()
    joint = "&" if "?" in url else "?"
    return f"{url}{joint}timestamp={now}&sign={quote_plus(base64.b64encode(digest))}"


async def send(channel: WeCom | DingTalk, message: Message, now: Ms, guard: Guard) -> None:
    """Deliver it. Raises DeliveryError."""
    try:
        url = channel.url.read().reveal()
        if isinstance(channel, DingTalk):
            secret = channel.sign.read() if channel.sign is not None else None
            url, payload = dingtalk_url(url, secret, now), dingtalk_body(message)
        else:
            payload = wecom_body(message)
    except InvalidInputError as error:
        raise DeliveryError(error.message, mend=error.mend) from None
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "SharpEyes",
        "Idempotency-Key": message.key,
    }
    answer = await post(url, payload, headers, guard=guard, timeout_s=channel.timeout_s)
    host = host_of(url)
    check_status(answer, host)
    try:
        outcome = json.loads(answer.body)
        code = outcome["errcode"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DeliveryError(f"{host} answered something that is not a robot's answer") from None
    if code != 0:
        known = code if isinstance(code, int) else "unknown"
        raise DeliveryError(
            f"{host} refused the message (errcode {known})",
            retry_after_s=PAUSE_S.get(code) if isinstance(code, int) else None,
            mend="Check the robot's address, its key and its security settings",
        )


def _cut(lines: list[str], limit: int) -> str:
    """As many whole lines as fit into ``limit`` bytes, at least a piece of the first."""
    kept: list[str] = []
    left = limit
    for line in lines:
        size = len(line.encode()) + 1
        if size + 4 > left:
            kept.append("…")
            break
        kept.append(line)
        left -= size
    return "\n".join(kept)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
