"""The shipped model was made with the code beside it."""

from __future__ import annotations

import json

import pytest

from sharpeyes.health.diagnose import model as models
from sharpeyes.health.diagnose import train
from sharpeyes.health.diagnose.checks import CHECKS, margins, measure
from sharpeyes.health.diagnose.features import Features
from sharpeyes.health.diagnose.picture import Picture

PLAIN = json.loads(models.PATH.read_text(encoding="utf-8"))
TRAINED = [check for check in CHECKS if check.inputs]


def test_it_says_what_it_was_made_with_and_that_is_the_code_of_now() -> None:
    made_with = dict(PLAIN["made_with"])
    assert made_with.pop("samples") > 5000
    assert len(made_with.pop("data")) == 16
    assert made_with == train.recorded()


def test_every_check_that_reads_trees_has_its_own_and_no_other_kind_has_any() -> None:
    assert set(PLAIN["kinds"]) == {str(check.kind) for check in TRAINED}


@pytest.mark.parametrize("check", TRAINED, ids=lambda check: str(check.kind))
def test_the_trees_read_the_values_that_the_checks_measure_now(check: train.Check) -> None:
    import numpy as np

    grey, half = np.full((360, 640), 128, np.uint8), np.full((180, 320), 128, np.uint8)
    values = measure(Features(None, Picture(grey, half, half), None))
    values |= margins(values)
    assert set(PLAIN["kinds"][str(check.kind)]["names"]) == set(train.inputs_of(check, list(values)))


def test_the_file_is_small() -> None:
    assert models.PATH.stat().st_size < 250_000
