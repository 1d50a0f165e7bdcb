"""Small trees that weigh the evidence where no single limit does: trained by `train`, read from one file.

model.json (plain text, about 100 KB) has per kind: the names of the values that it reads, boosted trees of
depth <= 3 (feature, limit, whether "unknown" goes left, children or leaf value), and the cut that the
false-alarm budget allows. Every split is on a value that the checks measure and can show.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PATH = Path(__file__).with_name("model.json")


@dataclass(frozen=True, eq=False)
class Forest:
    """Boosted trees as flat arrays, all trees walked at once."""

    names: tuple[str, ...]
    cut: float
    feature: NDArray[np.intp]
    limit: NDArray[np.float64]
    left: NDArray[np.intp]
    right: NDArray[np.intp]
    unknown_left: NDArray[np.bool_]
    leaf: NDArray[np.float64]
    roots: NDArray[np.intp]
    depth: int

    def margin(self, values: Mapping[str, float]) -> float:
        """Log-odds above the cut: > 0 is a fault."""
        x = np.array([values[name] for name in self.names])
        at = self.roots
        for _ in range(self.depth):
            seen = x[self.feature[at]]
            go_left = np.where(np.isnan(seen), self.unknown_left[at], seen <= self.limit[at])
            # a leaf points at itself both ways
            at = np.where(go_left, self.left[at], self.right[at])
        return float(self.leaf[at].sum()) - self.cut

    @classmethod
    def from_plain(cls, plain: Mapping[str, object]) -> Forest:
        """From the file's form: {names, cut, trees: [[[feature, limit, unknown_left, left, right] |
        [value]]]}.
        """
        trees: Sequence[Sequence[Sequence[float]]] = plain["trees"]  # type: ignore[assignment]
        rows: list[tuple[int, float, int, int, bool, float]] = []
        roots = []
        for tree in trees:
            base = len(rows)
            roots.append(base)
            for i, node in enumerate(tree):
                if len(node) == 1:
                    rows.append((0, 0.0, base + i, base + i, True, float(node[0])))
                else:
                    feature, limit, unknown_left, left, right = node
                    rows.append(
                        (
                            int(feature),
                            float(limit),
                            base + int(left),
                            base + int(right),
                            bool(unknown_left),
                            0.0,
                        )
                    )
        feature_, limit_, left_, right_, unknown_, leaf_ = zip(*rows, strict=True) if rows else ((),) * 6
        return cls(
            names=tuple(str(name) for name in plain["names"]),  # type: ignore[attr-defined]
            cut=float(plain["cut"]),  # type: ignore[arg-type]
            feature=np.array(feature_, np.intp),
            limit=np.array(limit_, np.float64),
            left=np.array(left_, np.intp),
            right=np.array(right_, np.intp),
            unknown_left=np.array(unknown_, np.bool_),
            leaf=np.array(leaf_, np.float64),
            roots=np.array(roots, np.intp),
            depth=3,
        )


@dataclass(frozen=True, eq=False)
class Model:
    version: str
    forests: Mapping[str, Forest]


@cache
def load(path: Path = PATH) -> Model:
    """The shipped model. Raises FileNotFoundError when the package was built without it."""
    plain = json.loads(path.read_text(encoding="utf-8"))
    return Model(plain["version"], {kind: Forest.from_plain(each) for kind, each in plain["kinds"].items()})
