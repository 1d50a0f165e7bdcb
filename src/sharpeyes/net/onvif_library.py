"""The one door to onvif-zeep-async: WSDL documents as codecs, and the token signed with a device's clock.

Nothing here talks to a network. The library's WSDL for Media1 and the device service are used as they come;
Media2 is described by a document of our own (``wsdl/media2.wsdl``), since the library has none and Media1 has
no word for H.265. Events are written and read by hand (:mod:`sharpeyes.wire.onvif_events`); only their token
is the library's.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

from sharpeyes.domain.credentials import Credentials
from sharpeyes.wire import onvif_events, xml


class Service(Enum):
    """The services that are talked to: namespace, binding, and where the document is."""

    DEVICE = "http://www.onvif.org/ver10/device/wsdl", "DeviceBinding", "devicemgmt.wsdl"
    MEDIA = "http://www.onvif.org/ver10/media/wsdl", "MediaBinding", "media.wsdl"
    MEDIA2 = "http://www.onvif.org/ver20/media/wsdl", "Media2Binding", "media2.wsdl"
    EVENTS = onvif_events.EVENTS, "", ""

    @property
    def namespace(self) -> str:
        return self.value[0]


class Codec:
    """The library's reading of one WSDL document: arguments to request, reply to object. Does no I/O."""

    def __init__(self, service: Service) -> None:
        library = _library()
        namespace, binding, file = service.value
        own = Path(__file__).parent / "wsdl" / file
        path = str(own if own.exists() else library.wsdl / file)
        document = library.document(path)
        self._client = library.client(document)
        self._binding = document.bindings[f"{{{namespace}}}{binding}"]
        self._service = self._client.create_service(f"{{{namespace}}}{binding}", "http://device.invalid/")
        self._namespace = namespace

    def action(self, operation: str) -> str:
        """The action URI of an operation."""
        return f"{self._namespace}/{operation}"

    def request(
        self, operation: str, arguments: dict[str, Any], login: tuple[Credentials, timedelta] | None = None
    ) -> bytes:
        """The envelope of a call; with a login, signed by a WS-Security password digest (never in clear)
        whose time is ours plus the given difference."""
        library = _library()
        envelope = self._client.create_message(self._service, operation, **arguments)
        if login is not None:
            envelope = _signed(envelope, login)
        text: bytes = library.text(envelope)
        return text

    def reply(self, operation: str, envelope: str) -> Any:
        """The library's object of a reply. Raises whatever the library raises: anything."""
        response = SimpleNamespace(
            status_code=200, content=envelope.encode("utf-8"), headers={}, encoding="utf-8"
        )
        return self._binding.process_reply(self._client, self._binding.get(operation), response)


class EventsCodec:
    """The same for events, written and read by hand."""

    def action(self, operation: str) -> str:
        """The action URI of an operation."""
        return onvif_events.action(operation)

    def request(
        self, operation: str, arguments: dict[str, Any], login: tuple[Credentials, timedelta] | None = None
    ) -> bytes:
        """As :meth:`Codec.request`; arguments: see :func:`sharpeyes.wire.onvif_events.request`."""
        text = onvif_events.request(operation, **arguments)
        if login is None:
            return text.encode()
        library = _library()
        signed: bytes = library.text(_signed(library.parse(text), login))
        return signed

    def reply(self, operation: str, envelope: str) -> Any:
        """See :func:`sharpeyes.wire.onvif_events.reply`."""
        return onvif_events.reply(operation, envelope, xml.XmlLimits(elements=5_000))


def _signed(envelope: Any, login: tuple[Credentials, timedelta]) -> Any:
    account, difference = login
    token = _library().token(account.username, account.password.reveal(), dt_diff=difference, use_digest=True)
    signed, _ = token.apply(envelope, {})
    return signed


@cache
def _library() -> SimpleNamespace:
    """The parts of onvif-zeep-async in use, imported late (a third of a second), its side effect undone.

    At import it configures the root logger of the process.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    from lxml.etree import fromstring  # type: ignore[import-untyped]
    from onvif.client import _WSDL_PATH, DocumentWithDeferredLoad, UsernameDigestTokenDtDiff, ZeepAsyncClient
    from onvif.transport import ASYNC_TRANSPORT
    from onvif.types import FastDateTime, ForgivingTime
    from zeep import Settings
    from zeep.wsdl.utils import etree_to_string
    from zeep.xsd.types.builtins import Int

    root.handlers[:], root.level = handlers, level
    # A reply with a thousand bad numbers would be a thousand tracebacks in the log.
    for name in ("zeep", "zeep.xsd.types.simple", "onvif"):
        logging.getLogger(name).setLevel(logging.CRITICAL)

    class ForgivingInt(Int):
        """FrameRateLimit is an integer in Media1; some devices send 12.5."""

        def pythonvalue(self, value: Any, schema: Any = None) -> Any:  # noqa: ARG002 (the library's signature)
            try:
                return int(value)
            except ValueError:
                return float(value)

    settings = Settings(
        strict=False,
        xml_huge_tree=False,
        forbid_dtd=True,
        forbid_entities=True,
        forbid_external=True,
        xsd_ignore_sequence_order=True,
    )

    def document(path: str) -> Any:
        loaded = DocumentWithDeferredLoad(path, ASYNC_TRANSPORT, settings=settings)
        schema = loaded.types.documents.get_by_namespace("http://www.w3.org/2001/XMLSchema", False)[0]
        for kind in (FastDateTime, ForgivingTime, ForgivingInt):
            schema.register_type(kind._default_qname, kind(is_global=True))
        loaded.types.add_documents([None], path)
        loaded.original_load(path)
        return loaded

    def client(loaded: Any) -> Any:
        return ZeepAsyncClient(wsdl=loaded, transport=ASYNC_TRANSPORT, settings=settings)

    return SimpleNamespace(
        wsdl=Path(_WSDL_PATH),
        document=document,
        client=client,
        token=UsernameDigestTokenDtDiff,
        text=etree_to_string,
        parse=fromstring,
    )


_loading = threading.Lock()


@cache
def _loaded_codecs() -> MappingProxyType[Service, Codec | EventsCodec]:
    return MappingProxyType(
        {service: EventsCodec() if service is Service.EVENTS else Codec(service) for service in Service}
    )


def codecs() -> MappingProxyType[Service, Codec | EventsCodec]:
    """All codecs, parsed once a process (0.2 s) and shared by every device."""
    with _loading:
        return _loaded_codecs()
