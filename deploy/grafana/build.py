"""The Grafana dashboards, built by code: ``python deploy/grafana/build.py`` writes the JSON files beside it.

Import those into Grafana 10 or newer (Dashboards > New > Import), or provision their folder. Shown are
states of a moment and their course; the rates that count, over a day or a month, come from the API and the
reports.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from grafana_foundation_sdk.builders import common, heatmap, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    GraphTresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from sharpeyes.domain.health import Rung

FOLDER = Path(__file__).parent
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

GREEN, YELLOW, ORANGE, RED, GREY, BLUE = "green", "yellow", "orange", "red", "#8e8e8e", "blue"
COLOURS = {"online": GREEN, "degraded": YELLOW, "offline": RED, "unknown": GREY, "maintenance": BLUE}
"""Of the states: grey, not red, for what was not seen."""

ONE = 'instance=~"$instance"'
TIER = f'{ONE}, tier=~"$tier"'
DURATION = "sharpeyes_probe_duration_seconds"


# --- parts ----------------------------------------------------------------------------------------------


def query(expr: str, legend: str = "") -> Dataquery:
    return Dataquery().expr(expr).legend_format(legend or "__auto").datasource(SOURCE).ref_id("A").range()


def now(expr: str, legend: str = "") -> Dataquery:
    """Only the present value."""
    return Dataquery().expr(expr).legend_format(legend or "__auto").datasource(SOURCE).ref_id("A").instant()


def steps(*colours: tuple[float | None, str]) -> ThresholdsConfig:
    return (
        ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(value=value, color=colour) for value, colour in colours])
    )


def course(title: str, description: str, unit: str, *queries: Dataquery, width: int = 12) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .height(8)
        .span(width)
        .fill_opacity(8)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
    )
    for number, one in enumerate(queries):
        panel = panel.with_target(one.ref_id(chr(ord("A") + number)))
    return panel


def by_state(panel: timeseries.Panel) -> timeseries.Panel:
    """States on top of each other, each in its colour."""
    panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(60).line_width(0)
    for state, colour in COLOURS.items():
        fixed = DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})
        panel = panel.override_by_name(state, [fixed])
    return panel


def figure(
    title: str,
    description: str,
    unit: str,
    one: Dataquery,
    thresholds: ThresholdsConfig,
    *,
    decimals: int = 0,
    width: int = 4,
) -> stat.Panel:
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .decimals(decimals)
        .height(4)
        .span(width)
        .no_value("collecting")
        .thresholds(thresholds)
        .with_target(one)
    )


def listing(title: str, description: str, expr: str, *, width: int = 24) -> table.Panel:
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .height(8)
        .span(width)
        .with_target(now(expr).format(PromQueryFormat.TABLE))
    )


def dashboard(uid: str, title: str, description: str, variables: Mapping[str, str]) -> Dashboard:
    """``variables``: the label that each stands for -> the metric that has it."""
    built = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["sharpeyes"])
        .refresh("30s")
        .time("now-24h", "now")
        .timezone("browser")
        .readonly()
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .link(
            DashboardLink("SharpEyes")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["sharpeyes"])
            .as_dropdown(True)
            .keep_time(True)
        )
    )
    for label, metric in variables.items():
        built = built.with_variable(
            QueryVariable(label)
            .label(label.capitalize())
            .datasource(SOURCE)
            .query(f"label_values({metric}, {label})")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    return built


# --- dashboards -----------------------------------------------------------------------------------------


def city() -> Dashboard:
    """How the city's cameras stand."""
    return (
        dashboard(
            "sharpeyes-city",
            "SharpEyes: the city's cameras",
            "Online share, coverage and states by tier and network. Unknown is not offline.",
            {"instance": "sharpeyes_build_info", "tier": "sharpeyes_online_target_ratio"},
        )
        .annotation(
            AnnotationQuery()
            .name("Alerts")
            .datasource(SOURCE)
            .enable(True)
            .icon_color(RED)
            .expr('ALERTS{alertname=~"SharpEyes.*", alertstate="firing", severity="critical"}')
        )
        .with_row(Row("Now"))
        .with_panel(
            figure(
                "Deliver, of those seen",
                "Online and degraded cameras among those seen now. Unknown and maintenance are left out.",
                "percentunit",
                now(
                    f'sum(sharpeyes_cameras{{state=~"online|degraded", {TIER}}})'
                    f' / (sum(sharpeyes_cameras{{state=~"online|degraded|offline", {TIER}}}) > 0)'
                ),
                steps((None, RED), (0.9, ORANGE), (0.95, GREEN)),
                decimals=1,
            )
        )
        .with_panel(
            figure(
                "Seen, of those obliged",
                "How much of the city the share beside speaks for. Below 95 % there is no verdict.",
                "percentunit",
                now(
                    f'sum(sharpeyes_cameras{{state=~"online|degraded|offline", {TIER}}})'
                    f' / (sum(sharpeyes_cameras{{state!="maintenance", {TIER}}}) > 0)'
                ),
                steps((None, GREY), (0.95, GREEN)),
                decimals=1,
            )
        )
        .with_panel(
            figure(
                "Offline",
                "Three failed probes in a row, for reasons on the camera's side.",
                "short",
                now(f'sum(sharpeyes_cameras{{state="offline", {TIER}}})'),
                steps((None, GREEN), (1, RED)),
            )
        )
        .with_panel(
            figure(
                "Degraded",
                "They deliver, with a fault that a viewer would notice.",
                "short",
                now(f'sum(sharpeyes_cameras{{state="degraded", {TIER}}})'),
                steps((None, GREEN), (1, YELLOW)),
            )
        )
        .with_panel(
            figure(
                "Unknown",
                "Not seen, for a reason on our side.",
                "short",
                now(f'sum(sharpeyes_cameras{{state="unknown", {TIER}}})'),
                steps((None, GREY)),
            )
        )
        .with_panel(
            figure(
                "In maintenance",
                "Declared out of service by their owner: not obliged.",
                "short",
                now(f'sum(sharpeyes_cameras{{state="maintenance", {TIER}}})'),
                steps((None, BLUE)),
            )
        )
        .with_row(Row("By tier"))
        .with_panel(
            course(
                "Online share and target",
                "Deliver / seen at each moment; dashed is what the tier is held to. The rate of a month comes"
                " from the reports.",
                "percentunit",
                query(f"sharpeyes_online_ratio{{{TIER}}}", "{{tier}}"),
                query(f"sharpeyes_online_target_ratio{{{TIER}}}", "{{tier}} target"),
            )
            .max(1)
            .axis_soft_min(0.8)
            .override_by_regexp(
                ".* target",
                [
                    DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 8]}),
                    DynamicConfigValue(id_val="custom.fillOpacity", value=0),
                ],
            )
        )
        .with_panel(
            course(
                "Coverage",
                "Seen / obliged. What is missing here is unknown, and held against nobody.",
                "percentunit",
                query(f"sharpeyes_coverage_ratio{{{TIER}}}", "{{tier}}"),
            )
            .min(0)
            .max(1)
        )
        .with_panel(
            by_state(
                course(
                    "Cameras by state",
                    "All registered cameras.",
                    "short",
                    query(f"sum by (state) (sharpeyes_cameras{{{TIER}}})", "{{state}}"),
                )
            )
        )
        .with_panel(
            course(
                "Offline share, of all obliged",
                "What the alerts look at: at least so many are offline, whatever the unseen ones turn out to"
                " be. Steps at 5, 15 and 30 %.",
                "percentunit",
                query(f"tier:sharpeyes_offline:ratio_avg5m{{{TIER}}}", "{{tier}}"),
            )
            .min(0)
            .axis_soft_max(0.35)
            .thresholds(steps((None, GREEN), (0.05, YELLOW), (0.15, ORANGE), (0.3, RED)))
            .thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED))
        )
        .with_panel(
            course(
                "How far up the ladder",
                "Cameras whose last probe came at least this far.",
                "short",
                *(
                    query(f'sum(sharpeyes_cameras_rung{{rung=~"{above}", {TIER}}})', rung)
                    for rung, above in _rungs()
                ),
            ).min(0)
        )
        .with_panel(
            course(
                "Unseen share by network",
                "A network that cannot be seen is unknown as a whole: look at the prober's link into it.",
                "percentunit",
                query(
                    f'sum by (zone) (sharpeyes_zone_cameras{{state="unknown", {ONE}}})'
                    f' / (sum by (zone) (sharpeyes_zone_cameras{{state!="maintenance", {ONE}}}) > 0)',
                    "{{zone}}",
                ),
            )
            .min(0)
            .max(1)
        )
        .with_row(Row("Pictures"))
        .with_panel(
            course(
                "Intact",
                "Online, no critical fault of the picture, clock not known to be out of tolerance, among"
                " those whose picture was judged. The rate of a month comes from the reports.",
                "percentunit",
                query(f"sharpeyes_intact_ratio{{{TIER}}}", "{{tier}}"),
                width=8,
            )
            .max(1)
            .axis_soft_min(0.8)
        )
        .with_panel(
            course(
                "Rates of the rungs",
                "Cameras that come so far, among those where so much was tried: the least of the tiers.",
                "percentunit",
                query(f"min by (rung) (sharpeyes_rung_ratio{{{TIER}}})", "{{rung}}"),
                width=8,
            )
            .max(1)
            .axis_soft_min(0.8)
        )
        .with_panel(
            course(
                "Deliver, and show nothing of use",
                "Black, frozen, covered or otherwise critically faulty, among those that deliver. The alert"
                " is at 10 %.",
                "percentunit",
                query(f"sharpeyes_picture_unusable_ratio{{{TIER}}}", "{{tier}}"),
                width=8,
            )
            .min(0)
            .axis_soft_max(0.15)
            .thresholds(steps((None, GREEN), (0.1, ORANGE)))
            .thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphTresholdsStyleMode.DASHED))
        )
        .with_panel(
            course(
                "Faults of pictures",
                "Cameras with a confirmed fault, by kind; a camera may have several.",
                "short",
                query(f"sum by (kind) (sharpeyes_picture_faults{{{TIER}}}) > 0", "{{kind}}"),
                width=24,
            ).min(0)
        )
        .with_row(Row("Alerts and tickets"))
        .with_panel(
            listing(
                "Alerts",
                "Pending and firing.",
                'ALERTS{alertname=~"SharpEyes.*"}',
                width=16,
            )
        )
        .with_panel(
            course(
                "Open tickets",
                "By severity; overdue ones apart.",
                "short",
                query(f"sum by (severity) (sharpeyes_tickets{{{ONE}}})", "{{severity}}"),
                query(f"sum by (severity) (sharpeyes_tickets_overdue{{{ONE}}})", "{{severity}}, overdue"),
                width=8,
            ).min(0)
        )
    )


def _messages(built: Dashboard) -> Dashboard:
    """Whether what is to be said leaves."""
    return (
        built.with_row(Row("Messages"))
        .with_panel(
            course(
                "Waiting",
                "Notifications that were not sent yet, those held for a digest or quiet hours included.",
                "short",
                query(f"sum by (channel) (sharpeyes_outbox_waiting{{{ONE}}})", "{{channel}}"),
                query(f"sum by (channel) (sharpeyes_outbox_dead{{{ONE}}})", "{{channel}}, given up"),
                width=8,
            ).min(0)
        )
        .with_panel(
            course(
                "The oldest that waits",
                "Since when it is in the outbox.",
                "s",
                query(
                    f"time() - min by (channel) (sharpeyes_outbox_oldest_timestamp_seconds{{{ONE}}})",
                    "{{channel}}",
                ),
                width=8,
            ).min(0)
        )
        .with_panel(
            course(
                "Sent and failed",
                "Messages taken by their receivers, and attempts that failed.",
                "short",
                query(
                    f"sum by (channel) (increase(sharpeyes_outbox_sent_total{{{ONE}}}[$__rate_interval]))",
                    "{{channel}}",
                ),
                query(
                    f"sum by (channel) (increase(sharpeyes_outbox_failed_total{{{ONE}}}[$__rate_interval]))",
                    "{{channel}}, failed",
                ),
                width=8,
            ).min(0)
        )
    )


def _canaries(built: Dashboard) -> Dashboard:
    """Whether the monitor sees what it is shown."""
    return (
        built.with_row(Row("Canaries"))
        .with_panel(
            course(
                "Not seen as what they show",
                "1: what is said of cameras in this network is not to be believed.",
                "short",
                query(f"max by (zone) (sharpeyes_canary_failing{{{ONE}}})", "{{zone}}"),
                width=8,
            )
            .min(0)
            .max(1)
        )
        .with_panel(
            course(
                "Missed, and false alarms",
                "Faults shown that nobody named in time; verdicts against a canary that was well.",
                "short",
                query(
                    f"sum by (zone) (increase(sharpeyes_canary_misses_total{{{ONE}}}[$__rate_interval]))",
                    "{{zone}} missed",
                ),
                query(
                    "sum by (zone)"
                    f" (increase(sharpeyes_canary_false_alarms_total{{{ONE}}}[$__rate_interval]))",
                    "{{zone}} false",
                ),
                width=8,
            ).min(0)
        )
        .with_panel(
            course(
                "Until a fault is named",
                "Mean over the time shown.",
                "s",
                query(
                    f"sum(increase(sharpeyes_canary_detection_seconds_sum{{{ONE}}}[$__range]))"
                    f" / (sum(increase(sharpeyes_canary_detection_seconds_count{{{ONE}}}[$__range])) > 0)",
                    "mean",
                ),
                width=8,
            ).min(0)
        )
    )


def _rungs() -> Iterator[tuple[str, str]]:
    """Each rung with a pattern of those that include it."""
    rungs = [rung.label for rung in Rung if rung is not Rung.NONE]
    for number, rung in enumerate(rungs):
        yield rung, "|".join(rungs[number:])


def prober() -> Dashboard:
    """How the prober itself fares."""
    good_bad = steps((None, GREEN), (1, RED))
    built = (
        dashboard(
            "sharpeyes-prober",
            "SharpEyes: the prober",
            "The monitor itself: it must be healthy before any other figure is believed.",
            {"instance": "sharpeyes_build_info"},
        )
        .with_row(Row("Now"))
        .with_panel(
            figure(
                "Answers",
                "1: Prometheus reaches the service.",
                "short",
                now(f'min(up{{job="sharpeyes", {ONE}}})'),
                steps((None, RED), (1, GREEN)),
            )
        )
        .with_panel(
            figure(
                "Blind",
                "Most probes fail for the prober's own reasons.",
                "short",
                now(f"max(sharpeyes_prober_blind{{{ONE}}})"),
                good_bad,
            )
        )
        .with_panel(
            figure(
                "Not stored",
                "The database cannot be written.",
                "short",
                now(f"max(sharpeyes_telemetry_failing{{{ONE}}})"),
                good_bad,
            )
        )
        .with_panel(
            figure(
                "Since the last probe",
                "Seconds.",
                "s",
                now(f"time() - max(sharpeyes_last_probe_timestamp_seconds{{{ONE}}})"),
                steps((None, GREEN), (60, YELLOW), (300, RED)),
            )
        )
        .with_panel(
            figure(
                "Running since",
                "",
                "dateTimeFromNow",
                now(f'min(process_start_time_seconds{{job="sharpeyes", {ONE}}}) * 1000'),
                steps((None, BLUE)),
            )
        )
        .with_panel(listing("Version", "", f"sharpeyes_build_info{{{ONE}}}", width=4).height(4))
        .with_row(Row("Probes"))
        .with_panel(
            course(
                "Probes by result",
                "'ok' or the kind of failure.",
                "ops",
                query(
                    f"sum by (result) (rate(sharpeyes_probes_total{{{ONE}}}[$__rate_interval])) > 0",
                    "{{result}}",
                ),
            )
        )
        .with_panel(
            heatmap.Panel()
            .title("Duration")
            .description("From the start of a probe to its end.")
            .datasource(SOURCE)
            .height(8)
            .span(12)
            .with_target(
                query(
                    f"sum by (le) (increase({DURATION}_bucket{{{ONE}}}[$__rate_interval]))",
                    "{{le}}",
                ).format(PromQueryFormat.HEATMAP)
            )
        )
        .with_panel(
            course(
                "Duration, half and 95 % of the probes",
                "",
                "s",
                *(
                    query(
                        f"histogram_quantile({share}, sum by (le) (rate("
                        f"{DURATION}_bucket{{{ONE}}}[$__rate_interval])))",
                        name,
                    )
                    for share, name in ((0.5, "half"), (0.95, "95 %"))
                ),
            ).min(0)
        )
        .with_panel(
            course(
                "Under way",
                "Waiting: they cost a socket until their time-out and nothing else.",
                "short",
                query(f"sum(sharpeyes_probes_in_flight{{{ONE}}})", "under way"),
                query(f"sum(sharpeyes_probes_waiting{{{ONE}}})", "of these waiting"),
            ).min(0)
        )
        .with_panel(
            course(
                "Lateness",
                "How long after its slot the latest probe began.",
                "s",
                query(f"sharpeyes_probe_lateness_seconds{{{ONE}}}", "{{instance}}"),
            ).min(0)
        )
        .with_panel(
            course(
                "Without credentials",
                "These were refused before: no account is locked by the monitor.",
                "ops",
                query(f"rate(sharpeyes_probes_withheld_total{{{ONE}}}[$__rate_interval])", "{{instance}}"),
            ).min(0)
        )
        .with_row(Row("Service"))
        .with_panel(
            course(
                "Observed, not stored yet",
                "",
                "short",
                query(f"sharpeyes_telemetry_waiting_rows{{{ONE}}}", "{{instance}}"),
                width=6,
            ).min(0)
        )
        .with_panel(
            course(
                "Event loop stood still",
                "Times an hour.",
                "short",
                query(f"increase(sharpeyes_prober_stalls_total{{{ONE}}}[1h])", "{{instance}}"),
                width=6,
            ).min(0)
        )
        .with_panel(
            course(
                "Processor",
                "1 is a whole core.",
                "short",
                query(
                    f'rate(process_cpu_seconds_total{{job="sharpeyes", {ONE}}}[$__rate_interval])',
                    "{{instance}}",
                ),
                width=6,
            ).min(0)
        )
        .with_panel(
            course(
                "Memory",
                "",
                "bytes",
                query(f'process_resident_memory_bytes{{job="sharpeyes", {ONE}}}', "{{instance}}"),
                width=6,
            ).min(0)
        )
        .with_panel(
            course(
                "Open files",
                "Sockets are most of them; dashed is the limit.",
                "short",
                query(f'process_open_fds{{job="sharpeyes", {ONE}}}', "{{instance}}"),
                query(f'process_max_fds{{job="sharpeyes", {ONE}}}', "{{instance}} limit"),
                width=6,
            ).min(0)
        )
    )
    return _canaries(_messages(built))


def cameras() -> Dashboard:
    """Cameras one by one, where the operator has switched that on."""
    return (
        dashboard(
            "sharpeyes-cameras",
            "SharpEyes: camera by camera",
            "Needs the jobs of deploy/prometheus/jobs-cameras.yaml. Cameras are named by their ids.",
            {"camera_id": "sharpeyes_camera_up"},
        )
        .with_row(Row("All of them"))
        .with_panel(
            listing(
                "Offline now",
                "At most a hundred of them.",
                'topk(100, sharpeyes_camera_up{camera_id=~"$camera_id"} == 0)',
                width=12,
            )
        )
        .with_panel(
            listing(
                "Not seen for the longest time",
                "When each was last seen by a probe: the oldest twenty, in seconds since 1970.",
                'bottomk(20, sharpeyes_camera_last_probe_timestamp_seconds{camera_id=~"$camera_id"})',
                width=12,
            )
        )
        .with_panel(
            listing(
                "Worst of the time shown",
                "Share of the samples in which the camera delivered, of those in which it was seen. The rate"
                " that counts: GET /api/v1/rates?by=camera.",
                'bottomk(20, avg_over_time(sharpeyes_camera_up{camera_id=~"$camera_id"}[$__range]))',
            )
        )
        .with_row(Row("Asked by Prometheus (/probe)"))
        .with_panel(
            course(
                "Rung",
                "5 and more: a whole keyframe came.",
                "short",
                query('sharpeyes_probe_rung{camera_id=~"$camera_id"}', "{{camera_id}}"),
            )
            .min(0)
            .max(8)
        )
        .with_panel(
            course(
                "Phases",
                "What each phase took, on average over the cameras chosen.",
                "s",
                query(
                    'avg by (phase) (sharpeyes_probe_phase_duration_seconds{camera_id=~"$camera_id"})',
                    "{{phase}}",
                ),
            ).min(0)
        )
        .with_panel(
            listing(
                "Why it stopped",
                "Phase, kind and on whose side.",
                'sharpeyes_probe_failure_info{camera_id=~"$camera_id"}',
            )
        )
    )


DASHBOARDS = {"city": city, "prober": prober, "cameras": cameras}


def render(name: str) -> str:
    """The JSON of one dashboard, as it is kept."""
    encoded = json.loads(JSONEncoder(sort_keys=True).encode(DASHBOARDS[name]().build()))
    for number, panel in enumerate(encoded["panels"], 1):
        panel["id"] = number
    return json.dumps(encoded, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def main() -> None:
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(render(name), encoding="utf-8")


if __name__ == "__main__":
    main()
