"""docs/states.md, drawn from the tables that the judge runs on: ``python -m sharpeyes.health.states``."""

from __future__ import annotations

import sys

from sharpeyes.domain.health import PictureFault, Rung, State
from sharpeyes.health import sight
from sharpeyes.health.judge import TRANSITIONS, Evidence, Needs, Policy
from sharpeyes.health.severity import MEANINGS

_EVIDENCE = {
    Evidence.PASSING: "passes",
    Evidence.DELIVERING: "passes or degraded",
    Evidence.LACKING: "degraded or fails",
    Evidence.FAILING: "fails",
    Evidence.BLIND: "a probe that failed on our side",
    Evidence.GAP: "no observation while the last one was valid",
    Evidence.RESTART: "the monitor was not running",
    Evidence.DISOWNED: "our own view of its zone was lost, and is back",
    Evidence.SET_BACK: "our own clock was ahead, and is set back",
    Evidence.MAINTENANCE_BEGINS: "declared out of service",
    Evidence.MAINTENANCE_ENDS: "declared in service",
}
_STATES = {
    State.ONLINE: "it delivers",
    State.DEGRADED: "it delivers, with a fault that a viewer would notice",
    State.OFFLINE: "it does not deliver, or nothing of its place is seen",
    State.UNKNOWN: "we could not see: outside every rate, shown as missing coverage",
    State.MAINTENANCE: "declared out of service by its owner: not obliged",
}
_HINDSIGHT: list[tuple[str, ...]] = [
    (
        "a canary of the zone is not seen as what it shows: our view of the zone is lost",
        "`unknown` (`prober_canary`), whatever the probes say; judged anew once the canary is seen again",
        "the last instant at which the canary was seen right",
    ),
    (
        "many unrelated cameras of a zone fell at once: more likely our network than all of theirs",
        "`unknown` (`prober_mass`) instead of `offline`; a probe that passes counts. An operator may say that"
        " it was real: then it counts as it was seen, rungs included",
        "each camera's fall",
    ),
    (
        "a recorder, switch, link or site above the camera is at fault",
        "`offline` as before, with the cause `upstream`",
        "the camera's fall, until the fault above has ended",
    ),
]
_RUNGS = {
    Rung.NONE: "nothing answered",
    Rung.REACHABLE: "the transport connection stands",
    Rung.RTSP: "the peer answers RTSP",
    Rung.AUTHENTICATED: "the stream was described to us",
    Rung.MEDIA: "RTP flows",
    Rung.KEYFRAME: "a whole keyframe arrived",
    Rung.DECODED: "the keyframe decodes to a picture",
    Rung.CHANGING: "the picture is of now: neither frozen nor without signal",
    Rung.USABLE: "no critical fault of the picture",
}


def draw() -> str:
    """The page, as Markdown."""
    policy = Policy()
    lines = [
        "# States, rungs and faults of the picture",
        "",
        "Drawn from the code by `python -m sharpeyes.health.states > docs/states.md`; a test keeps it so.",
        "",
        "## States",
        "",
        *_table(("state", "means"), [(f"`{state}`", _STATES[state]) for state in State]),
        "",
        "From one to another. Of the rows that apply the first is taken; the change is dated back as the last"
        " column says, so that waiting for confirmation gives no time away.",
        "",
        *_table(
            ("from", "evidence", "in a row", "to", "dated to"),
            [
                (
                    ", ".join(f"`{state}`" for state in row.states),
                    _EVIDENCE[row.evidence],
                    str(_needed(row.needs, policy)),
                    f"`{row.to}`",
                    row.since,
                )
                for row in TRANSITIONS
            ],
        ),
        "",
        "```mermaid",
        "stateDiagram-v2",
        *(
            f"    {state} --> {row.to}: {_EVIDENCE[row.evidence]} x{_needed(row.needs, policy)}"
            for row in TRANSITIONS
            for state in row.states
        ),
        "```",
        "",
        "## When we know better than the probes",
        "",
        "What the probes of a camera say is recorded, unless more is known than one camera can tell. What"
        " they alone say is kept beside it.",
        "",
        *_table(("what is known", "recorded as", "from"), _HINDSIGHT),
        "",
        "## Rungs",
        "",
        "How far up the ladder a camera comes, each rung with those below it. Up to `keyframe` every probe"
        " tells; above that a look at the picture does. The rung over time follows the rules of the state.",
        "",
        *_table(("rung", "means"), [(f"`{rung.label}`", _RUNGS[rung]) for rung in Rung]),
        "",
        "## What a fault of the picture leads to",
        "",
        f"A fault is raised when {sight.NEEDED} of the last {sight.OF} looks that could judge it showed it,"
        f" dated to the first of them, and cleared when {sight.CLEAR} in a row did not. While it stands, each"
        " probe of the camera counts as the state given here would have it; the confirmation above comes on"
        " top. **Bold**: critical, the picture is not *usable*.",
        "",
        *_table(
            ("fault", "severity 1", "severity 2", "severity 3", "why"),
            [(f"`{kind}`", *_cells(kind), MEANINGS[kind].reason) for kind in MEANINGS],
        ),
    ]
    return "\n".join(lines) + "\n"


def _needed(needs: Needs, policy: Policy) -> int:
    return {Needs.ONCE: 1, Needs.PASSES: policy.passes, Needs.FAILS: policy.fails}[needs]


def _cells(kind: PictureFault) -> list[str]:
    meaning = MEANINGS[kind]
    return [
        f"**{state}**" if critical else state.value
        for state, critical in zip(meaning.states, meaning.critical, strict=True)
    ]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


if __name__ == "__main__":
    sys.stdout.write(draw())
