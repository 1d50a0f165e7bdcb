"""Empties the outbox: one message at a time for each recipient, until it is taken or given up.

At least once: a crash between the receiver's yes and our note of it makes the same message go again, with the
same key. A receiver that fails is left alone for a while, and said so once in the log; so is its return.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import random
from uuid import uuid4

from sharpeyes.domain.errors import InvalidInputError, LimitError, NotFoundError
from sharpeyes.domain.faults import Delivery, DeliveryState
from sharpeyes.domain.time import DAY_MS, Ms
from sharpeyes.faults.notify import email, robots, webhook
from sharpeyes.faults.notify.channels import DingTalk, Email, Webhook, WeCom
from sharpeyes.faults.notify.post import DeliveryError, Guard
from sharpeyes.faults.notify.recipients import Recipient, by_id
from sharpeyes.faults.notify.text import Message, compose, trial
from sharpeyes.store import outbox
from sharpeyes.store.database import Database

log = logging.getLogger(__name__)


_UNSENT = (DeliveryState.PENDING, DeliveryState.DEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierPolicy:
    """How stubborn, how fast. Times in ms."""

    first_ms: int = 10_000
    """Pause after the first failure; it doubles with each further one ..."""
    longest_ms: int = 1_800_000
    """... up to this."""
    attempts: int = 15
    """Then it is dead, until somebody tries it again: after about four hours."""
    lease_ms: int = 120_000
    """Longer than any channel's time limit: what has not ended by then was cut off by a crash."""
    storm: int = 10
    """So many messages waiting for one recipient become one."""
    largest: int = 200
    """Faults in one message."""
    pace_ms: int = 3_500
    """Between two messages to a robot: 20 a minute are allowed."""
    idle_s: float = 5.0
    """The longest sleep between two looks into the outbox."""
    count_ms: int = 10_000
    """Between two counts of what waits."""
    forget_ms: int = 3_600_000
    """Between two looks for what can be forgotten ..."""
    keep_ms: int = 180 * DAY_MS
    """... which is what was sent so long ago: records are kept for six months."""

    def pause(self, failures: int, draw: float) -> int:
        """After so many failures (1 the first): exponential, at most ``longest_ms``, between half and the
        whole of it by ``draw`` (0..1), so that receivers are not met by everybody at once."""
        whole: int = min(self.longest_ms, self.first_ms * 2 ** min(failures - 1, 30))
        return round(whole * (0.5 + draw / 2))


LONGEST_REST_MS = 60_000
"""The longest that all messages to a recipient wait for one that failed."""
CHANNELS = {Email: "email", Webhook: "webhook", WeCom: "wecom", DingTalk: "dingtalk"}
GONE = "gone"
"""The channel of recipients that are no longer configured."""


@dataclass(slots=True)
class Post:
    """How messages fare, by channel; for metrics."""

    sent: Counter[str] = field(default_factory=Counter)
    """Messages taken by their receivers since the start."""
    failed: Counter[str] = field(default_factory=Counter)
    """Attempts that failed since the start."""
    waiting: Counter[str] = field(default_factory=Counter)
    """Deliveries in the outbox, when they were last counted."""
    dead: Counter[str] = field(default_factory=Counter)
    """Deliveries that were given up."""
    oldest: dict[str, Ms] = field(default_factory=dict)
    """When the oldest that waits was put in."""
    counted: Ms | None = None


class Courier:
    """Delivers what is in the outbox of ``database`` to ``recipients``."""

    def __init__(
        self,
        database: Database,
        recipients: Iterable[Recipient],
        *,
        clock: Callable[[], Ms],
        guard: Guard | None = None,
        policy: CourierPolicy | None = None,
        draw: Callable[[], float] = random,
    ) -> None:
        self._database = database
        self._recipients = by_id(recipients)
        self._clock = clock
        self._guard = guard or Guard()
        self._policy = policy or CourierPolicy()
        self._draw = draw
        self._resting: dict[str, Ms] = {}
        """Recipient -> not before this instant."""
        self._failing: set[str] = set()
        self._testing: set[str] = set()
        self._woken = asyncio.Event()
        self.post = Post()
        self._forgotten: Ms | None = None

    def wake(self) -> None:
        """Something was put into the outbox."""
        self._woken.set()

    def take(self, recipients: Iterable[Recipient]) -> None:
        """Deliver to these from now on. One that is changed is not left alone for what it did before."""
        before, self._recipients = self._recipients, by_id(recipients)
        for key, recipient in before.items():
            if self._recipients.get(key) != recipient:
                self._resting.pop(key, None)
                self._failing.discard(key)
        self._woken.set()

    async def test(self, key: str) -> None:
        """Send a message that only tests. NotFoundError, LimitError while one is on its way, or the
        DeliveryError that says what is wrong."""
        recipient = self._recipients.get(key)
        if recipient is None:
            raise NotFoundError(f"there is no recipient {key}")
        if key in self._testing:
            raise LimitError("a test to this recipient is on its way", mend="Wait for its result")
        self._testing.add(key)
        try:
            name = recipient.name or recipient.id
            message = trial(str(uuid4()), self._clock(), name, recipient.language, recipient.timezone)
            await self._hand(recipient, message)
        finally:
            self._testing.discard(key)

    def mailboxes(self) -> list[Recipient]:
        """Who can be sent files: those that are on and get e-mail."""
        found = self._recipients.values()
        return [one for one in found if one.enabled and isinstance(one.channel, Email)]

    async def mail(self, key: str, subject: str, files: Sequence[Path]) -> None:
        """Send files now, at once and once. NotFoundError for an unknown recipient, InvalidInputError for one
        that has no e-mail; DeliveryError if it was not taken: whoever asks tries again."""
        recipient = self._recipients.get(key)
        if recipient is None or not recipient.enabled:
            raise NotFoundError(
                f"there is no recipient {key}, or it is off", mend="See SHARPEYES_REPORT_MAIL"
            )
        if not isinstance(recipient.channel, Email):
            raise InvalidInputError(
                f"{key} gets no e-mail, so no files", mend="Name one with an e-mail channel"
            )
        name = str(uuid4())
        message = Message(
            key=name,
            subject=subject,
            lines=tuple(file.name for file in files),
            created=self._clock(),
            notices=(),
            thread=f"report-{name}",
            files=tuple(files),
        )
        await self._hand(recipient, message)

    async def run(self) -> None:
        """Until cancelled. Failures of the store are said, once, and outlived."""
        broken = False
        while True:
            self._woken.clear()
            try:
                tried = await self.deliver_due()
                await self.look_after()
            except Exception:  # whatever it is, notifications must go on
                if not broken:
                    log.exception("the outbox cannot be emptied")
                broken = True
            else:
                if broken:
                    log.info("the outbox is emptied again")
                broken = False
                if tried:
                    continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._policy.idle_s):
                    await self._woken.wait()

    async def look_after(self) -> None:
        """Count what waits, now and then; forget what was sent long ago about tickets that have ended."""
        now, policy = self._clock(), self._policy
        if self.post.counted is None or not 0 <= now - self.post.counted < policy.count_ms:
            counts = await self._database.aread(partial(outbox.count, states=_UNSENT))
            self.post.waiting, self.post.dead, self.post.oldest = Counter(), Counter(), {}
            for one in counts:
                channel = self._channel(one.recipient)
                if one.state is DeliveryState.DEAD:
                    self.post.dead[channel] += one.number
                    continue
                self.post.waiting[channel] += one.number
                self.post.oldest[channel] = min(one.oldest, self.post.oldest.get(channel, one.oldest))
            self.post.counted = now
        if self._forgotten is None or not 0 <= now - self._forgotten < policy.forget_ms:
            before = Ms(now - policy.keep_ms)
            while await self._database.awrite(partial(outbox.forget_sent, before=before)):
                pass
            self._forgotten = now

    @property
    def channels(self) -> list[str]:
        """Those that somebody is told over."""
        return sorted({CHANNELS[type(one.channel)] for one in self._recipients.values()})

    def _channel(self, recipient: str) -> str:
        known = self._recipients.get(recipient)
        return GONE if known is None else CHANNELS[type(known.channel)]

    async def deliver_due(self) -> int:
        """One round: at most one message to each recipient, all at the same time; how many were tried."""
        now, policy = self._clock(), self._policy
        # whoever rests for longer was told so by a clock that has been set back since
        resting = [one for one, until in self._resting.items() if 0 < until - now <= LONGEST_REST_MS]
        messages = await self._database.awrite(
            lambda connection: outbox.claim(
                connection,
                now,
                lease_ms=policy.lease_ms,
                storm=policy.storm,
                largest=policy.largest,
                skip=resting,
            )
        )
        await asyncio.gather(*(self._deliver(message) for message in messages))
        return len(messages)

    async def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        first = deliveries[0]
        batch = first.batch or first.key
        recipient = self._recipients.get(first.recipient)
        try:
            if recipient is None:
                raise DeliveryError("this recipient is no longer configured", permanent=True)
            if not recipient.enabled:
                raise DeliveryError("this recipient is switched off", permanent=True)
            await self._send(recipient, batch, deliveries)
        except DeliveryError as error:
            await self._failed(first, batch, error)
        except asyncio.CancelledError:
            await self._database.awrite(lambda connection: outbox.release(connection, batch))
            raise
        except Exception as error:
            log.exception("a message to %s failed in an unexpected way", first.recipient)
            await self._failed(first, batch, DeliveryError(f"unexpected: {type(error).__name__}"))
        else:
            at = self._clock()
            done = self._database.awrite(lambda connection: outbox.settle_sent(connection, batch, at=at))
            await asyncio.shield(done)  # whoever stops us now: it was sent
            self.post.sent[self._channel(first.recipient)] += 1
            if isinstance(recipient.channel, WeCom | DingTalk):
                self._resting[first.recipient] = Ms(at + self._policy.pace_ms)
            if first.recipient in self._failing:
                self._failing.discard(first.recipient)
                log.info("messages to %s are taken again", first.recipient)

    async def _send(self, recipient: Recipient, batch: str, deliveries: Sequence[Delivery]) -> None:
        message = compose(
            batch,
            deliveries[0].created,
            [delivery.notice for delivery in deliveries],
            recipient.language,
            recipient.timezone,
        )
        await self._hand(recipient, message)

    async def _hand(self, recipient: Recipient, message: Message) -> None:
        channel = recipient.channel
        match channel:
            case Email():
                await email.send(channel, message, recipient.language)
            case Webhook():
                await webhook.send(channel, message, self._clock(), self._guard)
            case WeCom() | DingTalk():
                await robots.send(channel, message, self._clock(), self._guard)

    async def _failed(self, first: Delivery, batch: str, error: DeliveryError) -> None:
        now, failures = self._clock(), first.attempts + 1
        self.post.failed[self._channel(first.recipient)] += 1
        pause = self._policy.pause(failures, self._draw())
        if error.retry_after_s is not None:
            pause = max(pause, min(round(error.retry_after_s * 1000), self._policy.longest_ms))
        dead = error.permanent or failures >= self._policy.attempts
        again = None if dead else Ms(now + pause)
        reason = str(error)
        await self._database.awrite(
            lambda connection: outbox.settle_failed(connection, batch, reason, again=again)
        )
        if dead:
            log.error("a message to %s is given up: %s", first.recipient, reason)
        else:
            self._resting[first.recipient] = Ms(now + min(pause, LONGEST_REST_MS))
            if first.recipient not in self._failing:
                self._failing.add(first.recipient)
                log.warning("messages to %s fail: %s", first.recipient, reason)
