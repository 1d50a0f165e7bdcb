"""Replies of event services: whatever a device sends, it is read within bounds, or refused as no answer."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharpeyes.domain.reports import ReportKind
from sharpeyes.wire import onvif_events, xml
from sharpeyes.wire.onvif_events import Pulled, Subscription

LIMITS = xml.XmlLimits(elements=5_000)
ENVELOPE = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing"'
    ' xmlns:tev="http://www.onvif.org/ver10/events/wsdl" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"'
    ' xmlns:tt="http://www.onvif.org/ver10/schema"><s:Body>{}</s:Body></s:Envelope>'
)
MESSAGE = (
    "<wsnt:NotificationMessage><wsnt:Topic>{topic}</wsnt:Topic><wsnt:Message>"
    '<tt:Message UtcTime="2026-01-01T00:00:00Z" PropertyOperation="{what}"><tt:Source>'
    '<tt:SimpleItem Name="{name}" Value="{source}"/></tt:Source><tt:Data>'
    '<tt:SimpleItem Name="State" Value="{value}"/></tt:Data></tt:Message></wsnt:Message>'
    "</wsnt:NotificationMessage>"
)
TIMES = "<tev:CurrentTime>{}</tev:CurrentTime><tev:TerminationTime>{}</tev:TerminationTime>"
OPERATIONS = ("CreatePullPointSubscription", "PullMessages", "Renew", "Unsubscribe")
WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="<>&\"'", exclude_categories=("Cc", "Cs")), max_size=300
)


def pulled(body: str, times: str = "") -> Pulled:
    text = ENVELOPE.format(f"<tev:PullMessagesResponse>{times}{body}</tev:PullMessagesResponse>")
    found = onvif_events.reply("PullMessages", text, LIMITS)
    assert isinstance(found, Pulled)
    return found


def message(topic: str, value: str = "true", what: str = "Changed", **more: str) -> str:
    fields = {"name": "VideoSourceToken", "source": "src1"} | more
    return MESSAGE.format(topic=topic, value=value, what=what, **fields)


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("tns1:VideoSource/GlobalSceneChange/ImagingService", ReportKind.SCENE_CHANGE),
        ("tns1:VideoSource/GlobalSceneChange/AnalyticsService", ReportKind.SCENE_CHANGE),
        ("tns1:VideoSource/ImageTooBlurry/RecordingService", ReportKind.BLURRY),
        ("tns1:VideoSource/ImageTooDark/ImagingService", ReportKind.DARK),
        ("tns1:VideoSource/ImageTooBright/ImagingService", ReportKind.BRIGHT),
        ("tns1:VideoSource/SignalLoss", ReportKind.SIGNAL_LOST),
        ("tns1:RuleEngine/TamperDetector/Tamper", ReportKind.TAMPER),
        ("tns1:VideoSource/tnsaxis:Tampering", ReportKind.TAMPER),
        ("VideoSource/tnsmaker:VideoLoss", ReportKind.SIGNAL_LOST),
        ("tns1:VideoSource/MotionAlarm", None),
        ("tns1:RuleEngine/CellMotionDetector/Motion", None),
        ("tns1:RuleEngine/LineDetector/Crossed", None),
        ("tns1:RuleEngine/FieldDetector/ObjectsInside", None),
        ("tns1:RuleEngine/FaceDetector/Tamper", None),
        ("tns1:RuleEngine/MyRuleDetector/PeopleDetect", None),
        ("tns1:Recognition/TamperDetector/Plate", None),
        ("tns1:Device/Trigger/DigitalInput", None),
        ("", None),
        ("/", None),
    ],
)
def test_only_what_is_about_the_picture_is_read(topic: str, kind: ReportKind | None) -> None:
    found = pulled(message(topic))
    assert found.messages == 1
    assert [each.kind for each in found.notifications] == ([] if kind is None else [kind])


@pytest.mark.parametrize(
    ("value", "what", "active"),
    [
        *(("true", "Changed", True), ("false", "Changed", False), ("0", "Initialized", False)),
        *(("1", "Initialized", True), ("true", "Deleted", False), ("42.5", "Changed", True)),
    ],
)
def test_states(value: str, what: str, active: bool) -> None:
    (found,) = pulled(message("tns1:VideoSource/SignalLoss", value, what)).notifications
    assert (found.active, found.source) == (active, "src1")


@pytest.mark.parametrize(
    ("now", "end", "lasts"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:03:00Z", 180.0),
        ("1970-01-01T00:00:00.123Z", "1970-01-01T01:00:00+00:30", 1_800.0),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:03:00", None),
        ("2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", 86_400.0),
        ("2026-01-01T00:00:00Z", "2020-01-01T00:00:00Z", 0.0),
        ("2026-01-01T00:00:00Z", "2026-99-99T00:00:00Z", None),
        ("", "soon", None),
    ],
)
def test_lifetimes_go_by_the_device_s_own_clock(now: str, end: str, lasts: float | None) -> None:
    assert pulled("", TIMES.format(now, end)).lifetime_s == lasts


def test_reference_parameters_come_back_and_are_bounded() -> None:
    def created(parameters: str, address: str = "http://10.0.0.1/p") -> Subscription:
        body = (
            "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"
            f"<a:Address>{address}</a:Address><a:ReferenceParameters>{parameters}</a:ReferenceParameters>"
            "</tev:SubscriptionReference></tev:CreatePullPointSubscriptionResponse>"
        )
        found = onvif_events.reply("CreatePullPointSubscription", ENVELOPE.format(body), LIMITS)
        assert isinstance(found, Subscription)
        return found

    found = created('<v:Id xmlns:v="urn:maker">&lt;7&amp;</v:Id>')
    text = onvif_events.request("PullMessages", to="http://h/a?b&c", parameters=found.parameters)
    header = xml.child(xml.parse(text, LIMITS), "Header")
    assert xml.text_of(xml.child(header, "Id")) == "<7&"
    assert xml.text_of(xml.child(header, "To")) == "http://h/a?b&c"
    assert len(created("<v/>" * 500).parameters) == 8
    with pytest.raises(xml.XmlSyntaxError):
        created(f"<v>{'x' * 10_000}</v>")
    assert created("", "http://www.w3.org/2005/08/addressing/anonymous").address is None
    assert created("", "").address is None


def test_a_flood_is_cut() -> None:
    found = pulled(message("tns1:VideoSource/SignalLoss") * 300)
    assert (found.messages, len(found.notifications)) == (300, 4 * onvif_events.MESSAGES)
    with pytest.raises(xml.XmlSyntaxError):
        pulled(message("tns1:VideoSource/SignalLoss") * 2_000)


@given(topic=WORDS, value=WORDS, name=WORDS, source=WORDS, what=WORDS)
@settings(max_examples=150, deadline=None)
def test_any_words(topic: str, value: str, name: str, source: str, what: str) -> None:
    for each in (topic, f"tns1:VideoSource/SignalLoss/{topic}"):
        for found in pulled(message(each, value, what, name=name, source=source)).notifications:
            assert len(found.topic) <= 128
            assert found.topic.isprintable()
            assert found.source is None or len(found.source) <= 128


@given(st.sampled_from(OPERATIONS), st.binary(max_size=400), st.integers(0, 900), st.integers(0, 40))
@settings(max_examples=250, deadline=None)
def test_any_damage(operation: str, noise: bytes, at: int, length: int) -> None:
    body = f"<tev:{operation}Response>{message('tns1:VideoSource/SignalLoss')}</tev:{operation}Response>"
    whole = ENVELOPE.format(body).encode()
    text = xml.decode(whole[:at] + noise + whole[at + length :])
    with contextlib.suppress(xml.XmlSyntaxError):
        onvif_events.reply(operation, text, LIMITS)
