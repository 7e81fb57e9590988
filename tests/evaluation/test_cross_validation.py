"""Cross-validation of premodels with a guarantee."""

from __future__ import annotations

import numpy as np
import pytest

from premodel.errors import OptionError
from premodel.evaluation.cross_validation import Method, cross_validate, premodel_method
from premodel.runtime.policies.base import Policy
from premodel.training.guarantee import GuaranteeError, reference_alone
from premodel.training.options import Guarantee, TrainOptions
from premodel.training.tables import Tables
from profiles import make_tables
from telling import telling_tables


@pytest.fixture(scope="module")
def tables() -> Tables:
    """Two candidates; the dear one is right more often."""
    return telling_tables(np.random.default_rng(0).random((120, 2)) < [0.7, 0.95], latency_ms=[1, 10])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fold_that_cannot_be_guaranteed_is_served_by_the_best_single_candidate(tables: Tables, workers: int) -> None:
    """Forty calibration samples allow no promise of a tenth of a point."""
    options = TrainOptions("cascade-routing", guarantee=Guarantee.parse("loss<=0.1pt@99%"))
    methods = [premodel_method("cascade-routing", options)]
    (outcome,) = cross_validate(tables, methods, criterion="top1", folds=3, workers=workers)
    assert outcome.unguaranteed == (0, 1, 2)
    assert (outcome.source == 1).all()
    assert np.array_equal(outcome.top1, tables.correct("top1")[:, 1])


def test_folds_with_and_without_a_guarantee_are_told_apart(tables: Tables) -> None:
    def fit(train: Tables, seed: int) -> Policy:
        fitted.append(train)
        options = TrainOptions("single" if len(fitted) == 2 else "cascade", guarantee=strict)
        return premodel_method("one", options).fit(train, seed)

    def alone(train: Tables, seed: int) -> Policy:
        return reference_alone(train, TrainOptions("cascade")).policy

    fitted: list[Tables] = []
    strict = Guarantee.parse("loss<=0.1pt@99%")
    (outcome,) = cross_validate(
        tables, [Method("some", "premodel", "cascade", fit, instead=alone)], criterion="top1", folds=3
    )
    assert outcome.unguaranteed == (0, 2)


def test_without_a_guarantee_every_fold_is_served_by_what_was_fitted(tables: Tables) -> None:
    options = TrainOptions("cascade-routing")
    (outcome,) = cross_validate(tables, [premodel_method("one", options)], criterion="top1", folds=3)
    assert outcome.unguaranteed == ()


def test_a_refusal_without_an_alternative_is_told(tables: Tables) -> None:
    def fit(train: Tables, seed: int) -> Policy:
        raise GuaranteeError("no")

    with pytest.raises(OptionError, match="no"):
        cross_validate(tables, [Method("one", "premodel", "cascade", fit)], criterion="top1", folds=2)


def test_one_candidate_alone_has_the_latency_of_that_candidate() -> None:
    """The time of a decision that is always the same would make two figures of one thing."""
    rng = np.random.default_rng(0)
    tables = make_tables(rng.random((60, 2)) < [0.5, 0.9], latency_ms=[1.0, 3.0], decode_ms=0.25)
    (alone,) = cross_validate(tables, [premodel_method("alone", TrainOptions("single"))], criterion="top1", folds=3)
    assert (alone.latency_ms == 3.25).all()
