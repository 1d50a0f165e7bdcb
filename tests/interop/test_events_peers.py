"""Events by pull point, held against others: the schemas of ONVIF and WS-Notification for what our client
sends and what a virtual device answers, and an independent client on the virtual device.

There is no independent event *server* that a package brings; so our client and the virtual device, which were
written by the same people, are each held against the documents that everybody else's are written from.
"""

from __future__ import annotations

import asyncio
import datetime as dates
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import onvif
import pytest
from lxml import etree
from onvif import ONVIFCamera
from onvif.exceptions import ONVIFError
from zeep.exceptions import Fault as ZeepFault

from sharpeyes.domain.camera import StreamRole
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.domain.reports import ReportKind
from sharpeyes.net.onvif_library import Service, codecs
from sharpeyes.simulator.clip import ClipSpec
from sharpeyes.simulator.fault import Fault, FaultKind
from sharpeyes.simulator.fleet import Addressing, ChannelPlan, DevicePlan, Fleet, OnvifLogin
from sharpeyes.simulator.simulator import Simulator
from sharpeyes.wire import onvif_events

PLACE = Addressing(network="127.9.42.1", rtsp_port=0, onvif_port=0, discovery_port=None)
SPEC = ClipSpec(width=320, height=180, gop=10, gops=1, kbps=300)
ACCOUNT = Credentials("admin", Secret("secret"))
DOCUMENTS = Path(onvif.__file__).parent / "wsdl"
XSD = "{http://www.w3.org/2001/XMLSchema}schema"
SOAP = "{http://www.w3.org/2003/05/soap-envelope}"
ADDRESSING = "{http://www.w3.org/2005/08/addressing}"
OPERATIONS = ("CreatePullPointSubscription", "PullMessages", "Renew", "Unsubscribe")
TAMPER = "tns1:RuleEngine/TamperDetector/Tamper"
SCENE = "tns1:VideoSource/GlobalSceneChange/ImagingService"


def plan(**more: Any) -> DevicePlan:
    channel = ChannelPlan(id="cam", name="cam", streams=((StreamRole.MAIN, SPEC),))
    return DevicePlan(id="cam", channels=(channel,), credentials=ACCOUNT, **more)


@asynccontextmanager
async def device(tmp_path: Path, **more: Any) -> AsyncIterator[Simulator]:
    async with Simulator(Fleet(devices=(plan(**more),)), addressing=PLACE, cache=tmp_path) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    """That of the event service, with all that it refers to; from files, nothing is fetched."""
    parser = etree.XMLParser(no_network=True)
    inner = etree.parse(str(DOCUMENTS / "events.wsdl"), parser).find(f".//{XSD}")
    return etree.XMLSchema(etree.fromstring(etree.tostring(inner), base_url=str(DOCUMENTS / "events.xsd")))


def held(schema: etree.XMLSchema, envelope: bytes) -> Any:
    """The body of an envelope, which is as its schema wants it; so are the addressing headers."""
    root = etree.fromstring(envelope)
    (body,) = root.findall(f"{SOAP}Body")
    headers = root.findall(f"{SOAP}Header/*")
    (content,) = body
    for element in (content, *(each for each in headers if each.tag.startswith(ADDRESSING))):
        schema.assertValid(etree.fromstring(etree.tostring(element)))
    return content


# --- by the documents -----------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("filtered", [True, False])
def test_what_we_ask_is_as_the_schemas_want_it(
    schema: etree.XMLSchema, operation: str, signed: bool, filtered: bool
) -> None:
    codec = codecs()[Service.EVENTS]
    login = (ACCOUNT, dates.timedelta(hours=1)) if signed else None
    arguments = {"to": "http://10.0.0.1/events?a=1&b=2", "filtered": filtered}
    envelope = codec.request(operation, arguments, login)
    content = held(schema, envelope)
    assert etree.QName(content).localname == operation
    assert b"secret" not in envelope


def test_the_schemas_refuse_what_is_wrong(schema: etree.XMLSchema) -> None:
    """That the tests above could fail."""
    wrong = onvif_events.request("PullMessages", to="http://x/").replace("PT1S", "soon")
    with pytest.raises(etree.DocumentInvalid):
        held(schema, wrong.encode())


@pytest.mark.parametrize("filters", [True, False])
async def test_what_a_virtual_device_answers_is_as_the_schemas_want_it(
    schema: etree.XMLSchema, tmp_path: Path, filters: bool
) -> None:
    codec = codecs()[Service.EVENTS]
    async with (
        device(tmp_path, event_filters=filters, fault=Fault(kind=FaultKind.OCCLUDED)) as simulator,
        aiohttp.ClientSession() as session,
    ):
        url = simulator.endpoints["cam"].xaddr.replace("device_service", "event_service")
        said: list[onvif_events.Notification] = []
        for operation in (*OPERATIONS[:3], "PullMessages", "Unsubscribe"):
            arguments = {"to": url, "filtered": filters}
            request = codec.request(operation, arguments, (ACCOUNT, dates.timedelta(0)))
            async with session.post(url, data=request) as response:
                answer = await response.read()
                assert response.status == 200, answer
            content = held(schema, answer)
            assert etree.QName(content).localname == f"{operation}Response"
            if operation == "CreatePullPointSubscription":
                url = content.findtext(f".//{ADDRESSING}Address")
            if operation == "PullMessages":
                read = codec.reply(operation, answer.decode().partition("?>")[2])
                said = said + list(read.notifications)
    assert {(each.kind, each.active) for each in said} >= {(ReportKind.TAMPER, True)}


# --- by zeep and ONVIF's own WSDL ---------------------------------------------------------------------------


def items(message: Any) -> Iterator[tuple[str, str]]:
    for part in (message.Message._value_1.Source, message.Message._value_1.Data):
        for item in part.SimpleItem:
            yield item.Name, item.Value


@pytest.mark.parametrize("offset", [0.0, 7_200.0])
async def test_the_maintained_client_hears_a_virtual_device(tmp_path: Path, offset: float) -> None:
    lost: list[None] = []
    async with device(tmp_path, clock_offset_s=offset, onvif_login=OnvifLogin.WSSE) as simulator:
        endpoint = simulator.endpoints["cam"]
        port = int(endpoint.xaddr.split(":")[2].split("/")[0])
        camera = ONVIFCamera(
            endpoint.address, port, "admin", "secret", wsdl_dir=str(DOCUMENTS), adjust_time=True
        )
        try:
            await camera.update_xaddrs()
            manager = await camera.create_pullpoint_manager(
                dates.timedelta(seconds=60), lambda: lost.append(None)
            )
            assert simulator.subscriptions("cam") == 1
            service = manager.get_service()
            ask = {"MessageLimit": 20, "Timeout": dates.timedelta(seconds=1)}
            first = await service.PullMessages(ask)
            assert (first.TerminationTime - first.CurrentTime).total_seconds() == pytest.approx(60, abs=2)
            told = {m.Topic._value_1: dict(items(m)) for m in first.NotificationMessage}
            assert told[TAMPER]["IsTamper"] == "false"
            await simulator.set_fault("cam", Fault(kind=FaultKind.OCCLUDED))
            second = await service.PullMessages(ask)
            told = {m.Topic._value_1: dict(items(m)) for m in second.NotificationMessage}
            assert told[TAMPER]["IsTamper"] == "true"
            assert told[SCENE] == {"Source": "source1", "State": "true"}
            assert {m.Message._value_1.PropertyOperation for m in second.NotificationMessage} == {"Changed"}
            lasts = await manager._call_subscription_renew()
            assert lasts > asyncio.get_running_loop().time()
            simulator.forget_subscriptions("cam")
            with pytest.raises((ONVIFError, ZeepFault)):
                await service.PullMessages(ask)
            await manager.shutdown()
            assert simulator.subscriptions("cam") == 0
        finally:
            await camera.close()
    assert not lost
