"""The ONVIF side of a virtual device: device, media, media2 and event services, and snapshots, over HTTP.

Hand-written on purpose: these operations are all that enrolment and viewers need, thousands of devices share
the code, and none of them costs memory while nobody asks.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import quote
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from sharpeyes.domain.camera import Codec, StreamRole
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.events_service import (
    EVENTS,
    NoSuchPointError,
    PullPoints,
    Scene,
    TooManyPointsError,
)
from sharpeyes.simulator.fault import Fault, FaultKind, FaultPhase
from sharpeyes.simulator.fleet import ChannelPlan, DevicePlan, Endpoint, OnvifLogin
from sharpeyes.simulator.http_server import HttpRequest, HttpResponse
from sharpeyes.simulator.login import Guard, token_admits
from sharpeyes.wire import xml

DEVICE_PATH = "/onvif/device_service"
_MEDIA_PATH, _MEDIA2_PATH = "/onvif/media_service", "/onvif/media2_service"
_EVENTS_PATH = "/onvif/event_service"
_SOAP = "application/soap+xml; charset=utf-8"
_LIMITS = xml.XmlLimits(elements=500, depth=24, attributes=32)
_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_MEDIA = "http://www.onvif.org/ver10/media/wsdl"
_MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="http://www.onvif.org/ver10/schema"'
    f' xmlns:tds="{_DEVICE}" xmlns:trt="{_MEDIA}" xmlns:tr2="{_MEDIA2}"'
    f' xmlns:tev="{EVENTS}" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"'
    ' xmlns:wsa5="http://www.w3.org/2005/08/addressing" xmlns:tns1="http://www.onvif.org/ver10/topics"'
    ' xmlns:ter="http://www.onvif.org/ver10/error"><s:Body>%s</s:Body></s:Envelope>'
)
_OPEN = frozenset(
    {"GetSystemDateAndTime", "GetCapabilities", "GetServices", "GetServiceCapabilities", "GetHostname"}
)
"""Operations that nobody needs to log in for (ONVIF Core, access class PRE_AUTH)."""


class Box(Protocol):
    """A device as its ONVIF services know it."""

    plan: DevicePlan
    address: str
    guard: Guard

    @property
    def xaddr(self) -> str: ...

    @property
    def device_fault(self) -> Fault | None: ...

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """By camera id."""

    @property
    def scenes(self) -> Mapping[str, Scene]:
        """Channels by their video source token."""

    def clock(self) -> float:
        """The device's own time, seconds since the epoch."""

    def still(self, camera: str) -> bytes:
        """A JPEG of what the camera shows now."""


class _SoapFault(Exception):  # noqa: N818 - the word of the specification
    def __init__(self, status: int, side: str, code: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.side, self.code, self.reason = status, side, code, reason

    def response(self) -> HttpResponse:
        body = (
            f"<s:Fault><s:Code><s:Value>s:{self.side}</s:Value><s:Subcode><s:Value>ter:{self.code}"
            '</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en">'
            f"{escape(self.reason)}</s:Text></s:Reason></s:Fault>"
        )
        return HttpResponse(self.status, (_ENVELOPE % body).encode(), _SOAP)


_EVENT_OPERATIONS = frozenset({"CreatePullPointSubscription", "PullMessages", "Renew", "Unsubscribe"})


def _no_point() -> _SoapFault:
    return _SoapFault(400, "Sender", "ResourceUnknownFault", "There is no such subscription")


class OnvifService:
    """Answers the HTTP requests of one device."""

    __slots__ = ("_box", "_nonce", "pull_points")

    def __init__(self, box: Box) -> None:
        self._box = box
        self._nonce = ""
        self.pull_points = PullPoints(box)

    def __call__(self, request: HttpRequest) -> HttpResponse | Awaitable[HttpResponse] | None:
        fault = self._box.device_fault
        if fault is not None and fault.kind is FaultKind.HANG and fault.phase is FaultPhase.ONVIF:
            return None
        if request.path.startswith("/snapshot/"):
            return self._snapshot(request, fault)
        if not request.path.startswith("/onvif/"):
            return HttpResponse(404)
        if request.method != "POST":
            return HttpResponse(405, headers=(("Allow", "POST"),))
        try:
            return self._soap(request, fault)
        except _SoapFault as refused:
            return refused.response()

    def _soap(self, request: HttpRequest, fault: Fault | None) -> HttpResponse | Awaitable[HttpResponse]:
        try:
            root = xml.parse(xml.decode(request.body), _LIMITS)
        except xml.XmlSyntaxError as error:
            raise _SoapFault(400, "Sender", "WellFormed", error.message) from None
        body = xml.child(root, "Body")
        if xml.local(root) != "Envelope" or body is None or not len(body):
            raise _SoapFault(400, "Sender", "WellFormed", "No operation in the request")
        operation = body[0]
        name = xml.local(operation)
        if name not in _OPEN and not self._admitted(request, xml.child(root, "Header"), fault):
            login = self._box.plan.onvif_login
            # A device that knows HTTP Digest alone does not look at a UsernameToken; one that knows both has.
            if login is OnvifLogin.DIGEST or (
                login is OnvifLogin.BOTH and b"UsernameToken" not in request.body
            ):
                return HttpResponse(401, headers=(("WWW-Authenticate", self._challenge()),))
            raise _SoapFault(400, "Sender", "NotAuthorized", "Sender not authorized")
        if self._box.plan.pull_points and name in _EVENT_OPERATIONS:
            return self._events(name, request.path, operation)
        two = operation.tag.startswith(f"{{{_MEDIA2}}}")
        answer = (_MEDIA2_ANSWERS if two else _ANSWERS).get(name)
        if answer is None:
            raise _SoapFault(500, "Receiver", "ActionNotSupported", f"Operation {name[:64]} is not supported")
        return HttpResponse(200, (_ENVELOPE % answer(self._box, operation)).encode(), _SOAP)

    def _events(self, name: str, path: str, operation: Element) -> HttpResponse | Awaitable[HttpResponse]:
        points = self.pull_points
        try:
            if name == "PullMessages":
                return self._pull(path, operation)
            if name == "CreatePullPointSubscription":
                body = points.create(operation, self._box.xaddr.removesuffix(DEVICE_PATH))
            else:
                body = points.renew(path, operation) if name == "Renew" else points.end(path)
        except NoSuchPointError:
            raise _no_point() from None
        except TooManyPointsError:
            raise _SoapFault(400, "Receiver", "OutofMemory", "No more pull points") from None
        except ValueError:
            raise _SoapFault(400, "Sender", "InvalidFilterFault", "Filters are not supported") from None
        return HttpResponse(200, (_ENVELOPE % body).encode(), _SOAP)

    async def _pull(self, path: str, operation: Element) -> HttpResponse:
        try:
            body = await self.pull_points.pull(path, operation)
        except NoSuchPointError:
            return _no_point().response()
        return HttpResponse(200, (_ENVELOPE % body).encode(), _SOAP)

    def _admitted(self, request: HttpRequest, header: Element | None, fault: Fault | None) -> bool:
        plan = self._box.plan
        if fault is not None and fault.kind is FaultKind.AUTH:
            return False
        if plan.credentials is None or plan.onvif_login is OnvifLogin.NONE:
            return True
        if plan.onvif_login is not OnvifLogin.DIGEST and token_admits(
            header, plan.credentials, self._box.clock()
        ):
            return True
        return plan.onvif_login is not OnvifLogin.WSSE and self._knows(request)

    def _knows(self, request: HttpRequest) -> bool:
        return self._box.guard.admits(request.method, self._nonce, request.headers.get("authorization"))

    def _challenge(self) -> str:
        self._nonce = self._nonce or secrets.token_hex(16)
        return self._box.guard.challenge(self._nonce)

    def _snapshot(self, request: HttpRequest, fault: Fault | None) -> HttpResponse:
        if request.method != "GET":
            return HttpResponse(405, headers=(("Allow", "GET"),))
        refused = fault is not None and fault.kind is FaultKind.AUTH
        if refused or not (self._box.guard.open or self._knows(request)):
            return HttpResponse(401, headers=(("WWW-Authenticate", self._challenge()),))
        number = request.path.removeprefix("/snapshot/").removesuffix(".jpg")
        channels = self._box.plan.channels
        if not (number.isascii() and number.isdigit() and 1 <= int(number[:6]) <= len(channels)):
            return HttpResponse(404)
        return HttpResponse(200, self._box.still(channels[int(number) - 1].id), "image/jpeg")


# --- answers: text of the response element ------------------------------------------------------------------


def _time(box: Box, _: Element) -> str:
    now = datetime.fromtimestamp(box.clock(), UTC)
    moment = (
        f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute><tt:Second>{now.second}"
        f"</tt:Second></tt:Time><tt:Date><tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month>"
        f"<tt:Day>{now.day}</tt:Day></tt:Date>"
    )
    return (
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>"
        "<tt:DaylightSavings>false</tt:DaylightSavings><tt:TimeZone><tt:TZ>UTC0</tt:TZ></tt:TimeZone>"
        f"<tt:UTCDateTime>{moment}</tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )


def _services(box: Box) -> dict[str, str]:
    base = box.xaddr.removesuffix(DEVICE_PATH)
    services = {_DEVICE: box.xaddr, _MEDIA: base + _MEDIA_PATH, _MEDIA2: base + _MEDIA2_PATH}
    return services | ({EVENTS: base + _EVENTS_PATH} if box.plan.pull_points else {})


def _list_services(box: Box, _: Element) -> str:
    rows = "".join(
        f"<tds:Service><tds:Namespace>{namespace}</tds:Namespace><tds:XAddr>{url}</tds:XAddr>"
        "<tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>"
        for namespace, url in _services(box).items()
    )
    return f"<tds:GetServicesResponse>{rows}</tds:GetServicesResponse>"


def _capabilities(box: Box, _: Element) -> str:
    urls = _services(box)
    events = ""
    if EVENTS in urls:
        events = (
            f"<tt:Events><tt:XAddr>{urls[EVENTS]}</tt:XAddr>"
            "<tt:WSSubscriptionPolicySupport>false</tt:WSSubscriptionPolicySupport>"
            "<tt:WSPullPointSupport>true</tt:WSPullPointSupport>"
            "<tt:WSPausableSubscriptionManagerInterfaceSupport>false"
            "</tt:WSPausableSubscriptionManagerInterfaceSupport></tt:Events>"
        )
    return (
        "<tds:GetCapabilitiesResponse><tds:Capabilities>"
        f"<tt:Device><tt:XAddr>{urls[_DEVICE]}</tt:XAddr></tt:Device>"
        f"{events}<tt:Media><tt:XAddr>{urls[_MEDIA]}</tt:XAddr><tt:StreamingCapabilities>"
        "<tt:RTPMulticast>false</tt:RTPMulticast><tt:RTP_TCP>true</tt:RTP_TCP>"
        "<tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP></tt:StreamingCapabilities></tt:Media>"
        "</tds:Capabilities></tds:GetCapabilitiesResponse>"
    )


def _information(box: Box, _: Element) -> str:
    plan = box.plan
    return (
        f"<tds:GetDeviceInformationResponse><tds:Manufacturer>{escape(plan.manufacturer)}</tds:Manufacturer>"
        f"<tds:Model>{escape(plan.model)}</tds:Model>"
        f"<tds:FirmwareVersion>{escape(plan.firmware)}</tds:FirmwareVersion>"
        f"<tds:SerialNumber>{escape(plan.serial_number)}</tds:SerialNumber>"
        "<tds:HardwareId>1.0</tds:HardwareId></tds:GetDeviceInformationResponse>"
    )


def _interfaces(box: Box, _: Element) -> str:
    return (
        '<tds:GetNetworkInterfacesResponse><tds:NetworkInterfaces token="eth0"><tt:Enabled>true</tt:Enabled>'
        f"<tt:Info><tt:Name>eth0</tt:Name><tt:HwAddress>{escape(box.plan.hardware_address)}</tt:HwAddress>"
        "<tt:MTU>1500</tt:MTU></tt:Info><tt:IPv4><tt:Enabled>true</tt:Enabled><tt:Config><tt:Manual>"
        f"<tt:Address>{box.address}</tt:Address><tt:PrefixLength>8</tt:PrefixLength></tt:Manual>"
        "<tt:DHCP>false</tt:DHCP></tt:Config></tt:IPv4></tds:NetworkInterfaces>"
        "</tds:GetNetworkInterfacesResponse>"
    )


def _hostname(box: Box, _: Element) -> str:
    return (
        "<tds:GetHostnameResponse><tds:HostnameInformation><tt:FromDHCP>false</tt:FromDHCP>"
        f"<tt:Name>{escape(box.plan.id)}</tt:Name></tds:HostnameInformation></tds:GetHostnameResponse>"
    )


def scopes(plan: DevicePlan) -> tuple[str, ...]:
    """What a device says of itself in GetScopes and in discovery."""
    base = "onvif://www.onvif.org/"
    name = plan.channels[0].name if len(plan.channels) == 1 else plan.id
    return (
        f"{base}type/video_encoder",
        f"{base}type/Network_Video_Transmitter",
        f"{base}Profile/Streaming",
        f"{base}Profile/T",
        f"{base}name/{quote(name or plan.id)}",
        f"{base}hardware/{quote(plan.model)}",
        f"{base}MAC/{plan.hardware_address}",
        *plan.scopes,
    )


def _list_scopes(box: Box, _: Element) -> str:
    rows = "".join(
        f"<tds:Scopes><tt:ScopeDef>Fixed</tt:ScopeDef><tt:ScopeItem>{escape(scope)}</tt:ScopeItem></tds:Scopes>"
        for scope in scopes(box.plan)
    )
    return f"<tds:GetScopesResponse>{rows}</tds:GetScopesResponse>"


def source_token(box_plan: DevicePlan, channel: ChannelPlan) -> str:
    """ONVIF video source of a channel: ``source1``..."""
    return f"source{box_plan.channels.index(channel) + 1}"


def _profiles(box: Box) -> list[tuple[str, ChannelPlan, StreamRole, ClipSpec]]:
    return [
        (f"profile{number}_{role}", channel, role, spec)
        for number, channel in enumerate(box.plan.channels, 1)
        for role, spec in channel.streams
    ]


def _sources(box: Box, _: Element) -> str:
    rows = []
    for channel in box.plan.channels:
        spec = channel.streams[0][1]
        rows.append(
            f'<trt:VideoSources token="{source_token(box.plan, channel)}">'
            f"<tt:Framerate>{spec.fps:g}</tt:Framerate><tt:Resolution><tt:Width>{spec.width}</tt:Width><tt:Height>{spec.height}</tt:Height>"
            "</tt:Resolution></trt:VideoSources>"
        )
    return f"<trt:GetVideoSourcesResponse>{''.join(rows)}</trt:GetVideoSourcesResponse>"


def _source_configurations(box: Box, _: Element) -> str:
    rows = "".join(
        f'<trt:Configurations token="configuration_{source_token(box.plan, channel)}">'
        f"{_source_configuration(box, channel)}</trt:Configurations>"
        for channel in box.plan.channels
    )
    return f"<trt:GetVideoSourceConfigurationsResponse>{rows}</trt:GetVideoSourceConfigurationsResponse>"


def _source_configuration(box: Box, channel: ChannelPlan) -> str:
    spec, token = channel.streams[0][1], source_token(box.plan, channel)
    return (
        f"<tt:Name>{escape(channel.name or channel.id)}</tt:Name>"
        f"<tt:UseCount>{len(channel.streams)}</tt:UseCount>"
        f"<tt:SourceToken>{token}</tt:SourceToken>"
        f'<tt:Bounds x="0" y="0" width="{spec.width}" height="{spec.height}"/>'
    )


def _profiles1(box: Box, _: Element) -> str:
    rows = []
    for token, channel, role, spec in _profiles(box):
        # ONVIF Media 1 knows no H.265; makers write it all the same, and clients have learned to read it.
        name = "H264" if spec.codec is Codec.H264 else "H265"
        codec = (
            f"<tt:H264><tt:GovLength>{spec.gop}</tt:GovLength><tt:H264Profile>High</tt:H264Profile></tt:H264>"
            if spec.codec is Codec.H264
            else ""
        )
        rows.append(
            f'<trt:Profiles token="{token}" fixed="true">'
            f"<tt:Name>{escape(channel.name or channel.id)} {role}</tt:Name>"
            f'<tt:VideoSourceConfiguration token="configuration_{source_token(box.plan, channel)}">'
            f"{_source_configuration(box, channel)}</tt:VideoSourceConfiguration>"
            f'<tt:VideoEncoderConfiguration token="encoder_{token}">'
            f"<tt:Name>{role}</tt:Name><tt:UseCount>1</tt:UseCount>"
            f"<tt:Encoding>{name}</tt:Encoding><tt:Resolution><tt:Width>{spec.width}</tt:Width>"
            f"<tt:Height>{spec.height}</tt:Height></tt:Resolution><tt:Quality>4</tt:Quality><tt:RateControl>"
            f"<tt:FrameRateLimit>{spec.fps:.0f}</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval>"
            f"<tt:BitrateLimit>{spec.kbps}</tt:BitrateLimit></tt:RateControl>{codec}<tt:Multicast><tt:Address>"
            "<tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address><tt:Port>0</tt:Port>"
            "<tt:TTL>0</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>"
            "<tt:SessionTimeout>PT60S</tt:SessionTimeout></tt:VideoEncoderConfiguration></trt:Profiles>"
        )
    return f"<trt:GetProfilesResponse>{''.join(rows)}</trt:GetProfilesResponse>"


def _profiles2(box: Box, _: Element) -> str:
    rows = []
    for token, channel, role, spec in _profiles(box):
        profile = "High" if spec.codec is Codec.H264 else "Main"
        rows.append(
            f'<tr2:Profiles token="{token}" fixed="true">'
            f"<tr2:Name>{escape(channel.name or channel.id)} {role}</tr2:Name>"
            f'<tr2:Configurations><tr2:VideoSource token="configuration_{source_token(box.plan, channel)}">'
            f"{_source_configuration(box, channel)}</tr2:VideoSource>"
            f'<tr2:VideoEncoder token="encoder_{token}" GovLength="{spec.gop}" Profile="{profile}">'
            f"<tt:Name>{role}</tt:Name><tt:UseCount>1</tt:UseCount>"
            f"<tt:Encoding>{'H264' if spec.codec is Codec.H264 else 'H265'}</tt:Encoding>"
            f"<tt:Resolution><tt:Width>{spec.width}</tt:Width><tt:Height>{spec.height}</tt:Height></tt:Resolution>"
            f"<tt:RateControl><tt:FrameRateLimit>{spec.fps:g}</tt:FrameRateLimit>"
            f"<tt:BitrateLimit>{spec.kbps}</tt:BitrateLimit></tt:RateControl><tt:Quality>4</tt:Quality>"
            "</tr2:VideoEncoder></tr2:Configurations></tr2:Profiles>"
        )
    return f"<tr2:GetProfilesResponse>{''.join(rows)}</tr2:GetProfilesResponse>"


def _profile(box: Box, operation: Element) -> tuple[ChannelPlan, StreamRole]:
    wanted = xml.text_of(xml.child(operation, "ProfileToken"), 64)
    for token, channel, role, _ in _profiles(box):
        if token == wanted:
            return channel, role
    raise _SoapFault(400, "Sender", "NoProfile", "There is no such profile")


def _uri(prefix: str, find: Callable[[Endpoint, StreamRole], str]) -> Callable[[Box, Element], str]:
    def answer(box: Box, operation: Element) -> str:
        channel, role = _profile(box, operation)
        url = escape(find(box.endpoints[channel.id], role))
        name = f"{prefix}:{xml.local(operation)}Response"
        if prefix == "tr2":
            return f"<{name}><tr2:Uri>{url}</tr2:Uri></{name}>"
        return (
            f"<{name}><trt:MediaUri><tt:Uri>{url}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
            "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri>"
            f"</{name}>"
        )

    return answer


def _synchronize(prefix: str) -> Callable[[Box, Element], str]:
    def answer(box: Box, operation: Element) -> str:
        _profile(box, operation)
        return f"<{prefix}:SetSynchronizationPointResponse/>"  # every session starts at a keyframe anyway

    return answer


def _stream_url(endpoint: Endpoint, role: StreamRole) -> str:
    return endpoint.streams[role]


def _snapshot_url(endpoint: Endpoint, _: StreamRole) -> str:
    return endpoint.snapshot_url


_ANSWERS: dict[str, Callable[[Box, Element], str]] = {
    "GetSystemDateAndTime": _time,
    "GetServices": _list_services,
    "GetCapabilities": _capabilities,
    "GetDeviceInformation": _information,
    "GetNetworkInterfaces": _interfaces,
    "GetHostname": _hostname,
    "GetScopes": _list_scopes,
    "GetVideoSources": _sources,
    "GetProfiles": _profiles1,
    "GetVideoSourceConfigurations": _source_configurations,
    "GetStreamUri": _uri("trt", _stream_url),
    "GetSnapshotUri": _uri("trt", _snapshot_url),
    "SetSynchronizationPoint": _synchronize("trt"),
}
_MEDIA2_ANSWERS: dict[str, Callable[[Box, Element], str]] = {
    "GetProfiles": _profiles2,
    "GetStreamUri": _uri("tr2", _stream_url),
    "GetSnapshotUri": _uri("tr2", _snapshot_url),
    "SetSynchronizationPoint": _synchronize("tr2"),
}
