"""Replies in the manner of real makers: their prefixes, orders, omissions and inventions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sharpeyes.discovery.enrol import Target, enrol, normalised_mac
from sharpeyes.discovery.found import FoundDevice
from sharpeyes.domain.credentials import Credentials, Secret
from sharpeyes.net.onvif import OnvifClient
from soap_device import Answer, Device, fault, profile

ACCOUNT = Credentials("admin", Secret("secret"))


async def enrolled(device: Device, scopes: tuple[str, ...] = ()) -> FoundDevice:
    async with device.serving(), OnvifClient() as client:
        return await enrol(client, Target(xaddr=device.xaddr, scopes=scopes), ACCOUNT)


def information(manufacturer: str, model: str, serial: str) -> str:
    return (
        f"<tds:GetDeviceInformationResponse><tds:Manufacturer>{manufacturer}</tds:Manufacturer>"
        f"<tds:Model>{model}</tds:Model><tds:FirmwareVersion>V5.5.82 build 190909</tds:FirmwareVersion>"
        f"<tds:SerialNumber>{serial}</tds:SerialNumber><tds:HardwareId>88</tds:HardwareId>"
        "</tds:GetDeviceInformationResponse>"
    )


def services(device: Device, *names: str) -> str:
    paths = {
        "ver10/media": "/onvif/Media",
        "ver20/media": "/onvif/Media2",
        "ver10/device": "/onvif/device_service",
    }
    rows = "".join(
        f"<tds:Service><tds:Namespace>http://www.onvif.org/{name}/wsdl</tds:Namespace>"
        f"<tds:XAddr>{device.url(paths[name])}</tds:XAddr></tds:Service>"
        for name in names
    )
    return f"<tds:GetServicesResponse>{rows}</tds:GetServicesResponse>"


MEDIA2_PROFILES = """<tr2:GetProfilesResponse>
<tr2:Profiles token="Profile_1" fixed="true"><tr2:Name>mainStream</tr2:Name><tr2:Configurations>
 <tr2:VideoSource token="VideoSourceToken"><tt:Name>VideoSourceConfig</tt:Name><tt:UseCount>2</tt:UseCount>
  <tt:SourceToken>VideoSource_1</tt:SourceToken><tt:Bounds x="0" y="0" width="3840" height="2160"/>
 </tr2:VideoSource>
 <tr2:AudioSource token="AudioToken"><tt:Name>a</tt:Name><tt:SourceToken>x</tt:SourceToken></tr2:AudioSource>
 <tr2:VideoEncoder token="VideoEncoderToken_1" GovLength="50" Profile="Main" encoding="x">
  <tt:Name>VideoEncoder_1</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>H265</tt:Encoding>
  <tt:Resolution><tt:Width>3840</tt:Width><tt:Height>2160</tt:Height></tt:Resolution>
  <tt:RateControl ConstantBitRate="false"><tt:FrameRateLimit>12.500000</tt:FrameRateLimit>
  <tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl><tt:Multicast/><tt:Quality>3</tt:Quality></tr2:VideoEncoder>
</tr2:Configurations></tr2:Profiles>
<tr2:Profiles token="Profile_2"><tr2:Name>subStream</tr2:Name><tr2:Configurations>
 <tr2:VideoSource token="VideoSourceToken"><tt:Name>VideoSourceConfig</tt:Name><tt:UseCount>2</tt:UseCount>
  <tt:SourceToken>VideoSource_1</tt:SourceToken></tr2:VideoSource>
 <tr2:VideoEncoder token="VideoEncoderToken_2"><tt:Name>VideoEncoder_2</tt:Name><tt:UseCount>1</tt:UseCount>
  <tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>640</tt:Width><tt:Height>360</tt:Height></tt:Resolution>
 </tr2:VideoEncoder></tr2:Configurations></tr2:Profiles>
<tr2:Profiles token="Audio only"><tr2:Name>a</tr2:Name></tr2:Profiles></tr2:GetProfilesResponse>"""


def by_service(media1: str, media2: str) -> Callable[[object], str]:
    return lambda request: media2 if request.path == "/onvif/Media2" else media1  # type: ignore[attr-defined]


async def test_hikvision_with_h265_over_media2() -> None:
    """Media1 has no word for H.265: there the main stream is called H264, or missing."""
    device = Device(named_host="192.168.1.64")
    device.replies |= {
        "GetServices": lambda _: services(device, "ver10/device", "ver10/media", "ver20/media"),
        "GetDeviceInformation": information("HIKVISION", "DS-2CD2085FWD-I", "DS-2CD2085FWD-I20190909AAWRD1"),
        "GetProfiles": by_service("<trt:GetProfilesResponse/>", MEDIA2_PROFILES),
        "GetStreamUri": lambda request: (
            "<tr2:GetStreamUriResponse><tr2:Uri>rtsp://192.168.1.64:554/Streaming/Channels/101?transportmode=unicast"
            "&amp;profile=Profile_1</tr2:Uri></tr2:GetStreamUriResponse>"
        ),
        "GetSnapshotUri": lambda request: (
            "<tr2:GetSnapshotUriResponse><tr2:Uri>http://192.168.1.64/onvif-http/snapshot?Profile_1</tr2:Uri>"
            "</tr2:GetSnapshotUriResponse>"
        ),
    }
    found = await enrolled(device)
    assert found.error is None
    [channel] = found.channels
    assert channel.token == "VideoSource_1"
    assert [(p.token, p.codec, p.width, p.height, p.fps) for p in channel.profiles] == [
        ("Profile_1", "h265", 3840, 2160, 12.5),
        ("Profile_2", "h264", 640, 360, None),
    ]
    uri = "rtsp://127.0.0.1:554/Streaming/Channels/101?transportmode=unicast&profile=Profile_1"
    assert channel.profiles[0].stream_uri == uri
    assert channel.snapshot_uri == "http://127.0.0.1/onvif-http/snapshot?Profile_1"
    assert all("Media2" in request.path for request in device.requests if "Uri" in request.operation)


async def test_media1_is_taken_where_media2_brings_no_h265() -> None:
    device = Device()
    device.replies |= {
        "GetServices": lambda _: services(device, "ver10/device", "ver10/media", "ver20/media"),
        "GetProfiles": by_service(device.GetProfiles(), MEDIA2_PROFILES.replace("H265", "H264")),
    }
    found = await enrolled(device)
    assert found.error is None
    assert [p.token for p in found.channels[0].profiles] == ["main", "sub"]


async def test_media2_serves_where_media1_fails() -> None:
    device = Device()
    device.replies |= {
        "GetServices": lambda _: services(device, "ver10/device", "ver10/media", "ver20/media"),
        "GetProfiles": lambda request: (
            Answer(MEDIA2_PROFILES.replace("H265", "H264"))
            if "Media2" in request.path
            else fault("Action", "no", 500)
        ),
        "GetStreamUri": lambda _: (
            "<tr2:GetStreamUriResponse><tr2:Uri>rtsp://x/y</tr2:Uri></tr2:GetStreamUriResponse>"
        ),
    }
    found = await enrolled(device)
    assert found.error is None
    assert found.channels[0].profiles[0].stream_uri == "rtsp://127.0.0.1/y"


async def test_dahua_without_get_services_and_with_a_token_in_the_snapshot_uri() -> None:
    device = Device(named_host="10.1.1.108")
    device.replies |= {
        "GetServices": fault("ActionNotSupported", "Optional Action Not Implemented", 500),
        "GetDeviceInformation": information("Dahua", "IPC-HFW1230S", "3G04D1BPAG00001"),
        "GetSnapshotUri": lambda _: (
            "<trt:GetSnapshotUriResponse><trt:MediaUri><tt:Uri>http://10.1.1.108/onvifsnapshot/media_service/snapshot"
            "?channel=1&amp;subtype=0&amp;token=abc</tt:Uri></trt:MediaUri></trt:GetSnapshotUriResponse>"
        ),
    }
    found = await enrolled(device)
    assert found.error is None
    assert found.identity.manufacturer == "Dahua"
    assert found.channels[0].snapshot_uri is not None
    assert "abc" not in found.channels[0].snapshot_uri
    assert "GetCapabilities" in device.operations()


def interface(name: str, mac: str, address: str) -> str:
    return (
        f'<tds:NetworkInterfaces token="{name}"><tt:Enabled>true</tt:Enabled>'
        f"<tt:Info><tt:Name>{name}</tt:Name><tt:HwAddress>{mac}</tt:HwAddress></tt:Info><tt:IPv4><tt:Enabled>true</tt:Enabled><tt:Config>"
        f"<tt:FromDHCP><tt:Address>{address}</tt:Address><tt:PrefixLength>8</tt:PrefixLength></tt:FromDHCP>"
        "<tt:DHCP>true</tt:DHCP></tt:Config></tt:IPv4></tds:NetworkInterfaces>"
    )


async def test_axis_wants_a_login_even_for_the_clock_and_names_many_interfaces() -> None:
    device = Device(gate=lambda request: None if request.signed else Answer("", 401, raw=True))
    device.replies["GetNetworkInterfaces"] = (
        "<tds:GetNetworkInterfacesResponse>"
        + interface("lo", "00:00:00:00:00:00", "127.0.0.1")
        + interface("usb", "02:11:22:33:44:55", "169.254.1.1")
        + interface("eth0", "ACCC8E112233", "127.0.0.1")
        + "</tds:GetNetworkInterfacesResponse>"
    )
    found = await enrolled(device)
    assert found.error is None
    assert found.identity.mac == "ac:cc:8e:11:22:33"


async def test_uniview_recorder_with_its_channels_out_of_order() -> None:
    rows = [
        profile("media_profile3", "video_source_1", (704, 576)),
        profile("media_profile1", "video_source_0", (1920, 1080)),
        profile("media_profile4", "video_source_1", (2688, 1520)),
        profile("media_profile2", "video_source_0", (720, 576)),
    ]
    device = Device(
        replies={"GetProfiles": f"<trt:GetProfilesResponse>{''.join(rows)}</trt:GetProfilesResponse>"}
    )
    found = await enrolled(device)
    assert found.error is None
    assert {c.token: [p.token for p in c.profiles] for c in found.channels} == {
        "video_source_1": ["media_profile4", "media_profile3"],
        "video_source_0": ["media_profile1", "media_profile2"],
    }
    assert {channel.name for channel in found.channels} == {"Camera video_source_0", "Camera video_source_1"}


async def test_tp_link_with_elements_out_of_order_and_missing() -> None:
    row = (
        '<trt:Profiles token="profile_1"><tt:VideoEncoderConfiguration token="main"><tt:Resolution>'
        "<tt:Height>1296</tt:Height><tt:Width>2304</tt:Width></tt:Resolution><tt:Encoding>H264</tt:Encoding>"
        "<tt:RateControl><tt:BitrateLimit>1024</tt:BitrateLimit><tt:FrameRateLimit>15.0</tt:FrameRateLimit>"
        "</tt:RateControl></tt:VideoEncoderConfiguration><tt:Name>mainStream</tt:Name></trt:Profiles>"
    )
    device = Device(
        replies={
            "GetProfiles": f"<trt:GetProfilesResponse>{row}</trt:GetProfilesResponse>",
            "GetNetworkInterfaces": fault("ActionNotSupported", "no", 500),
            "GetSnapshotUri": fault("ActionNotSupported", "no", 500),
        }
    )
    found = await enrolled(device, ("onvif://www.onvif.org/MAC/30-DE-4B-11-22-33",))
    assert found.error is None
    assert found.identity.mac == "30:de:4b:11:22:33"
    [channel] = found.channels
    assert channel.token == "profile_1"
    assert channel.snapshot_uri is None
    [only] = channel.profiles
    assert (only.codec, only.width, only.height, only.fps) == ("h264", 2304, 1296, 15.0)


async def test_reolink_with_other_prefixes_and_a_default_namespace() -> None:
    device = Device()
    row = (
        profile("000", "000", (2560, 1920), 30)
        .replace("tt:", "v:")
        .replace(
            '<trt:Profiles token="000" fixed="true">',
            '<Profiles xmlns="http://www.onvif.org/ver10/media/wsdl"'
            ' xmlns:v="http://www.onvif.org/ver10/schema" token="000" fixed="true">',
        )
        .replace("</trt:Profiles>", "</Profiles>")
    )
    device.replies["GetProfiles"] = f"<trt:GetProfilesResponse>{row}</trt:GetProfilesResponse>"
    found = await enrolled(device)
    assert found.error is None
    assert found.channels[0].profiles[0].width == 2560


async def test_one_stream_that_fails_leaves_the_others_and_says_which_call() -> None:
    device = Device()
    usual = device.GetStreamUri()
    device.replies["GetStreamUri"] = lambda request: (
        fault("NoProfile", "no such profile") if ">sub<" in request.body else usual(request)
    )
    found = await enrolled(device)
    assert found.error is not None
    assert found.error.kind == "fault"
    assert found.error.message.startswith("GetStreamUri")
    assert found.channels[0].profiles[0].stream_uri is not None
    assert found.channels[0].profiles[1].stream_uri is None


@pytest.mark.parametrize(
    ("text", "mac"),
    [
        ("44:19:B6:0A:0B:0C", "44:19:b6:0a:0b:0c"),
        ("44-19-b6-0a-0b-0c", "44:19:b6:0a:0b:0c"),
        (" 4419B60A0B0C\n", "44:19:b6:0a:0b:0c"),
        ("4419.b60a.0b0c", "44:19:b6:0a:0b:0c"),
        ("00:00:00:00:00:00", None),
        ("ff:ff:ff:ff:ff:ff", None),
        ("01:00:5e:00:00:01", None),
        ("44:19:b6", None),
        ("", None),
        (None, None),
    ],
)
def test_macs_are_written_in_one_way(text: str | None, mac: str | None) -> None:
    assert normalised_mac(text) == mac
