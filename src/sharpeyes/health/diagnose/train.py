"""Train the trees of the checks that no rule decides: python -m sharpeyes.health.diagnose.train DIR

For development: needs scikit-learn (not a run-time dependency). DIR is a set with labels (labels.json:
`samples` with id, file, refs, mode, scene, faults, tolerate, severity, hard). Its own samples are joined by
faults made on its normal pictures, seen by made cameras (`made`), and by places drawn by code (`drawn`). Two
runs on the same data give the same file.

What is reported is leave one scene out: for every scene, trees and cuts are made without it, without what was
made from it, and tried on it. The cut of a kind keeps a false-alarm budget on scenes not seen. Kinds that a
rule decides have limits set by hand with all scenes in view: their figures are marked so.

The shipped model.json is what this command writes, with no other option, from the public development set of
nine scenes and the drawn places, and from nothing else: some 10,000 samples, eight minutes of CPU to measure
them and six to fit. The model says under `made_with` what set that was (:func:`digest`). With --kept the
measurements stay in a directory, so that a fit can be repeated: remove it when a measurement changes.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.health.diagnose import made
from sharpeyes.health.diagnose import model as models
from sharpeyes.health.diagnose.checks import CHECKS, margins, measure
from sharpeyes.health.diagnose.clip import read_clip
from sharpeyes.health.diagnose.dataset import References, Sample, read_pair, read_samples
from sharpeyes.health.diagnose.diagnosis import CHECKS_VERSION, MAY_LACK_SIGNAL
from sharpeyes.health.diagnose.drawn import DRAWN, drawn_scene
from sharpeyes.health.diagnose.features import Features
from sharpeyes.health.diagnose.picture import Picture
from sharpeyes.health.diagnose.reading import Check, settled
from sharpeyes.health.diagnose.reference import ModeReference, learn

TREES, DEPTH, RATE, SEEDS = 50, 3, 0.13, 2
BUDGET = 0.003
"""Share of normal samples that a kind may alarm on, in scenes not seen."""
CAMERAS = 3
"""Cameras made from a scene, the first of them the scene as it is."""
MADE_WEIGHT = 0.4
"""Of a made sample beside a sample of the set."""
CUT_WEIGHT = 0.2
"""The same where the cut of such a kind is chosen:"""
CUT_BY_MADE = frozenset({"corrupt", "occluded", "scene_shift"})
"""Kinds that the set has too few samples of for a steady cut, and that are made much as they happen. A made
lens is soft and a made tint is even: the cuts of the others stand on the set alone."""
EVEN = -0.5
"""Log-odds below which no cut of the others goes: few samples let it fall far before an alarm stops it."""
PLACES = 20
"""Drawn places beside the set's scenes."""
FROM_DRAWN = frozenset({"scene_shift", "stripes"})
"""Kinds that learn from drawn places too: their false alarms come from a place's own edges and patterns, and
drawing varies these well. What covers and damage look like is learned from real pictures alone."""
_MODES = ("day", "night", "ir", "mono")


@dataclass(frozen=True, slots=True)
class Row:
    """A measured sample."""

    id: str | None
    """None: a made one."""
    scene: str
    also: str | None
    """Another scene that is seen in it."""
    values: dict[str, float]
    faults: frozenset[str]
    tolerate: frozenset[str]
    severity: int
    hard: str | None


def _values(
    before: Picture | None, after: Picture, known: Mapping[str, ModeReference], mode: str
) -> dict[str, float]:
    reference = known.get(mode)
    foreign = next((known[m] for m in _MODES if m in known), None)
    values = measure(Features(before, after, reference, foreign))
    values |= margins(values)
    values["has_ref"] = float(reference is not None)
    return values


def measure_scene(directory: Path, name: str, cameras: int, kept: Path | None = None) -> list[Row]:
    """The scene's samples, and those made from it; out of `kept` if they were measured before."""
    file = None if kept is None else kept / f"{name}-{cameras}.pickle"
    if file is None or not file.exists():
        rows = _measured(directory, name, cameras)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(pickle.dumps(rows))
        return rows
    return _kept(file)


def _kept(file: Path) -> list[Row]:
    rows: list[Row] = pickle.loads(file.read_bytes())  # noqa: S301 (our own, of an earlier run)
    for row in rows:
        row.values.update(margins(row.values))
    return rows


def _measured(directory: Path, name: str, cameras: int) -> list[Row]:
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore", RuntimeWarning)
    labels = {each["id"]: each for each in _labels(directory)}
    samples = read_samples(directory)
    references = References()
    rows = []
    for sample in samples:
        label = labels[sample.id]
        if label["scene"] != name:
            continue
        before, after = read_pair(sample)
        values = _values(before, after, references.of(sample), sample.mode or "")
        faults, tolerate = frozenset(label["faults"]), frozenset(label["tolerate"])
        rows.append(
            Row(sample.id, name, None, values, faults, tolerate, label["severity"], label.get("hard"))
        )
    return rows + list(_made_rows(samples, labels, name, cameras))


def _made_rows(
    samples: Sequence[Sample], labels: Mapping[str, Any], name: str, cameras: int
) -> Iterator[Row]:
    names = sorted({label["scene"] for label in labels.values()})
    scenes = {each: _scene(samples, labels, each, full=each == name) for each in names}
    others = [scenes[each] for each in names if each != name]
    yield from _rows_of(name, made.made_cameras(scenes[name], others, cameras, names.index(name)))


def measure_drawn(number: int, kept: Path | None = None) -> list[Row]:
    """What is made from the drawn place of this number; out of `kept` if it was measured before."""
    file = None if kept is None else kept / f"drawn-{number}.pickle"
    if file is not None and file.exists():
        return _kept(file)
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore", RuntimeWarning)
    scene, *others = (drawn_scene(number + step) for step in (0, 1, 2))
    rows = list(_rows_of(scene.name, made.made_cameras(scene, others, 1, 1000 + number, known=False)))
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(rows))
    return rows


def _rows_of(
    name: str, cameras: Iterator[tuple[int, dict[str, list[bytes]], list[made.MadeSample]]]
) -> Iterator[Row]:
    for _, streams, made_samples in cameras:
        known = {
            mode: learn([Picture.from_frame(frame) for frame in made.decode(units)], mode)
            for mode, units in streams.items()
        }
        for each in made_samples:
            pictures = [Picture.from_frame(frame) for frame in made.decode(each.units)]
            if len(pictures) != 2:
                continue
            mine = {mode: reference for mode, reference in known.items() if mode in each.known}
            values = _values(pictures[0], pictures[1], mine, each.mode)
            faults, tolerate = frozenset(each.faults), frozenset(each.tolerate)
            yield Row(None, name, each.also, values, faults, tolerate, each.severity, each.hard)


def _scene(samples: Sequence[Sample], labels: Mapping[str, Any], name: str, *, full: bool) -> made.Scene:
    """All normal pairs of a scene, or of another scene some: to be looked at instead."""
    mine = [sample for sample in samples if labels[sample.id]["scene"] == name]
    normals = [sample for sample in mine if not labels[sample.id]["faults"]]
    if not full:
        normals = [sample for sample in normals if not labels[sample.id].get("hard")]
    pairs = [(s.mode or "", labels[s.id].get("hard"), [p.bgr for p in read_clip(s.file)]) for s in normals]
    files = {mode: file for sample in mine for mode, file in sample.references} if full else {}
    return made.Scene(name, pairs, {mode: [p.bgr for p in read_clip(file)] for mode, file in files.items()})


def _labels(directory: Path) -> list[dict[str, Any]]:
    plain = json.loads((directory / "labels.json").read_text(encoding="utf-8"))
    return list(plain["samples"])


def digest(directory: Path) -> str:
    """What the set is, in sixteen digits: of the labels and of every file that they name, in their order."""
    labels = _labels(directory)
    names = sorted(
        {each["file"] for each in labels} | {f for each in labels for f in (each["refs"] or {}).values()}
    )
    whole = hashlib.sha256((directory / "labels.json").read_bytes())
    for name in names:
        whole.update(hashlib.sha256((directory / name).read_bytes()).digest())
    return whole.hexdigest()[:16]


# --- trees ----------------------------------------------------------------------------------------------


def inputs_of(check: Check, names: Sequence[str]) -> list[str]:
    return [name for name in names if name.startswith(check.inputs)] + ["has_ref"]


def fit(x: NDArray[np.float64], y: NDArray[np.bool_], weight: NDArray[np.float64]) -> list[Any]:
    """Several forests of different seeds: their mean moves less with the data than any one of them."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-not-found, unused-ignore]

    weight = weight.copy()
    weight[y] *= min(5.0, (~y).sum() / max(int(y.sum()), 1) / 3)
    return [
        HistGradientBoostingClassifier(
            max_iter=TREES,
            max_depth=DEPTH,
            learning_rate=RATE,
            min_samples_leaf=6,
            l2_regularization=5.0,
            max_features=0.3,
            early_stopping=False,
            random_state=seed,
        ).fit(x, y, sample_weight=weight)
        for seed in range(SEEDS)
    ]


def margin_of(forests: list[Any], x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.mean([forest.decision_function(x) for forest in forests], axis=0), np.float64)


def choose_cut(
    margin: NDArray[np.float64],
    y: NDArray[np.bool_],
    normal: NDArray[np.bool_],
    weight: NDArray[np.float64],
    least: float,
) -> float:
    """The middle of the cuts from `least` on with the best F1 within the budget."""
    best, cuts = -1.0, [0.0]
    for cut in np.linspace(least, 5, 181):
        found = margin >= cut
        true, wrong, missed = (float(weight[each].sum()) for each in (found & y, found & ~y, y & ~found))
        score = 2 * true / max(1.0, 2 * true + wrong + missed)
        share = float(weight[found & normal].sum()) / max(1.0, float(weight[normal].sum()))
        score -= 10 * max(0.0, share - BUDGET)
        if score > best + 1e-9:
            best, cuts = score, [float(cut)]
        elif score > best - 1e-9:
            cuts.append(float(cut))
    return float(np.mean([cuts[0], cuts[-1]]))


def plain_trees(forests: list[Any]) -> list[list[list[float]]]:
    """scikit-learn's trees in the model's own form; a forest's baseline goes into its first tree's leaves."""
    out: list[list[list[float]]] = []
    for forest in forests:
        baseline = float(forest._baseline_prediction.ravel()[0])
        for (predictor,) in forest._predictors:
            out.append([_plain_node(node, baseline, len(forests)) for node in predictor.nodes])
            baseline = 0.0
    return out


def _plain_node(node: Any, baseline: float, forests: int) -> list[float]:
    if node["is_leaf"]:
        return [float(f"{(float(node['value']) + baseline) / forests:.3g}")]
    return [
        int(node["feature_idx"]),
        float(f"{float(node['num_threshold']):.5g}"),
        int(node["missing_go_to_left"]),
        int(node["left"]),
        int(node["right"]),
    ]


# --- all of it ------------------------------------------------------------------------------------------


def recorded() -> dict[str, Any]:
    """What a model is made with, as far as the code says: a model of other code shall not be shipped."""
    return {
        "checks": CHECKS_VERSION,
        "trees": [TREES, DEPTH, RATE, SEEDS],
        "cameras": CAMERAS,
        "made_weight": [MADE_WEIGHT, CUT_WEIGHT, *sorted(CUT_BY_MADE)],
        "places": [PLACES, *sorted(FROM_DRAWN)],
        "budget": BUDGET,
    }


def _fit_kind(rows: Sequence[Row], kind: str) -> tuple[NDArray[np.float64], list[list[list[float]]]]:
    """Margins of each scene's samples by trees made without that scene; the trees made with all."""
    check = next(check for check in CHECKS if check.kind == kind)
    margin = np.zeros(len(rows))
    chosen = np.array([not row.scene.startswith(DRAWN) or kind in FROM_DRAWN for row in rows])
    rows = [row for row, there in zip(rows, chosen, strict=True) if there]
    columns = inputs_of(check, [name for name in rows[0].values if name != "has_ref"])
    x = np.array([[row.values[name] for name in columns] for row in rows])
    y = np.array([kind in row.faults for row in rows])
    used = np.array([kind in row.faults or kind not in row.tolerate for row in rows])
    scenes = np.array([row.scene for row in rows])
    also = np.array([row.also or "" for row in rows])
    own = np.array([row.id is not None for row in rows])
    weight = np.where(own, 1.0, MADE_WEIGHT)
    unseen_margin = np.zeros(len(rows))
    for scene in np.unique(scenes[own]):
        seen = used & (scenes != scene) & (also != scene)
        unseen = scenes == scene
        unseen_margin[unseen] = margin_of(fit(x[seen], y[seen], weight[seen]), x[unseen])
    margin[chosen] = unseen_margin
    return margin, plain_trees(fit(x[used], y[used], weight[used]))


def train(rows: Sequence[Row], out: Path, jobs: int = 2, *, data: str = "") -> dict[str, dict[str, Any]]:
    """Write the model; the leave-one-scene-out predictions of the set's own samples, by id."""
    names = [name for name in rows[0].values if name != "has_ref"]
    scenes = np.array([row.scene for row in rows])
    own = np.array([row.id is not None for row in rows])
    normal = np.array([not row.faults for row in rows])
    real = np.array([not row.scene.startswith(DRAWN) for row in rows])
    weight = np.where(own, 1.0, CUT_WEIGHT)
    lost = np.array([row.values["margin_signal_lost"] > 0 for row in rows])
    predictions: dict[str, dict[str, Any]] = {row.id: {"faults": [], "scores": {}} for row in rows if row.id}
    trained = [check for check in CHECKS if check.inputs]
    with ProcessPoolExecutor(jobs) as pool:
        parts = pool.map(_fit_kind, [rows] * len(trained), [str(check.kind) for check in trained])
        fitted = dict(zip([str(check.kind) for check in trained], parts, strict=True))
    kinds: dict[str, Any] = {}
    for check in CHECKS:
        kind = str(check.kind)
        y = np.array([kind in row.faults for row in rows])
        used = np.array([kind in row.faults or kind not in row.tolerate for row in rows])
        can = np.array([_can(check, row.values) for row in rows])
        rule = np.array([2 * row.values.get(f"margin_{kind}", 0.0) for row in rows])
        margin, cuts = rule, np.zeros(len(rows))
        if check.inputs:
            columns = inputs_of(check, names)
            unseen, trees = fitted[kind]
            margin = check.rule_weight * rule + unseen
            least = -4.0 if kind in CUT_BY_MADE else EVEN
            judged = used & can & (own | (real & (kind in CUT_BY_MADE)))
            # what is taken back of the scenes at hand shall not let the cut fall
            lenient = replace(check, unless=None, lone=0.0)
            given = np.array([_settled(lenient, *each) for each in zip(margin, rows, strict=True)])
            margin = np.array([_settled(check, *each) for each in zip(margin, rows, strict=True)])
            # the cut for a scene is chosen without it as well
            for scene in np.unique(scenes[own]):
                rest = judged & (scenes != scene)
                cuts[scenes == scene] = choose_cut(given[rest], y[rest], normal[rest], weight[rest], least)
            cut = choose_cut(given[judged], y[judged], normal[judged], weight[judged], least)
            kinds[kind] = {"names": columns, "cut": round(cut, 4), "trees": trees}
        for i in np.flatnonzero(own & can).tolist():
            value = float(np.clip(margin[i] - cuts[i], -30, 30))
            prediction = predictions[rows[i].id or ""]
            prediction["scores"][kind] = 1 / (1 + float(np.exp(-value)))
            if value > 0 and not (lost[i] and check.kind not in MAY_LACK_SIGNAL):
                prediction["faults"].append(kind)
    text = json.dumps(
        {
            "version": hashlib.sha256(json.dumps(kinds).encode()).hexdigest()[:12],
            "made_with": recorded() | {"samples": len(rows), "data": data},
            "kinds": kinds,
        },
        separators=(",", ":"),
    )
    out.write_text(text + "\n", encoding="utf-8")
    cuts_in_words = ", ".join(f"{kind} cut {each['cut']}" for kind, each in kinds.items())
    print(f"{out}: {len(text) / 1000:.0f} kB, {cuts_in_words}")
    return predictions


def _settled(check: Check, margin: float, row: Row) -> float:
    """The margin, out of every cut's reach where a rule decides alone."""
    least, most = (settled(check, end, row.values) for end in (-1000.0, 1000.0))
    return 30.0 if least > 0 else -30.0 if most <= 0 else settled(check, margin, row.values)


def _can(check: Check, values: Mapping[str, float]) -> bool:
    known = not check.needs_reference or values["has_ref"] == 1
    other_mode = check.uses_foreign or check.by_other_mode is not None
    return known or (other_mode and values["shift_foreign"] == 1)


def report(rows: Sequence[Row], predictions: Mapping[str, Mapping[str, Any]]) -> None:
    """Leave-one-scene-out figures by kind, severity, scene and kind of hard normal."""
    own = [(row, frozenset(predictions[row.id]["faults"])) for row in rows if row.id is not None]
    print(f"{'kind':14s} {'F1':>6s} {'P':>6s} {'R':>6s}  {'R >= 2':>6s}  on normals  recall by severity")
    for check in CHECKS:
        kind = str(check.kind)
        mark = "" if check.inputs else "  (limits set by hand, all scenes in view)"
        f1, precision, recall = _figures(own, kind)
        grave = _recall([(r, f) for r, f in own if r.severity >= 2], kind)
        alarms = sum(kind in found for row, found in own if not row.faults)
        by = {s: _recall([(r, f) for r, f in own if r.severity == s], kind) for s in (1, 2, 3)}
        words = " ".join(f"{s}: {share:.2f}" for s, share in by.items() if share == share)
        figures = f"{f1:6.3f} {precision:6.3f} {recall:6.3f}  {grave:6.3f}"
        print(f"{kind:14s} {figures}  {alarms:10d}  {words}{mark}")
    print(f"macro F1 {_macro(own):.3f}; false alarms {_alarms(own):.2%}")
    for scene in sorted({row.scene for row, _ in own}):
        mine = [(row, found) for row, found in own if row.scene == scene]
        print(f"  {scene:14s} macro F1 {_macro(mine):.3f}, false alarms {_alarms(mine):.2%}")
    for hard in sorted({row.hard or "" for row, _ in own}):
        mine = [(row, found) for row, found in own if (row.hard or "") == hard]
        if any(not row.faults for row, _ in mine):
            print(f"  {hard or 'clean':14s} false alarms {_alarms(mine):.2%}")


_Judged = Sequence[tuple[Row, frozenset[str]]]


def _figures(judged: _Judged, kind: str) -> tuple[float, float, float]:
    true = sum(kind in row.faults and kind in found for row, found in judged)
    wrong = sum(
        kind in found and kind not in row.faults and kind not in row.tolerate for row, found in judged
    )
    there = sum(kind in row.faults for row, _ in judged)
    precision, recall = true / max(1, true + wrong), true / max(1, there)
    return 2 * true / max(1, true + wrong + there), precision, recall


def _recall(judged: _Judged, kind: str) -> float:
    there = [kind in found for row, found in judged if kind in row.faults]
    return float(np.mean(there)) if there else float("nan")


def _macro(judged: _Judged) -> float:
    there = {kind for row, _ in judged for kind in row.faults}
    return float(np.mean([_figures(judged, kind)[0] for kind in sorted(there)]))


def _alarms(judged: _Judged) -> float:
    alarms = [bool(found) for row, found in judged if not row.faults]
    return float(np.mean(alarms)) if alarms else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--out", type=Path, default=models.PATH)
    parser.add_argument("--oof", type=Path, help="write the leave-one-scene-out predictions here")
    parser.add_argument("--cameras", type=int, default=CAMERAS, help="made from every scene")
    parser.add_argument("--places", type=int, default=PLACES, help="drawn beside the set's scenes")
    parser.add_argument("--kept", type=Path, metavar="DIR", help="keep the measurements here, or use them")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    # threads that wait for each other do badly on a machine with other work
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    scenes = sorted({label["scene"] for label in _labels(arguments.directory)})
    with ProcessPoolExecutor(arguments.jobs) as pool:
        parts = [
            pool.submit(measure_scene, arguments.directory, scene, arguments.cameras, arguments.kept)
            for scene in scenes
        ]
        parts += [pool.submit(measure_drawn, number, arguments.kept) for number in range(arguments.places)]
        rows = [row for part in parts for row in part.result()]
    predictions = train(rows, arguments.out, arguments.jobs, data=digest(arguments.directory))
    report(rows, predictions)
    if arguments.oof is not None:
        arguments.oof.write_text(json.dumps(predictions), encoding="utf-8")


if __name__ == "__main__":
    main()
