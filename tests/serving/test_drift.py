"""Drift of the choice mix and of confidence against training."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import premodel
from bundles import Made, bundle_of, make_bundle
from policy_makers import MAKERS
from premodel.errors import BundleError
from premodel.runtime.answer import Answer
from premodel.runtime.bundle import write_bundle
from premodel.runtime.reference import Reference
from premodel.serving.drift import MIN_ANSWERS, WINDOW, Drift, label_groups, population_stability_index
from premodel.training.reference import training_reference
from premodel.training.simulate import simulate
from serving_client import INFER, binary_request, samples


@pytest.fixture(scope="module")
def referred(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A premodel with a reference of its training."""
    made = make_bundle(tmp_path_factory.mktemp("referred"), MAKERS["select, the paper's chain"])
    reference = training_reference(simulate(made.policy, made.tables))
    return with_reference(made, reference.to_json())


def with_reference(made: Made, reference: Any) -> Made:
    bundle = bundle_of(made.small, made.tables, made.policy)
    write_bundle(made.path, replace(bundle, training_record={"reference": reference}), folder=made.small.zoo.parent)
    return made


def test_the_index_by_hand() -> None:
    """Half and half against three quarters and one: 0.25 ln 1.5 - 0.25 ln 0.5."""
    million = 1_000_000
    even, skewed = {"a": million, "b": million}, {"a": 3 * million, "b": million}
    assert population_stability_index(even, skewed) == pytest.approx(0.25 * math.log(3), abs=1e-5)
    assert population_stability_index(skewed, even) == pytest.approx(0.25 * math.log(3), abs=1e-5)
    assert population_stability_index(even, even) == 0
    assert population_stability_index({"a": 1000}, {"b": 1000}) > 10, "large and finite"


def test_none_before_there_are_answers_enough() -> None:
    drift = Drift(Reference({"a": 10}, (), (10,)))
    assert drift.values() == {}
    assert drift.answers == 0


def test_one_candidate_alone_has_no_choice_to_watch_and_blurred_images_are_seen(tmp_path: Path, serving: Any) -> None:
    """Its choice cannot move; the probability of its answers and the labels that it serves can."""
    made = make_bundle(tmp_path, MAKERS["single"])
    served = simulate(made.policy, made.tables)
    made = with_reference(made, training_reference(served).to_json())
    images = list(made.small.images)
    with premodel.load(made.path) as clf:
        surest = max(images, key=lambda path: clf.predict(path).probability or 0)
    with serving(made.path) as (client, _):
        while samples(client)["premodel_drift_answers",] < MIN_ANSWERS:
            ask(client, images)
        found = samples(client)
        assert ("premodel_drift_psi", "choice") not in found
        assert found["premodel_drift_psi", "confidence"] < 0.02
        assert found["premodel_drift_psi", "label"] < 0.02
        for _ in range(WINDOW // 24 + 1):
            ask(client, [surest] * 24)
        found = samples(client)
        assert found["premodel_drift_psi", "confidence"] > 0.25
        assert found["premodel_drift_psi", "label"] > 0.25


def test_a_distribution_of_one_bin_is_no_monitor() -> None:
    """Bundles made before the probability took the place of a constant confidence have one bin."""
    drift = Drift(Reference({"a": 10}, (), (10,)), chooses=False)
    for _ in range(MIN_ANSWERS):
        drift.answered(answered(0, 0.1))
    assert drift.values() == {}


def test_labels_never_served_before_are_drift() -> None:
    drift = Drift(Reference({"a": 100}, (), (100,), labels={0: 50, 1: 50}))
    for number in range(MIN_ANSWERS):
        drift.answered(answered(number % 2, 0.9))
    assert drift.values()["label"] < 0.01
    for _ in range(MIN_ANSWERS):
        drift.answered(answered(5, 0.9))
    assert drift.values()["label"] > 0.25


def test_a_thousand_labels_are_counted_in_ten_groups() -> None:
    groups = label_groups({label: 1 + label % 3 for label in range(1000)})
    shares = [sum(1 + label % 3 for label in groups if groups[label] == group) for group in range(10)]
    assert max(shares) - min(shares) <= 3


def answered(label: int, probability: float) -> Answer:
    return Answer(label, "x", probability, "a", ("a",), {}, False, math.nan, {}, (), None, ("x",), ("a",))


def ask(client: Any, images: list[Path], **parameters: Any) -> None:
    body, headers = binary_request([path.read_bytes() for path in images], more={"parameters": parameters})
    assert client.post(INFER, content=body, headers=headers).status_code == 200


def test_the_same_images_do_not_drift_and_others_do(referred: Made, serving: Any) -> None:
    images = list(referred.small.images)
    with premodel.load(referred.path) as clf:
        choices = [clf.predict(path).candidate for path in images]
    rare = images[choices.index(min(set(choices), key=choices.count))]
    with serving(referred.path) as (client, _):
        while samples(client)["premodel_drift_answers",] < MIN_ANSWERS:
            found = samples(client)
            assert ("premodel_drift_psi", "choice") not in found, "of few answers it would be chance"
            ask(client, images)
        found = samples(client)
        assert found["premodel_drift_psi", "choice"] < 0.02
        assert found["premodel_drift_psi", "confidence"] < 0.02
        for _ in range(WINDOW // 24 + 1):
            ask(client, [rare] * 24)
        found = samples(client)
        assert found["premodel_drift_answers",] == WINDOW, "older answers are forgotten"
        assert found["premodel_drift_psi", "choice"] > 0.25
        assert found["premodel_drift_psi", "confidence"] > 0.25


def test_a_budget_of_one_call_is_no_drift(referred: Made, serving: Any) -> None:
    with serving(referred.path) as (client, _):
        ask(client, list(referred.small.images[:3]), max_latency_ms=50)
        ask(client, list(referred.small.images[:3]), cost_weight=0.5)
        assert samples(client)["premodel_drift_answers",] == 0
        ask(client, list(referred.small.images[:3]))
        assert samples(client)["premodel_drift_answers",] == 3


def test_an_older_bundle_has_no_drift(made: Made, serving: Any) -> None:
    with serving(made.path) as (client, _):
        ask(client, list(made.small.images))
        assert "premodel_drift" not in client.get("/metrics").text


def test_a_reference_of_nonsense_is_refused(tmp_path: Path, serving: Any) -> None:
    wrong = {"choices": {"a": -1}, "edges": [], "confidence": [1]}
    made = with_reference(make_bundle(tmp_path, MAKERS["single"]), wrong)
    with pytest.raises(BundleError, match=r"training_record\.reference\.choices"), serving(made.path):
        pass
