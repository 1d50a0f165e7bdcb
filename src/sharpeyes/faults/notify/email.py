"""E-mail over SMTP. The standard library's client blocks, so it runs in a thread, under a deadline."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from sharpeyes.domain.credentials import Secret
from sharpeyes.domain.errors import InvalidInputError
from sharpeyes.faults.notify.channels import Email
from sharpeyes.faults.notify.post import DeliveryError
from sharpeyes.faults.notify.recipients import Language
from sharpeyes.faults.notify.text import Message

KINDS = {
    ".csv": ("text", "csv"),
    ".json": ("application", "json"),
    ".pdf": ("application", "pdf"),
    ".xlsx": ("application", "vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}
"""Of files that are attached."""


def letter(channel: Email, message: Message, language: Language) -> EmailMessage:
    """The mail: the same ``Message-ID`` at every attempt, replies of one ticket in one thread."""
    domain = channel.sender.rpartition("@")[2]
    mail = EmailMessage(policy=SMTP)
    mail["From"] = Address("SharpEyes", addr_spec=channel.sender)
    mail["To"] = Address(addr_spec=channel.to)
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.created // 1000, UTC))
    mail["Message-ID"] = f"<{message.key}@{domain}>"
    mail["References"] = f"<{message.thread}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies, please
    mail["Content-Language"] = language.value
    mail.set_content("\n".join((message.subject, "", *message.lines)) + "\n")
    for file in message.files:
        kind, subtype = KINDS[file.suffix]
        mail.add_attachment(file.read_bytes(), maintype=kind, subtype=subtype, filename=file.name)
    return mail


async def send(channel: Email, message: Message, language: Language) -> None:
    """Hand it to the server. Raises DeliveryError."""
    try:
        password = channel.password.read() if channel.password is not None else None
        mail = await asyncio.to_thread(letter, channel, message, language)
    except OSError as error:
        raise DeliveryError(f"what is to be attached cannot be read: {error.strerror}") from None
    except InvalidInputError as error:
        raise DeliveryError(error.message, mend=error.mend) from None
    handing = _Handing()
    work = asyncio.ensure_future(asyncio.to_thread(_hand_over, channel, mail, password, handing))
    try:
        async with asyncio.timeout(channel.timeout_s):
            await asyncio.shield(work)
    except TimeoutError:
        if not handing.taken:
            raise DeliveryError(f"{channel.host} did not finish within {channel.timeout_s:g} s") from None
    finally:
        if not work.done():
            # Whatever the thread waits for, it waits no longer; what it says then is nobody's concern.
            work.add_done_callback(lambda done: done.cancelled() or done.exception())
            handing.cut()


class _Handing:
    """A mail on its way, as both threads see it."""

    def __init__(self) -> None:
        self.connection: smtplib.SMTP | None = None
        self.taken = False
        """The server has said yes: whatever goes wrong from here on, it must not be sent again."""

    def cut(self) -> None:
        sock = getattr(self.connection, "sock", None)
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _hand_over(channel: Email, mail: EmailMessage, password: Secret | None, handing: _Handing) -> None:
    context = ssl.create_default_context(cafile=channel.ca_file)
    hello = channel.sender.rpartition("@")[2]
    try:
        smtp = _connect(channel, context, hello, handing)
        if channel.security == "starttls":
            smtp.starttls(context=context)
        if channel.username is not None and password is not None:
            smtp.login(channel.username, password.reveal())
        smtp.send_message(mail, channel.sender, [channel.to])
        handing.taken = True
        with suppress(OSError, smtplib.SMTPException):
            smtp.quit()
    except smtplib.SMTPRecipientsRefused as error:
        code, _text = next(iter(error.recipients.values()))
        raise DeliveryError(
            f"{channel.host} does not take mail for this recipient ({code})", permanent=code >= 500
        ) from None
    except smtplib.SMTPAuthenticationError as error:
        raise DeliveryError(
            f"{channel.host} refuses the user name or password ({error.smtp_code})",
            mend="Check the account of the mail server",
        ) from None
    except smtplib.SMTPResponseException as error:
        raise DeliveryError(
            f"{channel.host} answered {error.smtp_code}",
            permanent=isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500,
        ) from None
    except smtplib.SMTPNotSupportedError as error:
        raise DeliveryError(f"{channel.host} does not offer what is configured: {error}") from None
    except ssl.SSLCertVerificationError as error:
        raise DeliveryError(
            f"the certificate of {channel.host} is not trusted: {error.verify_message}",
            mend="Set ca_file to the certificate of its authority",
        ) from None
    except (OSError, smtplib.SMTPException, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise DeliveryError(f"no mail to {channel.host}: {reason}") from None
    finally:
        if handing.connection is not None:
            handing.connection.close()


def _connect(channel: Email, context: ssl.SSLContext, hello: str, handing: _Handing) -> smtplib.SMTP:
    """Connect, and make the connection known before anything is awaited from the server."""

    class Plain(smtplib.SMTP):
        def connect(self, *args: object, **kwargs: object) -> tuple[int, bytes]:
            handing.connection = self
            return super().connect(*args, **kwargs)  # type: ignore[arg-type]

    class Sealed(smtplib.SMTP_SSL):
        def connect(self, *args: object, **kwargs: object) -> tuple[int, bytes]:
            handing.connection = self
            return super().connect(*args, **kwargs)  # type: ignore[arg-type]

    if channel.security == "tls":
        return Sealed(channel.host, channel.port, hello, timeout=channel.timeout_s, context=context)
    return Plain(channel.host, channel.port, hello, timeout=channel.timeout_s)
