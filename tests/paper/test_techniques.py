"""The CNN premodel: what it reads decides, its run is paid once, and with zero information it gains nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from premodel.paper import techniques
from premodel.paper.shared_fits import Recipe
from premodel.paper.study import Study
from premodel.training.penultimate import Penultimate
from premodel.training.tables import Tables
from profiles import make_tables

SAMPLES = 400
RAN = 0


@pytest.fixture(scope="module")
def tables() -> Tables:
    """On one half of the samples only `small` is right, on the other only `large`; image features tell nothing."""
    half = np.random.default_rng(1).random(SAMPLES) < 0.5
    return make_tables(np.stack([half, ~half], axis=1), names=("small", "large"), latency_ms=(1.0, 4.0))


@pytest.fixture(scope="module")
def study(tables: Tables) -> Study:
    reported = tables.correct("top1")[:, RAN].astype(np.float32)
    noise = np.random.default_rng(2).random((SAMPLES, 3)).astype(np.float32)
    return Study(tables, folds=4, penultimate=Penultimate("small", np.column_stack([reported, noise])))


@pytest.mark.parametrize("technique", ["logistic", "knn"])
def test_features_that_tell_are_used(study: Study, technique: str) -> None:
    served = study.served(Recipe(technique, cnn=True))
    assert served.row.accuracy == 1.0
    assert study.served(Recipe()).row.accuracy < 0.65


def test_its_network_is_paid_once(study: Study, tables: Tables) -> None:
    outcome = study.served(Recipe("logistic", cnn=True)).outcome
    answers = tables.correct("top1")[:, RAN]  # where the network that ran is also the right one to answer
    for fold in range(4):  # within one, the measured time of the decision is the same for all samples
        here = outcome.fold == fold
        alone, both = np.unique(outcome.latency_ms[here & answers]), np.unique(outcome.latency_ms[here & ~answers])
        assert both - alone == pytest.approx([4.0])
        assert alone[0] >= tables.decode_ms + 1.0
    assert outcome.ran[:, RAN].all()


@pytest.mark.parametrize("technique", ["logistic", "knn"])
def test_on_features_of_other_images_it_is_chance(study: Study, technique: str) -> None:
    blind = study.served(Recipe(technique, permuted=True, cnn=True))
    assert 0.4 < blind.row.accuracy < 0.6


def test_the_table_names_it_and_says_what_is_charged(study: Study) -> None:
    result = techniques.run(study)
    lines = {row[0]: row for row in result.tables[0].rows}
    assert lines["CNN premodel on small, logistic"][1] == 100.0
    assert 40 < float(lines["CNN premodel on small, logistic, features of other images"][1] or 0) < 60
    assert result.finding.startswith("Most accurate: CNN premodel on small, "), "it is one of the techniques"
    assert (
        "Above the random mix beyond doubt: CNN premodel on small, logistic, CNN premodel on small, KNN"
        in result.finding
    )
    said = [one for one in result.comparisons if one.what.startswith("CNN premodel")]
    assert len(said) == 4
    assert all("charged once, reading its inner tensor is not" in one.definition for one in said)


def test_without_such_features_the_row_says_so(tables: Tables) -> None:
    result = techniques.run(Study(replace(tables), folds=2))
    (row,) = [one for one in result.comparisons if "CNN" in one.what]
    assert row.ours is None
    assert "--penultimate" in row.definition
