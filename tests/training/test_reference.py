"""The reference in a bundle: what its own premodel does with the profiled images."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import premodel
from bundles import profile_of, small_zoo
from policy_makers import make_select
from premodel.runtime.reference import CONFIDENCE, PROBABILITY, reference_of
from premodel.training.options import TrainOptions
from premodel.training.package import package
from premodel.training.reference import training_reference
from premodel.training.simulate import simulate
from premodel.training.train import train
from premodel.zoo.manifest import read_zoo


@pytest.mark.parametrize("policy", ["single", "select", "cascade", "cascade-routing"])
def test_it_counts_what_the_premodel_does(tmp_path: Path, policy: str) -> None:
    small = small_zoo(tmp_path / "zoo", n=40)
    tables, options = profile_of(small), TrainOptions(policy)
    path = tmp_path / "a.premodel"
    package(train(tables, options), tables, read_zoo(small.zoo).candidates, options, path)
    with premodel.load(path) as clf:
        reference = reference_of(clf.bundle.training_record, "a")
        answers = [clf.predict(image) for image in small.images]
    assert reference is not None
    assert reference.choices == Counter(answer.candidate or "" for answer in answers)
    sure = [
        reference.binned(answer.confidence, answer.probability) for answer in answers if answer.probability is not None
    ]
    counts, _ = np.histogram(sure, [-np.inf, *reference.edges, np.inf])
    assert reference.confidence == tuple(counts)
    assert min(counts) > 0, "every bin has a share of the training"
    assert len(counts) > 1, "what has one bin cannot move"
    assert reference.of == (PROBABILITY if policy == "single" else CONFIDENCE)
    assert reference.labels == Counter(answer.label for answer in answers if answer.label is not None)


def test_a_confidence_that_differs_by_candidate_alone_is_not_binned(tmp_path: Path) -> None:
    """A stand-in of policy `single` has an accuracy of its own; neither tells one input from another."""
    tables = profile_of(small_zoo(tmp_path / "zoo", n=40))
    labels, probabilities = tables.top_labels.copy(), tables.top_probabilities.copy()
    first = tables.candidates.index(train(tables, TrainOptions("single")).policy.candidates[0])
    labels[0, first], probabilities[0, first] = -1, 0
    failing = replace(tables, top_labels=labels, top_probabilities=probabilities)
    served = simulate(train(tables, TrainOptions("single")).policy, failing)
    assert len(np.unique(served.confidence)) == 2
    assert training_reference(served).of == PROBABILITY


def test_abstentions_are_a_choice_without_confidence(tmp_path: Path) -> None:
    tables = profile_of(small_zoo(tmp_path / "zoo"))
    served = simulate(make_select(tables, "first-yes", "knn", "optimum", None), tables)
    reference = training_reference(served)
    assert reference.choices[""] == served.abstained.sum() > 0
    assert sum(reference.confidence) == (~served.abstained).sum()
    assert sum(reference.choices.values()) == len(tables)
