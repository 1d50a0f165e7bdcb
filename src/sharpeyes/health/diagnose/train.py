"""Train the trees of the checks that no rule decides: python -m sharpeyes.health.diagnose.train DIR

For development: needs scikit-learn (not a run-time dependency). DIR is a set with labels (labels.json:
`samples`
with id, file, refs, mode, scene, faults, tolerate). The cut of a kind is set on predictions for scenes that
the model has not seen (leave one scene out), within the false-alarm budget; then the trees are trained on all
scenes. Two runs on the same data give the same file.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sharpeyes.health.diagnose import model as models
from sharpeyes.health.diagnose.checks import CHECKS, margins, measure
from sharpeyes.health.diagnose.dataset import References, read_pair, read_samples
from sharpeyes.health.diagnose.features import Features
from sharpeyes.health.diagnose.reading import Check

TREES, DEPTH, RATE, SEEDS = 60, 3, 0.1, 4
BUDGET = 0.003
"""Share of normal samples that a kind may alarm on, in scenes not seen."""


def measure_set(directory: Path) -> tuple[list[dict[str, float]], list[dict[str, Any]]]:
    """Values and labels of every sample."""
    labels = {
        each["id"]: each
        for each in json.loads((directory / "labels.json").read_text(encoding="utf-8"))["samples"]
    }
    references = References()
    rows, kept = [], []
    for sample in read_samples(directory):
        before, after = read_pair(sample)
        known = references.of(sample)
        reference = known.get(sample.mode or "")
        foreign = next((known[m] for m in ("day", "night", "ir", "mono") if m in known), None)
        values = measure(Features(before, after, reference, foreign))
        values |= margins(values)
        values["has_ref"] = float(reference is not None)
        rows.append(values)
        kept.append(labels[sample.id])
    return rows, kept


def inputs_of(check: Check, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(check.inputs)] + ["has_ref"]


def fit(x: NDArray[np.float64], y: NDArray[np.bool_]) -> list[Any]:
    """Several forests of different seeds: their mean moves less with the data than any one of them."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-not-found, unused-ignore]

    weight = np.ones(len(y))
    weight[y] = min(5.0, (~y).sum() / max(int(y.sum()), 1) / 3)
    return [
        HistGradientBoostingClassifier(
            max_iter=TREES,
            max_depth=DEPTH,
            learning_rate=RATE,
            min_samples_leaf=6,
            l2_regularization=5.0,
            max_features=0.5,
            early_stopping=False,
            random_state=seed,
        ).fit(x, y, sample_weight=weight)
        for seed in range(SEEDS)
    ]


def margin_of(forests: list[Any], x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.mean([forest.decision_function(x) for forest in forests], axis=0), np.float64)


def choose_cut(margin: NDArray[np.float64], y: NDArray[np.bool_], normal: NDArray[np.bool_]) -> float:
    """The middle of the cuts with the best F1 within the budget."""
    best, cuts = -1.0, [0.0]
    for cut in np.linspace(-4, 5, 181):
        found = margin >= cut
        true = int((found & y).sum())
        score = 2 * true / max(1, 2 * true + int((found & ~y).sum()) + int((y & ~found).sum()))
        score -= 10 * max(0.0, float((found & normal).sum()) / max(1, int(normal.sum())) - BUDGET)
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
        return [float(f"{(float(node['value']) + baseline) / forests:.4g}")]
    return [
        int(node["feature_idx"]),
        float(f"{float(node['num_threshold']):.7g}"),
        int(node["missing_go_to_left"]),
        int(node["left"]),
        int(node["right"]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--out", type=Path, default=models.PATH)
    parser.add_argument("--oof", type=Path, help="write leave-scene-out predictions of all kinds here")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    warnings.simplefilter("ignore", RuntimeWarning)
    rows, labels = measure_set(arguments.directory)
    train(rows, labels, arguments.out, arguments.oof)


def train(
    rows: list[dict[str, float]], labels: list[dict[str, Any]], out: Path, oof: Path | None = None
) -> None:
    names = [name for name in rows[0] if name != "has_ref"]
    scenes = np.array([label["scene"] for label in labels])
    normal = np.array([not label["faults"] for label in labels])
    predictions: dict[str, dict[str, Any]] = {label["id"]: {"faults": [], "scores": {}} for label in labels}
    kinds: dict[str, Any] = {}
    lost = np.array([row["margin_signal_lost"] > 0 for row in rows])
    for check in CHECKS:
        kind = str(check.kind)
        assessable = np.array(
            [
                not check.needs_reference
                or row["has_ref"] == 1
                or (check.uses_foreign and row.get("shift_foreign") == 1)
                for row in rows
            ]
        )
        if not check.inputs:
            margin = np.array([2 * row[f"margin_{kind}"] for row in rows])
            cuts = np.zeros(len(rows))
        else:
            columns = inputs_of(check, names)
            x = np.array([[row[name] for name in columns] for row in rows])
            y = np.array([kind in label["faults"] for label in labels])
            used = (
                np.array([kind in label["faults"] or kind not in label["tolerate"] for label in labels])
                & assessable
            )
            margin = np.zeros(len(rows))
            for scene in np.unique(scenes):
                unseen = scenes == scene
                margin[unseen] = margin_of(fit(x[used & ~unseen], y[used & ~unseen]), x[unseen])
            # the cut for a scene is chosen without it as well
            cuts = np.zeros(len(rows))
            for scene in np.unique(scenes):
                others = used & (scenes != scene)
                cuts[scenes == scene] = choose_cut(margin[others], y[others], normal[others])
            cut = choose_cut(margin[used], y[used], normal[used])
            kinds[kind] = {
                "names": columns,
                "cut": round(cut, 4),
                "trees": plain_trees(fit(x[used], y[used])),
            }
        if check.inputs and check.margin is not None:
            margin = np.maximum(margin, cuts + 2 * np.array([row[f"margin_{kind}"] for row in rows]))
        for label, value, limit, can, gone in zip(labels, margin, cuts, assessable, lost, strict=True):
            if can:
                predictions[label["id"]]["scores"][kind] = float(
                    1 / (1 + np.exp(-np.clip(value - limit, -30, 30)))
                )
                if value > limit and not (gone and kind not in ("signal_lost", "corrupt", "under_exposed")):
                    predictions[label["id"]]["faults"].append(kind)
    text = json.dumps(
        {"version": hashlib.sha256(json.dumps(kinds).encode()).hexdigest()[:12], "kinds": kinds},
        separators=(",", ":"),
    )
    out.write_text(text + "\n", encoding="utf-8")
    cuts_in_words = ", ".join(f"{kind} cut {each['cut']}" for kind, each in kinds.items())
    print(f"{out}: {len(text) / 1000:.0f} kB, {cuts_in_words}")
    if oof is not None:
        oof.write_text(json.dumps(predictions), encoding="utf-8")


if __name__ == "__main__":
    main()
